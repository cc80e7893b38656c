from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jangada.algorithms.manifest import AlgorithmManifest
from jangada.executor.environment import environment_folder, uv_settings
from jangada.executor.start import child_environ


def manifest_in(tmp_path: Path, requirements: str) -> AlgorithmManifest:
    folder = tmp_path / "one"
    folder.mkdir(exist_ok=True)
    (folder / "requirements.txt").write_text(requirements)
    return AlgorithmManifest("one", "1.0.0", folder)


def test_the_folder_changes_with_what_it_is_made_of_and_with_nothing_else(tmp_path: Path) -> None:
    first = environment_folder(manifest_in(tmp_path, "numpy==1\n"), tmp_path)
    assert environment_folder(replace(manifest_in(tmp_path, "numpy==1\n"), version="2.0.0"), tmp_path) == first
    assert environment_folder(manifest_in(tmp_path, "numpy==2\n"), tmp_path) != first
    assert first.name.startswith("one-")


def test_included_files_count(tmp_path: Path) -> None:
    manifest = manifest_in(tmp_path, "-r base.txt\n")
    (manifest.folder / "base.txt").write_text("numpy==1\n")
    first = environment_folder(manifest, tmp_path)
    (manifest.folder / "base.txt").write_text("numpy==2\n")
    assert environment_folder(manifest, tmp_path) != first


def test_requirements_of_shared_folders_count(tmp_path: Path) -> None:
    shared = tmp_path / "documents"
    shared.mkdir()
    manifest = replace(manifest_in(tmp_path, ""), shared=("documents",))
    first = environment_folder(manifest, tmp_path)
    (shared / "requirements.txt").write_text("pillow==1\n")
    assert environment_folder(manifest, tmp_path) != first


def test_uv_is_told_what_pip_is_configured_with() -> None:
    pip = {"index-url": "https://i.example/simple", "find-links": "/a /b", "timeout": "9", "cert": ""}
    settings = uv_settings(pip)
    assert settings["UV_DEFAULT_INDEX"] == "https://i.example/simple"
    assert settings["UV_FIND_LINKS"] == "/a,/b"
    assert set(settings) == {"UV_DEFAULT_INDEX", "UV_FIND_LINKS"}


def test_a_child_sees_no_address_and_no_secret() -> None:
    environ = {
        "PATH": "/bin",
        "JANGADA_MONGO_URL": "x",
        "JANGADA_OCR_ENGINE": "rapidocr",
        "AWS_SECRET_ACCESS_KEY": "x",
        "github_token": "x",
        "OMP_NUM_THREADS": "1",
    }
    assert child_environ(environ) == {"PATH": "/bin", "JANGADA_OCR_ENGINE": "rapidocr", "OMP_NUM_THREADS": "1"}


def test_an_environment_for_a_gpu_is_another_only_where_its_requirements_are(tmp_path: Path) -> None:
    manifest = manifest_in(tmp_path, "onnxruntime==1\n")
    plain = environment_folder(manifest, tmp_path)
    assert environment_folder(manifest, tmp_path, gpu=True) == plain
    (manifest.folder / "requirements-gpu.txt").write_text("onnxruntime-gpu==1\n")
    special = environment_folder(manifest, tmp_path, gpu=True)
    assert environment_folder(manifest, tmp_path) == plain
    # Of another name, so that neither is removed as an old one of the other.
    assert special.name.startswith(f"{manifest.name}-gpu-")

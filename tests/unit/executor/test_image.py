from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jangada.algorithms.manifest import load_manifest
from jangada.executor.__main__ import expects_gpu
from jangada.executor.image import main, stage_image

ROOT = Path(__file__).parents[3]


@pytest.fixture
def algorithm(tmp_path: Path) -> Path:
    folder = tmp_path / "executors" / "one"
    folder.mkdir(parents=True)
    (folder / "executor.yml").write_text('name: one\nversion: "1.0.0"\nshared: [lib]\napt: [tesseract-ocr-por]\n')
    (folder / "requirements.txt").write_text("onnxruntime==1\n")
    (folder / "requirements-gpu.txt").write_text("onnxruntime-gpu==1\n")
    (folder / "algorithm.py").touch()
    (folder / "__pycache__").mkdir()
    (tmp_path / "executors" / "lib").mkdir()
    (tmp_path / "executors" / "lib" / "requirements.txt").write_text("pillow==1")
    return folder


@pytest.mark.parametrize(("gpu", "wanted"), [(False, "onnxruntime==1"), (True, "onnxruntime-gpu==1")])
def test_an_image_gets_the_algorithm_what_it_shares_and_the_right_requirements(
    algorithm: Path, tmp_path: Path, gpu: bool, wanted: str
) -> None:
    stage = tmp_path / "stage"
    stage_image(load_manifest(algorithm), stage, gpu=gpu)
    assert (stage / "requirements.txt").read_text() == f"{wanted}\npillow==1\n"
    assert (stage / "apt.txt").read_text() == "tesseract-ocr-por\n"
    assert not (stage / "main" / "__pycache__").exists()
    found = load_manifest((stage / "main").resolve())
    assert [folder.name for folder in found.import_folders] == ["one", "lib"]


def test_a_shared_package_lies_beside_the_algorithm(algorithm: Path, tmp_path: Path) -> None:
    (tmp_path / "executors" / "lib" / "__init__.py").touch()
    stage = tmp_path / "stage"
    stage_image(load_manifest(algorithm), stage)
    assert sorted(path.name for path in (stage / "executors").iterdir()) == ["lib", "one"]
    assert "pillow==1" in (stage / "requirements.txt").read_text()
    load_manifest((stage / "main").resolve())


def test_a_path_among_the_requirements_is_the_algorithm_s(algorithm: Path, tmp_path: Path) -> None:
    (algorithm / "requirements.txt").write_text("# ours\n./weights\nnumpy==2\n")
    stage = tmp_path / "stage"
    stage_image(load_manifest(algorithm), stage)
    weights = stage / "executors" / "one" / "weights"
    assert (stage / "requirements.txt").read_text() == f"# ours\n{weights}\nnumpy==2\npillow==1\n"


@pytest.mark.parametrize("folder", sorted(path.parent for path in ROOT.glob("executors/*/executor.yml")), ids=str)
def test_every_algorithm_of_ours_is_complete_in_its_image(folder: Path, tmp_path: Path) -> None:
    stage_image(load_manifest(folder), tmp_path)
    staged = load_manifest((tmp_path / "main").resolve())
    assert all(path.is_dir() for path in staged.import_folders)
    assert {path.name for path in (tmp_path / "executors").iterdir()} == {folder.name, *staged.shared}


@pytest.mark.parametrize(
    ("device", "visible", "expected"),
    [("cpu+gpu", "all", True), ("gpu", "0", True), ("cpu", "all", False), ("cpu+gpu", "void", False)],
)
def test_only_an_image_for_gpus_misses_one(algorithm: Path, device: str, visible: str, expected: bool) -> None:
    manifest = replace(load_manifest(algorithm), device=device)
    assert expects_gpu(manifest, {"NVIDIA_VISIBLE_DEVICES": visible}) is expected
    assert not expects_gpu(manifest, {})


def test_a_wrong_manifest_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--stage", str(tmp_path / "stage")]) == 2
    assert capsys.readouterr().err.startswith("jangada.executor.image: ")

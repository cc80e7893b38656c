"""Environments of algorithms, really built."""

from __future__ import annotations

import os
import shutil
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from jangada.algorithms.manifest import load_manifest
from jangada.errors import ConfigurationError
from jangada.executor import environment
from jangada.executor.environment import ensure_environment, environment_folder, is_built, pip_settings
from jangada.executor.start import recipe
from tests.integration.executor.harness import TOYS, Bench
from tests.requires import requires

NAME = "jangada_toy_clash"


def make_wheel(folder: Path, version: int) -> None:
    info = f"{NAME}-{version}.0.dist-info"
    with zipfile.ZipFile(folder / f"{NAME}-{version}.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{NAME}.py", f"VERSION = {version}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: jangada-toy-clash\nVersion: {version}.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{NAME}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with both versions of the library, made known to pip in the way a user would."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for version in (1, 2):
        make_wheel(folder, version)
    before = pip_settings().get("find-links", "")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{before} {folder}".strip())
    return folder


def test_two_algorithms_use_conflicting_versions_of_one_library_side_by_side(
    bench: Bench, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    envs = tmp_path / "envs"
    pythons = {}
    for toy in ("uses_version_one", "uses_version_two"):
        try:
            pythons[toy] = ensure_environment(load_manifest(TOYS / toy), envs)
        except ConfigurationError as error:
            requires("pydantic" not in str(error), f"pydantic can be had neither here nor there: {error}")
            raise
    monkeypatch.setattr(
        "jangada.executor.start.recipe",
        lambda manifest, _python, *rest: recipe(manifest, pythons[manifest.folder.name], *rest),
    )
    with bench.executor("uses_version_one"), bench.executor("uses_version_two"):
        first, second = bench.submit("uses_version_one"), bench.submit("uses_version_two")
        assert bench.final(first).output == {"version": 1}, bench.final(first).error
        assert bench.final(second).output == {"version": 2}, bench.final(second).error


def test_an_environment_is_built_once_also_by_two_at_a_time(wheels: Path, tmp_path: Path) -> None:
    manifest = load_manifest(TOYS / "uses_version_one")
    said: list[str] = []
    threads = [
        threading.Thread(target=ensure_environment, args=(manifest, tmp_path / "envs", said.append)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert is_built(manifest, tmp_path / "envs")
    assert sum("jangada-toy-clash==1.0" in line for line in said) == 1


def test_pip_takes_over_where_uv_is_missing(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "find_uv", lambda: None)
    manifest = load_manifest(TOYS / "uses_version_two")
    assert ensure_environment(manifest, tmp_path / "envs").is_file()


def test_what_cannot_be_installed_is_named_and_leaves_nothing(wheels: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wants-too-much"
    folder.mkdir()
    (folder / "executor.yml").write_text('name: wants-too-much\nversion: "1.0.0"\n')
    (folder / "requirements.txt").write_text("jangada-toy-clash==3.0\n")
    manifest = load_manifest(folder)
    with pytest.raises(ConfigurationError, match=r"jangada-toy-clash==3\.0"):
        ensure_environment(manifest, tmp_path / "envs")
    assert not environment_folder(manifest, tmp_path / "envs").exists()


def test_the_environment_of_older_requirements_is_removed_a_week_after_it_was_asked_for(
    wheels: Path, tmp_path: Path
) -> None:
    manifest = load_manifest(TOYS / "uses_version_one")
    other = replace(load_manifest(TOYS / "uses_version_two"), name=manifest.name)
    longer = tmp_path / "envs" / f"{manifest.name}-too-0123456789ab"
    ensure_environment(manifest, tmp_path / "envs")
    longer.mkdir()
    ensure_environment(other, tmp_path / "envs")
    assert is_built(manifest, tmp_path / "envs")
    eight_days_ago = time.time() - 8 * 86_400
    os.utime(environment_folder(manifest, tmp_path / "envs") / ".jangada-complete", (eight_days_ago, eight_days_ago))
    shutil.rmtree(environment_folder(other, tmp_path / "envs"))
    ensure_environment(other, tmp_path / "envs")
    assert not is_built(manifest, tmp_path / "envs")
    assert is_built(other, tmp_path / "envs")
    assert longer.exists()

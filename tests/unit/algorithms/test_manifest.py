from __future__ import annotations

from pathlib import Path

import pytest

from jangada.algorithms.manifest import Limits, find_algorithms, find_versions, load_manifest
from jangada.errors import ConfigurationError

FULL = """
name: doc-ocr
version: "1.2.3"
description: Reads.
class: ocr.main:Reader
device: cpu+gpu
image: example/ocr:1
limits: {execution_timeout_s: 60, memory_mib: 512, grace_s: 2.5}
max_attempts: 2
short: true
concurrency: 3
recycle_after_jobs: 100
shared: [documents]
apt: [tesseract-ocr-por]
"""


def folder_with(tmp_path: Path, text: str, name: str = "one") -> Path:
    folder = tmp_path / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "executor.yml").write_text(text)
    return folder


def test_every_key_is_read(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    folder = folder_with(tmp_path, FULL)
    manifest = load_manifest(folder)
    assert (manifest.name, manifest.version, manifest.class_name) == ("doc-ocr", "1.2.3", "ocr.main:Reader")
    assert manifest.limits == Limits(60.0, 512, 2.5)
    assert (manifest.device, manifest.short, manifest.concurrency, manifest.max_attempts) == ("cpu+gpu", True, 3, 2)
    assert manifest.import_folders == (folder, tmp_path / "documents")
    assert manifest.apt == ("tesseract-ocr-por",)


def test_name_and_version_are_enough(tmp_path: Path) -> None:
    manifest = load_manifest(folder_with(tmp_path, 'name: a\nversion: "1.0.0"\n'))
    assert manifest.class_name == "algorithm:Algorithm"
    assert manifest.limits == Limits()
    assert manifest.requirements == ()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name: a\n", "version: missing"),
        ('version: "1.0.0"\n', "name: missing"),
        ("name: a\nversion: 1.0\n", 'version: expected a version in quotes, like "1.2.3", found 1.0'),
        ('name: A B\nversion: "1.0.0"\n', "name: expected a name"),
        ('name: a\nversion: "1.0.0"\nmemory: 5\n', "memory: unknown key; known are"),
        ('name: a\nversion: "1.0.0"\nlimits: {memory: 5}\n', "limits.memory: unknown key"),
        ('name: a\nversion: "1.0.0"\nlimits: {memory_mib: 5.5}\n', "limits.memory_mib: expected MiB"),
        ('name: a\nversion: "1.0.0"\nlimits: {grace_s: true}\n', "limits.grace_s: expected seconds"),
        ('name: a\nversion: "1.0.0"\nlimits: 5\n', "limits: expected keys and values"),
        ('name: a\nversion: "1.0.0"\ndevice: tpu\n', "device: expected one of cpu, gpu, cpu+gpu, found 'tpu'"),
        ('name: a\nversion: "1.0.0"\nshort: 1\n', "short: expected true or false"),
        ('name: a\nversion: "1.0.0"\nmax_attempts: 0\n', "max_attempts: expected a whole number"),
        ('name: a\nversion: "1.0.0"\nshared: [../x]\n', "shared: expected a list of folder names"),
        ('name: a\nversion: "1.0.0"\nshared: [nowhere]\n', "shared: there is no folder"),
        ('name: a\nversion: "1.0.0"\napt: ["x; rm"]\n', "apt: expected a list of Debian package names"),
        ("- a\n", "expected keys and values"),
        ("a: [\n", "not YAML"),
    ],
)
def test_what_is_wrong_is_named_with_file_key_and_expectation(tmp_path: Path, text: str, part: str) -> None:
    folder = folder_with(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_manifest(folder)
    assert str(caught.value).startswith(str(folder / "executor.yml"))
    assert part in str(caught.value)


def test_algorithms_are_found_by_name_and_other_folders_passed_over(tmp_path: Path) -> None:
    folder_with(tmp_path, 'name: zebra\nversion: "1.0.0"\n', "a")
    folder_with(tmp_path, 'name: ant\nversion: "1.0.0"\n', "b")
    (tmp_path / "documents").mkdir()
    (tmp_path / "cpu.Dockerfile").touch()
    assert list(find_algorithms(tmp_path)) == ["ant", "zebra"]


def test_one_version_of_an_algorithm_twice_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder_with(tmp_path, 'name: same\nversion: "1.0.0"\n', name)
    with pytest.raises(ConfigurationError, match=r"version 1\.0\.0 of 'same' is also in"):
        find_algorithms(tmp_path)


def test_versions_of_an_algorithm_lie_side_by_side_and_the_newest_counts(tmp_path: Path) -> None:
    order = ["2.0.0", "2.0.0-rc.11", "2.0.0-rc.2", "2.0.0-rc", "2.0.0-1", "1.10.0", "1.9.3"]
    for number, version in enumerate(reversed(order)):
        folder_with(tmp_path, f'name: same\nversion: "{version}"\n', f"folder-{(number * 5) % 7}")
    assert [one.version for one in find_versions(tmp_path)["same"]] == order
    assert find_algorithms(tmp_path)["same"].version == "2.0.0"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such folder"):
        find_algorithms(tmp_path / "none")

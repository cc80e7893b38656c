"""
``executor.yml``: what an author says about an algorithm, read once and frozen.

An unknown key or a wrong type is a `ConfigurationError` naming the file, the key
and what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jangada.algorithms.batching import LONGEST_WAIT_MS, MOST_TOGETHER, Batching
from jangada.errors import ConfigurationError

MANIFEST_NAME = "executor.yml"
REQUIREMENTS = "requirements.txt"
GPU_REQUIREMENTS = "requirements-gpu.txt"

Device = Literal["cpu", "gpu", "cpu+gpu"]
DEVICES: tuple[Device, ...] = ("cpu", "gpu", "cpu+gpu")


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What one attempt may use. *grace_s* is what it gets between the signal and the kill.

    *memory_mib* caps the memory of the child with all its processes, *gpu_memory_mib* what
    it may take of each GPU; None is no cap.
    """

    execution_timeout_s: float = 900.0
    memory_mib: int | None = None
    grace_s: float = 5.0
    gpu_memory_mib: int | None = None


@dataclass(frozen=True, slots=True)
class AlgorithmManifest:
    """One ``executor.yml``. *folder* is where it lies; *shared* names sibling folders to have importable."""

    name: str
    version: str
    folder: Path
    description: str = ""
    class_name: str = "algorithm:Algorithm"
    device: Device = "cpu"
    image: str | None = None
    limits: Limits = field(default_factory=Limits)
    max_attempts: int = 3
    short: bool = False
    """Runs take milliseconds: the executor may lease several at once and hand them to the child together."""
    concurrency: int = 1
    recycle_after_jobs: int | None = None
    batching: Batching | None = None
    """How jobs are gathered for ``run_batch``; None: each runs by itself."""
    shared: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()

    @property
    def import_folders(self) -> tuple[Path, ...]:
        """
        Folders whose modules the child can import: its own first, then the shared ones.

        A shared folder that is a package is imported by its name, so the folder above it counts.
        """
        shared = (folder.parent if (folder / "__init__.py").is_file() else folder for folder in self.shared_folders)
        return tuple(dict.fromkeys((self.folder, *shared)))

    @property
    def shared_folders(self) -> tuple[Path, ...]:
        """What it shares with other algorithms, next to its own folder."""
        return tuple(self.folder.parent / name for name in self.shared)

    @property
    def requirements(self) -> tuple[Path, ...]:
        """The requirements files that exist: its own and those of the shared folders."""
        return self.requirements_for(gpu=False)

    def requirements_for(self, *, gpu: bool) -> tuple[Path, ...]:
        """The same; with *gpu* a folder's ``requirements-gpu.txt``, where there is one, takes the other's place."""
        names = (GPU_REQUIREMENTS, REQUIREMENTS) if gpu else (REQUIREMENTS,)
        found = []
        for folder in (self.folder, *self.shared_folders):
            file = next((folder / name for name in names if (folder / name).is_file()), None)
            if file is not None:
                found.append(file)
        return tuple(found)


_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)([-+][0-9A-Za-z.+-]+)?")
_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*(=[A-Za-z0-9.+:~-]+)?")
_FOLDER = re.compile(r"[A-Za-z0-9_-]+")


def _text(pattern: re.Pattern[str] | None = None) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or (pattern is not None and not pattern.fullmatch(value)):
            raise ValueError
        return value

    return parse


def _whole(minimum: int, maximum: float = float("inf")) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise ValueError
        return value

    return parse


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10_000_000:
        raise ValueError
    return float(value)


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _device(value: Any) -> str:
    if value not in DEVICES:
        raise ValueError
    return str(value)


def _texts(pattern: re.Pattern[str]) -> Callable[[Any], tuple[str, ...]]:
    item = _text(pattern)

    def parse(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise ValueError
        return tuple(item(each) for each in value)

    return parse


@dataclass(frozen=True, slots=True)
class _Key:
    field: str
    parse: Callable[[Any], Any]
    expected: str


_LIMITS = {
    "execution_timeout_s": _Key("execution_timeout_s", _seconds, "seconds above 0"),
    "memory_mib": _Key("memory_mib", _whole(16), "MiB, a whole number of at least 16"),
    "gpu_memory_mib": _Key("gpu_memory_mib", _whole(16), "MiB, a whole number of at least 16"),
    "grace_s": _Key("grace_s", _seconds, "seconds above 0"),
}

_BATCHING = {
    "max_batch": _Key("max_batch", _whole(2, MOST_TOGETHER), f"a whole number from 2 to {MOST_TOGETHER}"),
    "max_wait_ms": _Key("max_wait_ms", _whole(0, LONGEST_WAIT_MS), f"a whole number from 0 to {LONGEST_WAIT_MS}"),
    "adaptive": _Key("is_adaptive", _bool, "true or false"),
}

_KEYS = {
    "name": _Key("name", _text(_NAME), "a name of lower-case letters, digits and dashes"),
    "version": _Key("version", _text(_VERSION), 'a version in quotes, like "1.2.3"'),
    "description": _Key("description", _text(), "text"),
    "class": _Key("class_name", _text(_CLASS), "module:ClassName"),
    "device": _Key("device", _device, "one of " + ", ".join(DEVICES)),
    "image": _Key("image", _text(), "an image reference"),
    "max_attempts": _Key("max_attempts", _whole(1), "a whole number of at least 1"),
    "short": _Key("short", _bool, "true or false"),
    "concurrency": _Key("concurrency", _whole(1), "a whole number of at least 1"),
    "recycle_after_jobs": _Key("recycle_after_jobs", _whole(1), "a whole number of at least 1"),
    "shared": _Key("shared", _texts(_FOLDER), "a list of folder names beside this one"),
    "apt": _Key("apt", _texts(_PACKAGE), "a list of Debian package names"),
}


def load_manifest(folder: Path) -> AlgorithmManifest:
    """Read *folder*/executor.yml; raises `ConfigurationError` naming file and key."""
    import yaml

    file = folder / MANIFEST_NAME
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read ({error.strerror})") from error
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{file}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{file}: expected keys and values, found {type(document).__name__}")
    limits, batching = _group(file, document, "limits", _LIMITS), _group(file, document, "batching", _BATCHING)
    values = _parse(file, document, _KEYS, "")
    for key in ("name", "version"):
        if key not in values:
            raise ConfigurationError(f"{file}: {key}: missing, expected {_KEYS[key].expected}")
    if batching and "max_batch" not in batching:
        raise ConfigurationError(f"{file}: batching.max_batch: missing, expected {_BATCHING['max_batch'].expected}")
    if batching and values.get("short"):
        raise ConfigurationError(f"{file}: short: expected false beside batching, which claims several jobs at once")
    manifest = AlgorithmManifest(
        folder=folder,
        limits=Limits(**limits),
        batching=Batching(**batching) if batching else None,
        **values,
    )
    for name in manifest.shared:
        if not (folder.parent / name).is_dir():
            raise ConfigurationError(f"{file}: shared: there is no folder {folder.parent / name}")
    return manifest


def _group(file: Path, document: dict[Any, Any], name: str, keys: dict[str, _Key]) -> dict[str, Any]:
    """The keys below *name*, which is taken out of *document*."""
    group = document.pop(name, None) or {}
    if not isinstance(group, dict):
        raise ConfigurationError(f"{file}: {name}: expected keys and values, found {group!r}")
    return _parse(file, group, keys, f"{name}.")


def _parse(file: Path, document: dict[Any, Any], keys: dict[str, _Key], prefix: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in document.items():
        key = keys.get(name) if isinstance(name, str) else None
        if key is None:
            raise ConfigurationError(f"{file}: {prefix}{name}: unknown key; known are {', '.join(sorted(keys))}")
        try:
            values[key.field] = key.parse(value)
        except ValueError as error:
            raise ConfigurationError(f"{file}: {prefix}{name}: expected {key.expected}, found {value!r}") from error
    return values


def find_algorithms(directory: Path) -> dict[str, AlgorithmManifest]:
    """The newest version of every algorithm in *directory* by name, sorted; see `find_versions`."""
    return {name: versions[0] for name, versions in find_versions(directory).items()}


def find_versions(directory: Path) -> dict[str, tuple[AlgorithmManifest, ...]]:
    """
    Every algorithm in *directory* by name, sorted, with its versions, newest first.

    Each version has a folder of its own, whatever that is called. One version twice
    is a `ConfigurationError`.
    """
    found: dict[str, dict[str, AlgorithmManifest]] = {}
    if not directory.is_dir():
        raise ConfigurationError(f"{directory}: no such folder (algorithms are looked for there)")
    for folder in sorted(directory.iterdir()):
        if not (folder / MANIFEST_NAME).is_file():
            continue
        manifest = load_manifest(folder)
        versions = found.setdefault(manifest.name, {})
        if manifest.version in versions:
            raise ConfigurationError(
                f"{folder / MANIFEST_NAME}: version {manifest.version} of {manifest.name!r} "
                f"is also in {versions[manifest.version].folder}"
            )
        versions[manifest.version] = manifest
    return {
        name: tuple(sorted(versions.values(), key=lambda one: precedence(one.version), reverse=True))
        for name, versions in sorted(found.items())
    }


def precedence(version: str) -> tuple[Any, ...]:
    """What versions are ordered by (semver.org, 11): a release comes after what came before it."""
    core, dash, before = version.partition("+")[0].partition("-")
    # Numbers come before words, and what is shorter before what goes on.
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in before.split(".") if part]
    return (*map(int, core.split(".")), not dash, tuple(parts))

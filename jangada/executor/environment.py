"""
Each algorithm's own virtual environment: ``<home>/envs/<name>-<hash of what it is made of>/``.

An environment counts only with its mark, written last; an unfinished one is
built anew. A lock file lets one process build while others wait. Environments
of the same algorithm made of something else are removed after a success, unless
they were asked for lately: other versions may run beside this one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from jangada.algorithms.manifest import AlgorithmManifest
from jangada.errors import ConfigurationError

CHILD_REQUIREMENTS = ("pydantic>=2.10,<3",)
"""What the child itself needs, beside what the algorithm asks for."""

Progress = Callable[[str], None]
"""Told each line that the installer says."""

_MARK = ".jangada-complete"
_RECIPE_VERSION = "1"
_KEPT_S = 7 * 86_400.0
_ERROR_LINES = 12
_PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "no-index": "UV_NO_INDEX",
    "cert": "SSL_CERT_FILE",
}


def environment_folder(manifest: AlgorithmManifest, envs: Path, *, gpu: bool = False) -> Path:
    """
    Where *manifest*'s environment lies or would lie: the name changes with its requirements and the Python.

    The one for a *gpu* is another where its requirements are.
    """
    digest = hashlib.sha256()
    for part in (_RECIPE_VERSION, platform.python_version(), platform.machine(), *CHILD_REQUIREMENTS):
        digest.update(part.encode() + b"\0")
    for file in manifest.requirements_for(gpu=gpu):
        for content in _contents(file, set()):
            digest.update(content + b"\0")
    return envs / f"{_variant(manifest, gpu=gpu)}-{digest.hexdigest()[:12]}"


def is_built(manifest: AlgorithmManifest, envs: Path, *, gpu: bool = False) -> bool:
    """Whether the environment is there and complete."""
    return (environment_folder(manifest, envs, gpu=gpu) / _MARK).is_file()


def ensure_environment(
    manifest: AlgorithmManifest, envs: Path, progress: Progress | None = None, *, gpu: bool = False
) -> Path:
    """
    Build *manifest*'s environment, for a *gpu* or not, unless it is there; its Python.

    Waits while another process builds the same one. Raises `ConfigurationError`
    with the installer's last lines when it cannot be built.
    """
    folder = environment_folder(manifest, envs, gpu=gpu)
    variant = _variant(manifest, gpu=gpu)
    python = folder / "bin" / "python"
    if (folder / _MARK).is_file():
        (folder / _MARK).touch()
        return python
    envs.mkdir(parents=True, exist_ok=True)
    with _locked(envs / f".{variant}.lock"):
        if not (folder / _MARK).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            wanted = manifest.requirements_for(gpu=gpu)
            _build(manifest, wanted, folder, progress or (lambda _line: None))
            (folder / _MARK).write_text("")
            _remove_others(variant, folder)
    return python


def _variant(manifest: AlgorithmManifest, *, gpu: bool) -> str:
    return manifest.name + ("-gpu" if gpu and manifest.requirements_for(gpu=True) != manifest.requirements else "")


def _build(manifest: AlgorithmManifest, wanted: Sequence[Path], folder: Path, progress: Progress) -> None:
    installer = _Installer(manifest, wanted, folder, progress)
    uv = find_uv()
    if uv is not None:
        if installer.with_uv(uv):
            return
        progress("uv could not do it, trying pip")
        shutil.rmtree(folder, ignore_errors=True)
    if not installer.with_pip():
        shutil.rmtree(folder, ignore_errors=True)
        said = "\n  ".join(installer.last_lines)
        raise ConfigurationError(f"the environment of {manifest.name} cannot be built; the installer said:\n  {said}")


class _Installer:
    def __init__(self, manifest: AlgorithmManifest, files: Sequence[Path], folder: Path, progress: Progress) -> None:
        self._manifest = manifest
        self._files = files
        self._folder = folder
        self._python = str(folder / "bin" / "python")
        self._progress = progress
        self.last_lines: deque[str] = deque(maxlen=_ERROR_LINES)

    def with_uv(self, uv: str) -> bool:
        environ = {**os.environ, **uv_settings(pip_settings())}
        venv = [uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(self._folder)]
        install = [uv, "pip", "install", "--python", self._python, *self._wanted()]
        return self._run(venv, environ) and self._run(install, environ)

    def with_pip(self) -> bool:
        venv = [sys.executable, "-m", "venv", str(self._folder)]
        install = [self._python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *self._wanted()]
        return self._run(venv, os.environ) and self._run(install, os.environ)

    def _wanted(self) -> list[str]:
        wanted: list[str] = []
        for file in self._files:
            wanted += ["-r", str(file.resolve())]
        return [*wanted, *CHILD_REQUIREMENTS]

    def _run(self, command: list[str], environ: Mapping[str, str]) -> bool:
        clean = {name: value for name, value in environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        try:
            process = subprocess.Popen(
                command,
                # Relative paths in requirements files are relative to the algorithm's folder.
                cwd=self._manifest.folder,
                env=clean,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as error:
            self.last_lines.append(f"{command[0]}: {error.strerror}")
            return False
        with process:
            for line in process.stdout or ():
                if text := line.rstrip():
                    self.last_lines.append(text)
                    self._progress(text)
        return process.returncode == 0


def find_uv() -> str | None:
    """The `uv` beside this Python, else the one on PATH."""
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.is_file() else shutil.which("uv")


def pip_settings() -> dict[str, str]:
    """What pip is configured with on this machine (files and environment), by option name; {} without pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, str] = {}
    for line in answer.stdout.splitlines():
        match = re.fullmatch(r"[^=]*?\.?([a-z-]+)='(.*)'", line.strip())
        # The list goes from the weakest to the strongest; `install.` and `global.` count alike here.
        if match:
            found[match[1]] = match[2].replace("\\n", " ").strip()
    return found


def uv_settings(pip: Mapping[str, str]) -> dict[str, str]:
    """The same for uv, which reads no pip configuration; what the environment sets for uv itself wins."""
    settings = {_PIP_TO_UV[name]: value for name, value in pip.items() if name in _PIP_TO_UV and value}
    if "UV_FIND_LINKS" in settings:
        settings["UV_FIND_LINKS"] = ",".join(settings["UV_FIND_LINKS"].split())
    return {name: value for name, value in settings.items() if name not in os.environ}


def _contents(file: Path, seen: set[Path]) -> Iterator[bytes]:
    """*file* and what it includes with -r or -c."""
    file = file.resolve()
    if file in seen or not file.is_file():
        return
    seen.add(file)
    content = file.read_bytes()
    yield content
    for included in re.findall(rb"^\s*(?:-r|-c|--requirement|--constraint)[ =]\s*(\S+)", content, re.MULTILINE):
        yield from _contents(file.parent / included.decode(), seen)


def _remove_others(name: str, keep: Path) -> None:
    pattern = re.compile(re.escape(name) + r"-[0-9a-f]{12}")
    for folder in keep.parent.iterdir():
        if folder != keep and pattern.fullmatch(folder.name) and not _was_asked_for_lately(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _was_asked_for_lately(folder: Path) -> bool:
    try:
        return time.time() - (folder / _MARK).stat().st_mtime < _KEPT_S
    except FileNotFoundError:
        return False


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

"""Environments of the real algorithms, and a way to talk to each inside its own."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
ENVS = Path(os.environ.get("JANGADA_TEST_ENVS") or ROOT / ".jangada-test-envs")


def environment(name: str) -> Path:
    """The Python of an environment with *name*'s requirements; made once and kept by their hash."""
    folder = ROOT / "executors" / name
    requirements = folder / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    target = ENVS / digest
    ENVS.mkdir(parents=True, exist_ok=True)
    with (ENVS / f"{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "complete").exists():
            shutil.rmtree(target, ignore_errors=True)
            _install(target, folder)
            (target / "complete").touch()
    return target / "bin" / "python"


def _install(target: Path, folder: Path) -> None:
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    python = str(target / "bin" / "python")
    attempts = [
        [[sys.executable, "-m", "venv", str(target)], [python, "-m", "pip", "install", "-q", "-r", "requirements.txt"]]
    ]
    if uv:
        attempts.insert(
            0,
            [
                [uv, "venv", "-q", "--python", sys.executable, str(target)],
                [uv, "pip", "install", "-q", "--python", python, "-r", "requirements.txt"],
            ],
        )
    said = ""
    for commands in attempts:
        shutil.rmtree(target, ignore_errors=True)
        runs = [
            subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False) for command in commands
        ]
        if all(run.returncode == 0 for run in runs):
            return
        said = runs[-1].stderr[-800:]
    if os.environ.get("CI"):
        pytest.fail(f"the environment of {folder.name} cannot be made: {said}")
    pytest.skip(f"the environment of {folder.name} cannot be made: {said}")


class Algorithm:
    """A process that runs one algorithm in its environment."""

    def __init__(self, name: str, environ: dict[str, str] | None = None) -> None:
        keep = {key: value for key, value in os.environ.items() if not key.startswith(("JANGADA_", "PYTHON"))}
        self._process = subprocess.Popen(
            [str(environment(name)), str(Path(__file__).with_name("driver.py")), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**keep, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **(environ or {})},
        )
        self.ready = self._answer()

    def run(self, input: dict[str, Any], *, cancel: bool = False, **files: Path) -> dict[str, Any]:
        """The answer of one run: `output` or `error`."""
        assert self._process.stdin is not None
        asked = {"input": input, "files": {key: str(path) for key, path in files.items()}, "cancel": cancel}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, said = self._process.communicate(timeout=10)
            raise AssertionError(f"the algorithm's process ended: {said[-2000:]}")
        return dict(json.loads(line))

    def stop(self) -> None:
        """End the process."""
        self._process.stdin and self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()


@pytest.fixture(scope="session")
def algorithm() -> Iterator[Callable[..., Algorithm]]:
    """A started algorithm by name (and environment variables), kept for the session."""
    started: dict[tuple[Any, ...], Algorithm] = {}

    def start(name: str, **environ: str) -> Algorithm:
        key = (name, *sorted(environ.items()))
        if key not in started:
            started[key] = Algorithm(name, environ)
        return started[key]

    yield start
    for running in started.values():
        running.stop()


@pytest.fixture(scope="session")
def documents() -> Path:
    """The eight shared pages with their truth.json."""
    return ROOT / "tests" / "data" / "documents"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Runs a generator under tests/data in doc-metadata's environment (it has Pillow and numpy)."""
    folders: dict[tuple[str, ...], Path] = {}

    def make(generator: str, *arguments: str) -> Path:
        key = (generator, *arguments)
        if key not in folders:
            folder = tmp_path_factory.mktemp("pages")
            command = [
                str(environment("doc-metadata")),
                str(ROOT / "tests" / "data" / generator),
                str(folder),
                *arguments,
            ]
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            if ran.returncode != 0 and "font" in ran.stderr and not os.environ.get("CI"):
                pytest.skip(ran.stderr.strip().splitlines()[-1])
            assert ran.returncode == 0, ran.stderr
            folders[key] = folder
        return folders[key]

    return make


@pytest.fixture(scope="session")
def damaged(tmp_path_factory: pytest.TempPathFactory, documents: Path) -> Path:
    """A folder with the files of `damaged.py`; unreadable.json says what has to be said of the bad ones."""
    folder = tmp_path_factory.mktemp("damaged")
    script = (
        "import json, sys; from pathlib import Path; import damaged as d; to = Path(sys.argv[1]); docs = Path(sys.argv[2])\n"  # noqa: E501
        "good = docs / '02_recibo.jpg'; other = docs / '05_declaracao.jpg'\n"
        "bad = d.unreadable(good)\n"
        "[(to / name).write_bytes(content) for name, (content, _) in bad.items()]\n"
        "[(to / name).write_bytes(content) for name, content in d.readable(other).items()]\n"
        "(to / 'blank.png').write_bytes(d.blank()); (to / 'many.pdf').write_bytes(d.many_pages_pdf())\n"
        "(to / 'two.tif').write_bytes(d.two_page_tiff(other, docs / '04_certidao.jpg'))\n"
        "(to / 'two.pdf').write_bytes(d.two_page_pdf(other, docs / '04_certidao.jpg'))\n"
        "(to / 'unreadable.json').write_text(json.dumps({name: word for name, (_, word) in bad.items()}))\n"
        "(to / 'readable.json').write_text(json.dumps(list(d.readable(other))))\n"
    )
    here = Path(__file__).parent
    ran = subprocess.run(
        [str(environment("doc-metadata")), "-c", script, str(folder), str(documents)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(here)},
    )
    assert ran.returncode == 0, ran.stderr
    return folder

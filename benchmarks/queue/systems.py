"""
The systems that are compared: how each is installed, driven, started at its best, and how its finished jobs count.

Settings follow each project's own advice for throughput with acknowledgements;
whatever is not named is left at its default.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

ADAPTERS = Path(__file__).parent / "adapters"
ROOT = Path(__file__).resolve().parents[2]
OURS = "jangada"


@dataclass(frozen=True, slots=True)
class Crew:
    """*count* worker processes started by *command* (``{url}``, ``{kind}`` and ``{i}`` are filled in)."""

    command: tuple[str, ...]
    count: int = 1
    environ: dict[str, str] = field(default_factory=dict)


Done = tuple[Literal["left", "ended", "grown"], tuple[tuple[str, ...], ...]]
"""
How finished jobs are counted: the sum of what the commands answer is what is *left*,
what has *ended*, or has *grown* since the start by what ended. ``KIND`` in them is the kind of job.
"""


@dataclass(frozen=True, slots=True)
class System:
    """One system. *crews*: ``c1`` one job at a time, ``alt`` the same in another way, ``best`` on two cores."""

    name: str
    client: tuple[str, ...]
    crews: dict[str, Crew]
    done: Done
    pip: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()

    def command(self, *arguments: object, url: str) -> list[str]:
        """The client's command line for *arguments*."""
        return [part.format(url=url) for part in self.client] + [str(each) for each in arguments]


def cache() -> Path:
    """Where the peers' environments live: outside the project, kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "jangada-bench"


def _venv(name: str, program: str) -> str:
    return str(cache() / f"v-{name}" / "bin" / program)


def _python(name: str, *, pip: Sequence[str], crews: dict[str, Crew], done: Done) -> System:
    return System(name, (_venv(name, "python"), f"a_{name}.py"), crews, done, tuple(pip))


def _celery() -> System:
    worker = (_venv("celery", "celery"), "-A", "a_celery", "worker", "--loglevel", "ERROR")
    quiet = ("--without-gossip", "--without-mingle")
    return _python(
        "celery",
        pip=("celery[redis]", "hiredis"),
        crews={
            "c1": Crew((*worker, "-P", "prefork", "-c", "1", *quiet)),
            "alt": Crew((*worker, "-P", "solo", *quiet)),
            "best": Crew((*worker, "-P", "solo", "-n", "w{i}@peer", *quiet), 2, {"PEER_PREFETCH": "32"}),
        },
        done=("left", (("LLEN", "celery"), ("HLEN", "unacked"))),
    )


def _rq() -> System:
    worker = (_venv("rq", "rq"), "worker", "-q", "-u", "{url}", "-P", ".", "-w")
    forking, simple = (*worker, "rq.worker.Worker", "peer"), (*worker, "rq.worker.SimpleWorker", "peer")
    return _python(
        "rq",
        pip=("rq", "hiredis"),
        crews={"c1": Crew(forking), "alt": Crew(simple), "best": Crew(simple, 2)},
        done=("ended", (("ZCARD", "rq:finished:peer"),)),
    )


def _arq() -> System:
    def crew(count: int, jobs: str) -> Crew:
        worker = (_venv("arq", "python"), "a_arq.py", "worker")
        return Crew(worker, count, {"PEER_C": jobs, "PEER_POLL": "0.01"})

    return _python(
        "arq",
        pip=("arq", "hiredis", "uvloop"),
        crews={"c1": crew(1, "1"), "best": crew(2, "50")},
        done=("left", (("ZCARD", "arq:queue"),)),
    )


def _dramatiq() -> System:
    worker = (_venv("dramatiq", "dramatiq"), "a_dramatiq", "--skip-logging")
    return _python(
        "dramatiq",
        pip=("dramatiq[redis]", "hiredis"),
        crews={"c1": Crew((*worker, "-p", "1", "-t", "1")), "best": Crew((*worker, "-p", "2", "-t", "8"))},
        done=("left", (("HLEN", "dramatiq:default.msgs"),)),
    )


def _taskiq() -> System:
    worker = (_venv("taskiq", "taskiq"), "worker", "a_taskiq:broker", "--log-level", "ERROR")
    return _python(
        "taskiq",
        pip=("taskiq", "taskiq-redis", "hiredis", "uvloop", "orjson", "msgpack"),
        crews={
            "c1": Crew((*worker, "--workers", "1", "--max-async-tasks", "1")),
            "best": Crew((*worker, "--workers", "2", "--max-async-tasks", "100")),
        },
        done=("grown", (("DBSIZE",),)),
    )


def _huey() -> System:
    worker = (_venv("huey", "huey_consumer"), "a_huey.huey", "-k", "process", "-q")
    return _python(
        "huey",
        pip=("huey", "redis", "hiredis"),
        crews={"c1": Crew((*worker, "-w", "1")), "best": Crew((*worker, "-w", "3"))},
        done=("grown", (("DBSIZE",),)),
    )


def _saq() -> System:
    worker = (_venv("saq", "saq"), "a_saq.settings", "-q")
    return _python(
        "saq",
        # typing_extensions: it needs it and does not say so.
        pip=("saq[redis]", "typing_extensions", "hiredis", "uvloop"),
        crews={"c1": Crew(worker, 1, {"PEER_C": "1"}), "best": Crew(worker, 2, {"PEER_C": "20"})},
        done=("left", (("ZCARD", "saq:peer:incomplete"),)),
    )


def _streaq() -> System:
    worker = (_venv("streaq", "streaq"), "run", "a_streaq:worker")
    return _python(
        "streaq",
        pip=("streaq",),
        crews={"c1": Crew(worker, 1, {"PEER_C": "1"}), "best": Crew(worker, 2, {"PEER_C": "64"})},
        done=("ended", (("ZCARD", "streaq:peer:index:results"),)),
    )


def _bullmq() -> System:
    worker = ("node", "a_bullmq.mjs", "worker")
    return System(
        "bullmq",
        ("node", "a_bullmq.mjs"),
        {"c1": Crew(worker, 1, {"PEER_C": "1"}), "best": Crew(worker, 2, {"PEER_C": "50"})},
        ("ended", (("ZCARD", "bull:peer:completed"),)),
        npm=("bullmq", "ioredis"),
    )


def _jangada() -> System:
    worker = (sys.executable, "-m", "benchmarks.queue.worker", "{url}", "{kind}")
    return System(
        OURS,
        (sys.executable, "-m", "benchmarks.queue.client", "{url}"),
        {
            "c1": Crew(worker),
            "alt": Crew((*worker, "--one-by-one")),
            "best": Crew(worker, 2),
        },
        ("left", (("HGET", "jangada:{KIND}:numbers", "jobs"),)),
    )


def systems() -> dict[str, System]:
    """All of them, ours first."""
    made = (_jangada(), _bullmq(), _dramatiq(), _huey(), _taskiq(), _saq(), _arq(), _rq(), _celery(), _streaq())
    return {system.name: system for system in made}


def install(system: System) -> str | None:
    """Install what *system* needs unless it is there; why it cannot be, or None."""
    try:
        if system.pip and not Path(_venv(system.name, "python")).exists():
            folder = cache() / f"v-{system.name}"
            try:
                subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
                pip = [_venv(system.name, "pip"), "install", "-q", "--disable-pip-version-check", *system.pip]
                subprocess.run(pip, check=True, capture_output=True, text=True)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        if system.npm and not (cache() / "node" / "node_modules" / system.npm[0]).exists():
            folder = cache() / "node"
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(
                ["npm", "install", "--silent", "--prefix", str(folder), *system.npm],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
    except (OSError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        return said[-1] if said else "unknown"
    return None


def version(system: System) -> str:
    """Which version of *system* is measured."""
    if system.npm:
        manifest = cache() / "node" / "node_modules" / system.npm[0] / "package.json"
        return str(json.loads(manifest.read_text())["version"])
    if system.pip:
        folders = (cache() / f"v-{system.name}").glob(f"lib/python*/site-packages/{system.name}-*.dist-info")
        return next((folder.name.removesuffix(".dist-info").partition("-")[2] for folder in folders), "unknown")
    return (ROOT / "VERSION").read_text().strip()


def environ_for(url: str, extra: dict[str, str]) -> dict[str, Any]:
    """What a system's processes are started with."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("JANGADA_", "PYTHONUNBUFFERED"))}
    return {
        **own,
        "PEER_REDIS": url,
        "PEER_NODE": str(cache() / "node"),
        "PYTHONPATH": f"{ADAPTERS}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
        "NO_COLOR": "1",
        **extra,
    }

"""
Platforms to break: one as `jangada up` makes it, and one whose Redis has any shape.

Both say which processes a victim's name means just now, and what clients connect to.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import psutil

from jangada.client import Client, ClientError
from tests.chaos.clock import Clock, find_compiler
from tests.chaos.link import Link
from tests.chaos.parts import Kept, Program, once
from tests.chaos.plan import Fault
from tests.live_platform import ENVIRONMENTS, TOYS, LivePlatform
from tests.redis_shapes import StandaloneShape, shaped
from tests.servers import ROOT, MongoServer, free_port, until

ALGORITHM = "keeps-a-ledger"
LEASE_S = 3.0
DISK_MIB = 24
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "pause": signal.SIGSTOP}


class Rig(Protocol):
    """What the killer and the driver need."""

    def client(self, **options: Any) -> Client: ...

    def hurt(self, fault: Fault) -> str | None:
        """Do it; what was hit, None when there was nothing to hit."""
        ...

    def heal(self, fault: Fault, hit: str) -> None:
        """Undo what lasts."""
        ...

    def logs(self) -> str: ...


def can_mount() -> bool:
    """Whether a small tmpfs can be had: as root, and where mounting is allowed."""
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount") is not None


class EmbeddedRig:
    """`jangada up`: its own supervisor brings everything back."""

    def __init__(self, platform: LivePlatform) -> None:
        self._platform = platform

    def client(self, **options: Any) -> Client:
        return self._platform.client(**options)

    def hurt(self, fault: Fault) -> str | None:
        name = {"executor": f"executor:{ALGORITHM}", "function": "function:router"}.get(fault.victim, fault.victim)
        if fault.victim == "child":
            pid = _child_of(self._platform.pid(f"executor:{ALGORITHM}"), fault.draw)
        else:
            pid = self._platform.pid(name)
        return _signal(pid, SIGNALS[fault.action])

    def heal(self, fault: Fault, hit: str) -> None:
        if fault.action == "pause":
            _signal(int(hit), signal.SIGCONT)

    def logs(self) -> str:
        return self._platform.logs()


class OwnRig:
    """
    Redis in some shape, MongoDB, a gateway with its functions and two executors, each kept alive by a thread.

    The data of both servers lie in *disk*. *full*: what the platform says to them
    goes through `Link`s, and each executor has a `Clock` of its own.
    """

    def __init__(self, folder: Path, stack: contextlib.ExitStack, shape: str, *, disk: Path, full: bool) -> None:
        self._folder = folder
        self._disk = disk
        self._links: dict[str, Link] = {}
        self._clocks: list[Clock] = []
        options = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "10") if shape == "sentinel" else ()
        self._shape = stack.enter_context(shaped(shape, disk / "redis", *options))
        self._mongo = MongoServer(disk / "mongo")
        self._kept: dict[str, Kept] = {}
        stack.callback(self._end)
        self._keep("mongo", self._mongo)
        for name, server in self._shape.servers.items():
            self._keep(name, server)
        until(lambda: self._mongo.is_running and self._mongo._answers(), 30)
        redis_url, mongo_url = self._shape.url, self._mongo.url
        if full:
            assert isinstance(self._shape, StandaloneShape)
            for name, server in (("redis", self._shape.servers["node0"]), ("mongo", self._mongo)):
                self._links[name] = stack.enter_context(Link(server.port))
            redis_url = f"redis://127.0.0.1:{self._links['redis'].port}/0"
            mongo_url = f"mongodb://127.0.0.1:{self._links['mongo'].port}/"
        self._environ = _environ(folder, redis_url, mongo_url)
        self._port = free_port()
        home = folder / "home"
        for name in ("secrets", "run", "logs", "artifacts", "work"):
            (home / name).mkdir(parents=True)
        once(["jangada.local.connection", f"http://127.0.0.1:{self._port}"], self._environ)
        gateway = Program(
            folder / "gateway",
            ["jangada.gateway", "--stack", str(ROOT / "stack.yml"), "--port", str(self._port), "--metrics-port", "0",
             "--state", "mongo", "--log-dir", str(home / "logs"), "--state-file", str(home / "run" / "functions.json")],
            self._environ,
            listens=True,
        )  # fmt: skip
        gateway.port = self._port
        self._keep("gateway", gateway)
        for number in range(2):
            environ = dict(self._environ)
            if full and find_compiler() is not None:
                self._clocks.append(Clock(folder / f"clock{number}"))
                environ |= self._clocks[-1].environ
            executor = Program(
                folder / f"executor{number}",
                ["jangada.executor", str(TOYS / "keeps_a_ledger"), "--no-env"],
                environ,
                listens=False,
            )
            self._keep(f"executor{number}", executor)
        with self.client() as client:
            until(lambda: _knows(client), 60, every_s=0.2)

    def _keep(self, name: str, server: Any) -> None:
        self._kept[name] = kept = Kept(name, server, began=server.is_running)
        kept.start()

    def _end(self) -> None:
        # Executors first: they hand back, and need not complain of servers that are gone.
        for kept in reversed(list(self._kept.values())):
            kept.end()
        # Functions outlive a gateway that had to be killed.
        for process in LivePlatform(self._folder / "home").processes():
            with contextlib.suppress(psutil.Error):
                process.kill()

    def client(self, **options: Any) -> Client:
        connection = json.loads((self._folder / "home" / "connection.json").read_text())
        return Client(connection["url"], connection["api_key"], **options)

    def hurt(self, fault: Fault) -> str | None:
        match fault.action:
            case "cut" | "slow" | "stall":
                link = self._links[fault.victim]
                {"cut": link.cut, "stall": link.stall, "slow": lambda: link.slow(0.02 + fault.draw % 100 / 1000)}[
                    fault.action
                ]()
                return fault.victim
            case "fill":
                return self._fill()
            case "jump":
                return self._jump(fault.draw)
        if fault.victim in ("child", "function"):
            return _signal(self._pid(fault), SIGNALS[fault.action])
        name = self._name(fault)
        if name is None or not self._kept[name].signal(SIGNALS[fault.action], fault.lasts_s):
            return None
        return name

    def heal(self, fault: Fault, hit: str) -> None:
        if fault.action in ("cut", "slow", "stall"):
            self._links[hit].heal()
        elif fault.action == "fill":
            (self._disk / "ballast").unlink(missing_ok=True)
        elif fault.action == "pause":
            if hit in self._kept:
                self._kept[hit].signal(signal.SIGCONT)
            else:
                _signal(int(hit), signal.SIGCONT)

    def _name(self, fault: Fault) -> str | None:
        fitting = [name for name in self._kept if name.startswith(fault.victim)]
        if fault.victim in ("master", "replica"):
            masters = self._shape.masters()
            nodes = [name for name in self._shape.servers if name.startswith("node")]
            fitting = masters if fault.victim == "master" else [name for name in nodes if name not in masters]
        return fitting[fault.draw % len(fitting)] if fitting else None

    def _pid(self, fault: Fault) -> int | None:
        if fault.victim == "child":
            executor = self._kept[f"executor{fault.draw % 2}"].server
            return _child_of(executor.pid if executor.is_running else None, fault.draw)
        rows = LivePlatform(self._folder / "home").rows()
        return rows.get("function:router", {}).get("pid")

    def _fill(self) -> str:
        """Write until the disk takes no more."""
        with contextlib.suppress(OSError), (self._disk / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(64 * 1024))
        return str(self._disk)

    def _jump(self, draw: int) -> str:
        """Seconds to hours, back or forth."""
        offset = (-1 if draw & 1 else 1) * (draw % 7200)
        clock = self._clocks[draw % len(self._clocks)]
        clock.set(offset)
        return f"{clock.name} {offset:+d} s"

    def logs(self) -> str:
        files = [*self._folder.glob("*/output.log"), *self._disk.glob("**/output.log")]
        files += (self._folder / "home" / "logs").glob("*.log")
        return "\n".join(f"== {file}\n" + file.read_text(errors="replace")[-3000:] for file in files)


@contextlib.contextmanager
def small_disk(folder: Path, mib: int = DISK_MIB) -> Iterator[Path]:
    """A tmpfs that is soon full."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "jangada-chaos", str(folder)], check=True)
    try:
        yield folder
    finally:
        # Lazily: it goes when the last process that was killed has let go of it.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _environ(folder: Path, redis_url: str, mongo_url: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("JANGADA_")}
    return clean | {
        "JANGADA_HOME": str(folder / "home"),
        "JANGADA_REDIS_URL": redis_url,
        "JANGADA_MONGO_URL": mongo_url,
        "JANGADA_SECRETS_DIR": str(folder / "home" / "secrets"),
        "JANGADA_ARTIFACTS": f"folder:{folder / 'home' / 'artifacts'}",
        "JANGADA_ALGORITHMS_DIR": str(TOYS),
        "JANGADA_TEST_ENVS": str(ENVIRONMENTS),
        "JANGADA_LEASE_S": str(LEASE_S),
        "PYTHONUNBUFFERED": "1",
    }


def _child_of(pid: int | None, draw: int) -> int | None:
    """A process below *pid*."""
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(pid).children(recursive=True) if pid is not None else []
        if children:
            return int(children[draw % len(children)].pid)
    return None


def _signal(pid: int | None, number: signal.Signals) -> str | None:
    with contextlib.suppress(ProcessLookupError):
        if pid is not None:
            os.kill(pid, number)
            return str(pid)
    return None


def _knows(client: Client) -> bool:
    try:
        return ALGORITHM in {algorithm.name for algorithm in client.algorithms()}
    except ClientError:
        time.sleep(0.2)
        return False

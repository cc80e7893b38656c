"""Brings the embedded platform up in this process: everything `jangada up` does besides talking to people."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from jangada.algorithms.manifest import AlgorithmManifest
from jangada.errors import ConfigurationError
from jangada.gateway import lifeline
from jangada.gateway.stack import load_stack
from jangada.local.home import Home
from jangada.local.platform import Platform, algorithms_dir, choose_algorithms, find_root
from jangada.local.state import end_leftovers, held_lock
from jangada.local.supervisor import Observer, Supervisor, unobserved
from jangada.local.watch import EVERY_S, GatewayReload, Tell, Watch, Watched
from jangada.settings import Settings


class AlreadyRunningError(Exception):
    """Raised when a supervisor runs in this home already."""


def home_of(settings: Settings) -> Home:
    """The home that *settings* name, as an absolute path."""
    return Home(settings.home.expanduser().resolve())


def run_platform(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    host: str = "127.0.0.1",
    algorithms: Sequence[str] = (),
    functions: Sequence[Path] = (),
    stacks: Sequence[Path] = (),
    on_demand: bool = False,
    observer: Observer = unobserved,
    watch: Tell | None = None,
) -> None:
    """
    Run the platform until a signal ends it. To be called from the main thread.

    *functions* and *stacks* say where the handlers of users' functions lie. *on_demand*:
    executors start when the first job comes, and go when none comes any more.
    With *watch*, what is changed on disk is started again, and told to it.

    Raises `AlreadyRunningError`, `ConfigurationError` (before anything was
    started) or `StartFailedError`.
    """
    home = home_of(settings)
    root = find_root(Path.cwd())
    names = choose_algorithms(algorithms_dir(settings, root), algorithms)
    home.make()
    with held_lock(home) as is_ours:
        if not is_ours:
            raise AlreadyRunningError
        end_leftovers(home)
        with contextlib.closing(listen(host, settings.port)) as listening:
            port = listening.getsockname()[1]
            platform = Platform(
                root, home, settings, environ, host, port, listening.fileno(), names, tuple(algorithms),
                tuple(path.resolve() for path in functions), tuple(path.resolve() for path in stacks), on_demand,
            )  # fmt: skip
            # The socket stays open here while the gateway is restarted, so its callers wait instead of failing;
            # when the platform stops it must close, or they would wait for nobody.
            look = None if watch is None else _watch(platform, watch).look
            supervisor = Supervisor(platform.plans(), home, platform.url, observer, look=look, look_every_s=EVERY_S)
            # Functions outlive a gateway that is killed, for as long as somebody is there to start another.
            held = lifeline.hold(home.lifeline)
            try:
                supervisor.run(before_stop=listening.close)
            finally:
                os.close(held)


def _watch(platform: Platform, tell: Tell) -> Watch:
    handlers = {
        name: (path.parent / one.handler).resolve()
        for path in (*platform.stacks, platform.root / "stack.yml")
        for name, one in load_stack(path, platform.environ).functions.items()
    }
    for folder in platform.functions:
        handlers |= {file.parent.name: file.parent.resolve() for file in folder.glob("*/handler.py")}
    watched = Watched(
        platform.root,
        handlers=handlers,
        algorithms={one.name: (one.folder.resolve(), *_shared(one)) for one in platform.algorithms},
    )
    return Watch(watched, GatewayReload(platform.url, platform.home.secrets_dir), tell)


def _shared(manifest: AlgorithmManifest) -> tuple[Path, ...]:
    return tuple((manifest.folder.parent / name).resolve() for name in manifest.shared)


def listen(host: str, port: int) -> socket.socket:
    """The public listening socket. Raises `ConfigurationError` that says who has the port, where that can be known."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"port {port} is taken{_by_whom(port)}; choose another with --port or JANGADA_PORT"
            ) from error
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def _by_whom(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""

"""``python -m jangada.gateway``: the gateway by itself, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jangada import logs
from jangada.errors import ConfigurationError
from jangada.gateway.basic_auth import Credentials
from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.errors import DeployRefusedError
from jangada.gateway.handlers import Handlers
from jangada.gateway.lifeline import GRACE_S
from jangada.gateway.provider import Provider
from jangada.gateway.provider_process import ProcessProvider
from jangada.gateway.scaling import read_duration
from jangada.gateway.server import Gateway
from jangada.gateway.stack import Stack, load_stack
from jangada.gateway.state import GatewayState
from jangada.gateway.state_memory import MemoryState
from jangada.logs import get_logger
from jangada.settings import Settings

_METRICS_PORT = 8082
_PATIENCE_S = 300.0

log = get_logger(part="gateway")


def main() -> int:
    """Run the gateway; exit code 2 on a wrong setting, told in one line."""
    options = _options()
    try:
        settings = Settings.from_env(os.environ)
        logs.configure(settings.log_level, settings.log_format)
        options.provider = options.provider or settings.provider
        _run(_serve(options, settings))
    except (ConfigurationError, DeployRefusedError, OSError) as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 2
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jangada.gateway", description="The gateway by itself.")
    parser.add_argument("--provider", choices=("process", "docker"), help="what functions run as [JANGADA_PROVIDER]")
    parser.add_argument("--stack", type=Path, help="the platform's own functions, deployed at once (process only)")
    parser.add_argument("--functions", type=Path, action="append", default=[], help="a folder of users' handlers")
    parser.add_argument("--user-stack", type=Path, action="append", default=[], help="a stack file of users' handlers")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--listen-fd", type=int, help="serve on this inherited socket instead of --host and --port")
    parser.add_argument("--metrics-port", type=int, help="Prometheus' port on the same host, 0 for none [8082]")
    parser.add_argument(
        "--state", choices=("mongo", "memory"), help="memory unless JANGADA_MONGO_URL, or the secret mongo-url, is set"
    )
    parser.add_argument("--log-dir", type=Path, default=Path(".jangada/logs"))
    parser.add_argument("--state-file", type=Path, default=Path(".jangada/run/functions.json"))
    parser.add_argument(
        "--orphans-live-s", type=float, default=GRACE_S, metavar="S",
        help="how long functions (process only) wait for another gateway after this one was killed [60]",
    )  # fmt: skip
    return parser.parse_args()


def _run(serving: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(serving)
    else:
        uvloop.run(serving)


async def _serve(options: argparse.Namespace, settings: Settings) -> None:
    from jangada.gateway.asynchronous_opening import open_asynchronous

    stack = _stack(options)
    state = _state(options, settings)
    provider = _provider(options, settings, state, stack)
    listening = _listen(options)
    metrics = _listen_for_metrics(options)
    gateway = Gateway(
        provider,
        version=version("jangada"),
        state=state,
        stack=[FunctionDeployment.from_stack(function) for function in stack.functions.values()] if stack else (),
        secrets_dir=settings.secrets_dir,
        credentials=_credentials(settings),
        idle_s=_patience_s(os.environ),
    )
    gateway.asynchronous, close_stores = open_asynchronous(
        settings, lambda: [one.deployment.annotations for one in gateway.control.all()]
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await gateway.start(listening, metrics)
    log.info("gateway.serving", provider=provider.name, state=type(state).__name__, **_addresses(listening, metrics))
    with contextlib.suppress(asyncio.CancelledError):
        await stop.wait()
    await gateway.stop()
    close_stores()


def _patience_s(environ: Mapping[str, str]) -> float:
    """How long a function may be silent: OpenFaaS' variable ``upstream_timeout``. Raises `ConfigurationError`."""
    text = environ.get("upstream_timeout", "")
    if not text.strip():
        return _PATIENCE_S
    found = read_duration(text)
    if not found:
        raise ConfigurationError(f"upstream_timeout={text!r}: expected a duration such as 60, 60s or 1m30s")
    return found


def _stack(options: argparse.Namespace) -> Stack | None:
    if options.provider != "process":
        return None
    default = Path("stack.yml")
    path = options.stack or (default if not (options.functions or options.user_stack) else None)
    return load_stack(path.resolve(), os.environ) if path is not None else None


def _provider(options: argparse.Namespace, settings: Settings, state: GatewayState, stack: Stack | None) -> Provider:
    if options.provider == "docker":
        return _docker(settings, state)
    handlers = Handlers(stack.root if stack is not None else Path.cwd())
    if stack is not None:
        handlers.add_stack(stack, of_platform=True)
    for path in options.user_stack:
        handlers.add_stack(load_stack(path.resolve(), os.environ))
    for folder in options.functions:
        handlers.add_folder(folder.resolve())
    options.log_dir.mkdir(parents=True, exist_ok=True)
    options.state_file.parent.mkdir(parents=True, exist_ok=True)
    return ProcessProvider(
        handlers, state.secret, environ=os.environ, log_dir=options.log_dir, state_file=options.state_file,
        grace_s=options.orphans_live_s,
    )  # fmt: skip


def _docker(settings: Settings, state: GatewayState) -> Provider:
    try:
        from jangada.gateway.provider_docker import DockerProvider
        from jangada.gateway.provider_docker_engine import Engine
        from jangada.gateway.provider_docker_spec import DockerOptions
    except ImportError as error:
        raise ConfigurationError(f"the docker provider needs the extra jangada[docker]: {error}") from error
    # Who shares a network is one platform.
    return DockerProvider(
        Engine(
            DockerOptions(
                secrets_dir=settings.docker_secrets_dir,
                owner=settings.docker_network,
                network=settings.docker_network,
                runtime=settings.docker_runtime,
            )
        ),
        state.secret,
    )


def _state(options: argparse.Namespace, settings: Settings) -> GatewayState:
    has_store = os.environ.get("JANGADA_MONGO_URL") or (settings.secrets_dir / "mongo-url").is_file()
    kind = options.state or ("mongo" if has_store else "memory")
    if kind == "memory":
        return MemoryState()
    from jangada.gateway.sealing import KEY_FILE, Sealer
    from jangada.gateway.state_mongo import MongoState
    from jangada.mongo_client import connect_mongo

    own = settings.home.expanduser().resolve() / "secrets"
    folder = settings.secrets_dir if (settings.secrets_dir / KEY_FILE).is_file() else own
    return MongoState(connect_mongo(settings), settings.mongo_database, Sealer.from_folder(folder))


def _listen(options: argparse.Namespace) -> socket.socket:
    if options.listen_fd is not None:
        return socket.socket(fileno=options.listen_fd)
    return socket.create_server((options.host, options.port), backlog=1024)


def _listen_for_metrics(options: argparse.Namespace) -> socket.socket | None:
    if options.metrics_port == 0:
        return None
    try:
        return socket.create_server((options.host, options.metrics_port or _METRICS_PORT))
    except OSError as error:
        if options.metrics_port is not None:
            raise
        # Nobody asked for this very port; a second gateway on the machine is no mistake.
        log.warning("metrics.off", port=_METRICS_PORT, reason=error.strerror)
        return None


def _addresses(listening: socket.socket, metrics: socket.socket | None) -> dict[str, int | None]:
    return {"port": listening.getsockname()[1], "metrics_port": metrics.getsockname()[1] if metrics else None}


def _credentials(settings: Settings) -> Credentials | None:
    found = Credentials.from_folder(settings.secrets_dir)
    if found is None:
        log.warning("gateway.open", note=f"no basic-auth-user in {settings.secrets_dir}: anyone may use /system")
    return found


if __name__ == "__main__":
    sys.exit(main())

"""``python -m jangada.gateway``: serve ``stack.yml`` with the process provider until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jangada import logs
from jangada.errors import ConfigurationError
from jangada.gateway.asynchronous_opening import open_asynchronous
from jangada.gateway.provider_process import ProcessProvider
from jangada.gateway.server import Gateway
from jangada.gateway.stack import load_stack
from jangada.settings import Settings


def main() -> int:
    """Run the gateway; exit code 2 on a wrong setting, told in one line."""
    options = _options()
    try:
        settings = Settings.from_env(os.environ)
        logs.configure(settings.log_level, settings.log_format)
        _run(_serve(options, settings))
    except (ConfigurationError, OSError) as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 2
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jangada.gateway", description="The gateway by itself.")
    parser.add_argument("--stack", type=Path, default=Path("stack.yml"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--listen-fd", type=int, help="serve on this inherited socket instead of --host and --port")
    parser.add_argument("--log-dir", type=Path, default=Path(".jangada/logs"))
    parser.add_argument("--state-file", type=Path, default=Path(".jangada/run/functions.json"))
    return parser.parse_args()


def _run(serving: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(serving)
    else:
        uvloop.run(serving)


async def _serve(options: argparse.Namespace, settings: Settings) -> None:
    stack = load_stack(options.stack.resolve(), os.environ)
    options.log_dir.mkdir(parents=True, exist_ok=True)
    options.state_file.parent.mkdir(parents=True, exist_ok=True)
    provider = ProcessProvider(
        stack,
        environ=os.environ,
        log_dir=options.log_dir,
        state_file=options.state_file,
        secrets_dir=settings.secrets_dir,
    )
    if options.listen_fd is None:
        listening = socket.create_server((options.host, options.port), backlog=1024)
    else:
        listening = socket.socket(fileno=options.listen_fd)
    asynchronous, close_stores = open_asynchronous(
        settings, lambda: [function.annotations for function in provider.functions()]
    )
    gateway = Gateway(provider, version=version("jangada"), asynchronous=asynchronous)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await gateway.start(listening)
    with contextlib.suppress(asyncio.CancelledError):
        await stop.wait()
    await gateway.stop()
    close_stores()


if __name__ == "__main__":
    sys.exit(main())

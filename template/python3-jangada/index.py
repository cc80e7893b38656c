"""
Serves one function: Flask (or any WSGI application) on waitress, without a watchdog in front.

In a container the function lies in ``/home/app/function`` and everything comes from
the environment. Outside of one:

    python template/python3-jangada/index.py --function functions/hello --port 8081 --metrics-port 0
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import lifeline
from deadline import limited
from loading import LoadError, load_app
from memory import give_back_large
from metrics import Metrics, serve_metrics
from serving import State, close_idle_connections, make_server, run
from variables import Variables

from jangada import logs
from jangada.errors import ConfigurationError
from jangada.settings import Settings

CONTAINER_FOLDER = Path("/home/app/function")
EXIT_CONFIGURATION = 2
_READ_BEYOND_BYTES = 64 * 1024 * 1024


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    options = _read_options(arguments)
    give_back_large()
    try:
        settings = Settings.from_env(os.environ)
        logs.configure(settings.log_level, settings.log_format)
        # Before the function starts, so that a busy port is said at once.
        listener = _listen(options.host, options.port)
        variables = _read_variables(options)
        app = load_app(options.function)
    except (ConfigurationError, LoadError, OSError) as error:
        print(f"{options.function}: {error}", file=sys.stderr)  # noqa: T201  (logging may not be set up)
        return EXIT_CONFIGURATION
    log = logs.get_logger(function=options.name)
    state = State(Metrics(), variables.max_inflight or settings.max_inflight)
    body_limit = _body_limit(app, settings)
    if variables.exec_s is not None:
        app = limited(app, variables.exec_s, state.max_inflight + settings.threads)
    server = make_server(
        app,
        state,
        listener=listener,
        threads=settings.threads,
        max_body_bytes=body_limit,
        log_request=_request_logger(log),
        silence_s=variables.silence_s,
        ready_path=variables.ready_path,
    )
    metrics_server = serve_metrics(state.metrics, options.host, options.metrics_port) if options.metrics_port else None
    life = _Life(server, state, options)
    signal.signal(signal.SIGTERM, life.on_signal)
    signal.signal(signal.SIGINT, life.on_signal)
    lifeline.watch(os.environ, life.end)
    life.create_lock_file()
    log.info("function.serving", port=listener.getsockname()[1], threads=settings.threads)
    try:
        run(server, life.stopped)
    finally:
        life.remove_lock_file()
        if metrics_server is not None:
            metrics_server.server_close()
    log.info("function.stopped", drained=life.drained)
    sys.stderr.flush()
    # Threads of requests that outlived the drain, and of libraries, must not hold the process.
    os._exit(0)


class _Life:
    """From the signal to the exit: not ready, finish what is in flight, stop."""

    def __init__(self, server: Any, state: State, options: argparse.Namespace) -> None:
        self._server = server
        self._state = state
        self._delay_s: float = options.drain_delay_s
        self._drain_s: float = options.drain_s
        self._lock_file: Path | None = options.lock_file
        self.drained = False
        self.stopped = threading.Event()

    def on_signal(self, signum: int, frame: FrameType | None) -> None:
        """Begin to drain; a second signal stops at once."""
        del signum, frame
        if self._state.draining.is_set():
            os._exit(1)
        self._state.draining.set()
        self.remove_lock_file()
        threading.Thread(target=self._drain, name="drain", daemon=True).start()

    def end(self) -> None:
        """Drain, and end in any case: nobody is left who would kill what hangs."""
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(self._delay_s + self._drain_s + 2.0)
        os._exit(1)

    def create_lock_file(self) -> None:
        """Say to a health check that reads the file that we accept requests; a read-only disk is tolerated."""
        if self._lock_file is not None:
            try:
                self._lock_file.touch()
            except OSError:
                self._lock_file = None

    def remove_lock_file(self) -> None:
        """The opposite."""
        if self._lock_file is not None:
            self._lock_file.unlink(missing_ok=True)

    def _drain(self) -> None:
        # Still accepting: whoever routes to us needs a moment to learn that we are not ready.
        if self._delay_s:
            threading.Event().wait(self._delay_s)
        self._server.accepting = False
        close_idle_connections(self._server)
        self.drained = self._state.wait_until_idle(self._drain_s)
        # The last answers may still lie in buffers that the loop sends.
        threading.Event().wait(0.1)
        self.stopped.set()
        self._server.pull_trigger()


def _read_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve one function.")
    parser.add_argument("--function", type=Path, help="its folder (default: the container's)")
    parser.add_argument("--host", help="address to listen on (default: all in a container, else 127.0.0.1)")
    parser.add_argument("--port", type=int, default=int(os.environ.get("port") or 8080))  # noqa: SIM112  (OpenFaaS' name)
    parser.add_argument("--metrics-port", type=int, default=8081, help="0: none")
    parser.add_argument("--drain-delay-s", type=float, help="how long to accept after SIGTERM [0.5]")
    parser.add_argument("--drain-s", type=float, help="how long requests in flight may take then [8]")
    options = parser.parse_args(arguments)
    in_container = options.function is None
    options.function = options.function or CONTAINER_FOLDER
    options.name = os.environ.get("OPENFAAS_NAME") or options.function.name
    options.host = options.host or ("0.0.0.0" if in_container else "127.0.0.1")  # noqa: S104  (a container's own)
    wants_lock = in_container and os.environ.get("suppress_lock", "false").lower() != "true"  # noqa: SIM112
    options.lock_file = Path(tempfile.gettempdir(), ".lock") if wants_lock else None
    return options


def _read_variables(options: argparse.Namespace) -> Variables:
    try:
        variables = Variables.read(os.environ)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    # What stands on the command line was meant for this very process.
    if options.drain_delay_s is None:
        options.drain_delay_s = 0.5 if variables.drain_delay_s is None else variables.drain_delay_s
    if options.drain_s is None:
        options.drain_s = 8.0 if variables.drain_s is None else variables.drain_s
    return variables


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def _body_limit(app: Any, settings: Settings) -> int:
    # What is somewhat too large is read and refused by the application: a client that is
    # cut off while it sends often never sees the answer. Far over the limit, we stop reading.
    config = getattr(app, "config", {})
    limit = config.get("MAX_CONTENT_LENGTH") if isinstance(config, dict) else None
    return int(limit or settings.max_body_bytes) + _READ_BEYOND_BYTES


def _request_logger(log: logs.Logger) -> Any:
    def log_request(environ: dict[str, Any], status: int, sent: int, seconds: float) -> None:
        log.info(
            "http.request",
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"],
            status=status,
            bytes=sent,
            duration_s=round(seconds, 6),
            request_id=environ.get("jangada.request_id") or environ.get("HTTP_X_REQUEST_ID"),
        )

    return log_request


if __name__ == "__main__":
    sys.exit(main())

"""``GET /metrics`` and ``/healthz`` on a port of the executor's own: for the internal network, without credentials."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from jangada.errors import ConfigurationError
from jangada.executor.metrics_text import CONTENT_TYPE

READ_WITHIN_S = 2.0
"""For a whole request: they are answered one at a time, and a silent client must not keep others waiting."""
_MOST_BYTES = 8192


class MetricsServer:
    """
    Answers on a thread that sleeps until somebody connects.

    By hand, since `http.server` would cost the executor's parent another MiB.
    """

    def __init__(self, page: Callable[[], str], listen: str) -> None:
        """Listen on ``[host:]port``; raises `ConfigurationError` when that cannot be."""
        host, _, port = listen.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._page = page
        try:
            self._listener = socket.create_server((host.strip("[]") or "127.0.0.1", int(port)), family=family)
        except OSError as error:
            raise ConfigurationError(f"cannot serve metrics on {listen}: {error.strerror or error}") from error
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; a request in progress is waited for."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join(READ_WITHIN_S + 1)
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        line = _read_request(connection)
        if line is None:
            return
        method, _, rest = line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        status, kind, body = "404 Not Found", "text/plain", "not found: /metrics is here\n"
        if method not in {"GET", "HEAD"}:
            status, body = "405 Method Not Allowed", "expected GET\n"
        elif path == "/metrics":
            try:
                status, kind, body = "200 OK", CONTENT_TYPE, self._page()
            except Exception as error:  # noqa: BLE001 — one page that cannot be made must not end all that follow
                status, body = "500 Internal Server Error", f"{type(error).__name__}\n"
        elif path == "/healthz":
            status, body = "200 OK", "OK"
        content = body.encode()
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        )
        connection.settimeout(READ_WITHIN_S)
        connection.sendall(head.encode() + (b"" if method == "HEAD" else content))


def _read_request(connection: socket.socket) -> str | None:
    """The first line of a request whose head has arrived; None when it does not come in time, or is too long."""
    until = time.monotonic() + READ_WITHIN_S
    received = b""
    while b"\r\n\r\n" not in received and b"\n\n" not in received:
        left_s = until - time.monotonic()
        if left_s <= 0 or len(received) > _MOST_BYTES:
            return None
        connection.settimeout(left_s)
        some = connection.recv(4096)
        if not some:
            return None
        received += some
    return received.partition(b"\n")[0].decode("latin-1").strip()

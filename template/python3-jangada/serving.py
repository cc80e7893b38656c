"""
Waitress with what a function's process needs besides: what OpenFaaS' watchdog would do.

- ``/_/health`` and ``/_/ready`` answer on a thread of their own, also when all others are busy.
- More than *max_inflight* requests at once are answered 429 at once, without waiting for a thread.
- Draining: not ready any more, connections close after their answer, requests in flight end.
- Errors that waitress itself answers look like every other error (RFC 9457).
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from loading import WsgiApp
from metrics import Metrics
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import Error

HEALTH, READY = "/_/health", "/_/ready"
RETRY_AFTER_S = 1
IDLE_CONNECTION_S = 120
MAX_CONNECTIONS = 2000
LINGER_S = 10.0
LINGER_READ_BYTES = 256 * 1024

LogRequest = Callable[[dict[str, Any], int, int, float], None]
"""Called after each request: environ, status, bytes sent, seconds."""

_CODES = {
    400: "malformed_request",
    413: "too_large",
    429: "overloaded",
    431: "request_header_fields_too_large",
    503: "overloaded",
}


class TooManyInFlight(Error):  # noqa: N818  (it is an answer, as waitress calls them)
    """The answer to a request that is one too many."""

    code, reason = 429, "Too Many Requests"


class State:
    """What the process' threads know of each other: requests in flight, and whether it drains."""

    def __init__(self, metrics: Metrics, max_inflight: int) -> None:
        self.metrics = metrics
        self.max_inflight = max_inflight
        self.draining = threading.Event()
        self._idle = threading.Condition()
        self._in_flight = 0

    @property
    def is_full(self) -> bool:
        """Whether one more request would be too many."""
        return self._in_flight >= self.max_inflight

    def enter(self) -> bool:
        """Count a request in; False when it is one too many."""
        with self._idle:
            if self._in_flight >= self.max_inflight:
                return False
            self._in_flight += 1
            self.metrics.in_flight = self._in_flight
            return True

    def leave(self) -> None:
        """Count a request out."""
        with self._idle:
            self._in_flight -= 1
            self.metrics.in_flight = self._in_flight
            if not self._in_flight:
                self._idle.notify_all()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight; False when *timeout_s* passed first."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._in_flight, timeout_s)


class _Counted:
    """A channel's turn, counted as in flight from when it waits for a thread to the last byte."""

    def __init__(self, channel: HTTPChannel, state: State) -> None:
        self._channel = channel
        self._state = state

    def service(self) -> None:
        try:
            self._channel.service()
        finally:
            self._state.leave()

    def cancel(self) -> None:
        try:
            self._channel.cancel()
        finally:
            self._state.leave()


class Dispatcher(ThreadedTaskDispatcher):
    """Sends the platform's own questions, and refusals, down a lane that no request can block."""

    def __init__(self, state: State, threads: int) -> None:
        super().__init__()
        self.queue_logger.disabled = True  # a queue is no news: in-flight is a metric
        self._state = state
        self._express = ThreadedTaskDispatcher()
        self._express.set_thread_count(1)
        self.set_thread_count(threads)

    def add_task(self, task: HTTPChannel) -> None:
        """Queue the first waiting request of the channel *task*."""
        request = task.requests[0]
        if request.error or request.path in (HEALTH, READY):
            self._express.add_task(task)
        elif self._state.enter():
            super().add_task(_Counted(task, self._state))
        else:
            request.error = TooManyInFlight(f"{self._state.max_inflight} requests are being handled already")
            self._express.add_task(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 1) -> bool:
        """Stop the threads."""
        self._express.shutdown(cancel_pending, timeout)
        return super().shutdown(cancel_pending, timeout)


class _ProblemTask(ErrorTask):
    """Answers what waitress refuses by itself."""

    def execute(self) -> None:
        error, metrics = self.request.error, self.channel.server.state.metrics
        code = _CODES.get(error.code, "internal" if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR else "bad_request")
        document = {
            "type": f"/problems/{code.replace('_', '-')}",
            "title": error.reason,
            "status": error.code,
            "detail": str(error.body),
            "code": code,
        }
        body = json.dumps(document).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", "application/problem+json"), ("X-OpenFaaS-Internal", "jangada")]
        if isinstance(error, TooManyInFlight):
            # Its body was read, so the connection is good for another request.
            self.response_headers.append(("Retry-After", str(RETRY_AFTER_S)))
        else:
            self.set_close_on_finish()
            self.channel.lingers = True
        self.content_length = len(body)
        self.write(body)
        metrics.observe(self.request.command or "other", error.code, time.time() - self.start_time)


class _DrainingTask(WSGITask):
    """Tells the client to use another connection once this process drains."""

    def build_response_header(self) -> bytes:
        if self.channel.server.state.draining.is_set():
            self.set_close_on_finish()
        return super().build_response_header()


class _Channel(HTTPChannel):
    """
    A connection that is closed politely when a request was refused before it was read to its end.

    Closing with unread bytes resets the connection, and the client, which is still
    sending, never sees the answer. So: half-close, read on into nothing for a while.
    """

    task_class = _DrainingTask
    error_task_class = _ProblemTask
    lingers = False
    _lingers_until: float | None = None

    def readable(self) -> bool:
        if self._lingers_until is None:
            return bool(super().readable())
        if time.monotonic() > self._lingers_until:
            self.will_close = True
        return not self.will_close

    def handle_read(self) -> None:
        if self._lingers_until is None:
            super().handle_read()
            return
        try:
            self.recv(LINGER_READ_BYTES)
        except OSError:
            self.handle_close()

    def handle_close(self) -> None:
        if self.lingers and self._lingers_until is None and self.connected:
            self._lingers_until = time.monotonic() + LINGER_S
            self.will_close = False
            try:
                self.socket.shutdown(socket.SHUT_WR)
                return
            except OSError:
                pass  # the client was faster
        super().handle_close()


def make_server(
    app: WsgiApp,
    state: State,
    *,
    listener: socket.socket,
    threads: int,
    max_body_bytes: int,
    log_request: LogRequest | None = None,
    silence_s: float | None = None,
    ready_path: str | None = None,
) -> Any:
    """
    A waitress server for *app* on *listener*; call its `run`.

    A connection that says nothing for *silence_s* is closed. With *ready_path* the
    application itself is asked, there, whether it is ready.
    """
    server = create_server(
        _watched(app, state, log_request, ready_path),
        sockets=[listener],
        _dispatcher=Dispatcher(state, threads),
        _start=False,
        ident=None,
        # The application judges X-Forwarded-* itself; by default waitress would delete them.
        clear_untrusted_proxy_headers=False,
        connection_limit=MAX_CONNECTIONS,
        backlog=1024,
        channel_timeout=IDLE_CONNECTION_S if silence_s is None else max(1, round(silence_s)),
        # Lets a long answer notice that its client has gone (environ["waitress.client_disconnected"]).
        channel_request_lookahead=1,
        asyncore_use_poll=True,
        max_request_body_size=max_body_bytes,
        expose_tracebacks=False,
    )
    server.state = state
    server.channel_class = _Channel
    server.accept_connections()
    return server


def run(server: Any, stopped: threading.Event) -> None:
    """Serve until *stopped* is set (and the server's trigger pulled, so that its loop looks)."""
    while not stopped.is_set():
        wasyncore.loop(timeout=1.0, use_poll=True, map=server._map, count=1)
    server.close()
    server.task_dispatcher.shutdown()


def close_idle_connections(server: Any) -> None:
    """Let every connection close on which nothing is going on."""
    for channel in list(server.active_channels.values()):
        if not channel.requests and channel.request is None:
            channel.will_close = True
    server.pull_trigger()


def _watched(app: WsgiApp, state: State, log_request: LogRequest | None, ready_path: str | None) -> WsgiApp:
    """*app* with the platform's own paths, metrics and one log line per request."""

    def watched(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in (HEALTH, READY):
            if path == READY and ready_path is not None and not (state.draining.is_set() or state.is_full):
                asked = {"REQUEST_METHOD": "GET", "PATH_INFO": ready_path, "QUERY_STRING": ""}
                return app(environ | asked, start_response)
            return _answer_platform(path, state, start_response)
        environ["jangada.is_draining"] = state.draining.is_set
        answer = _Answer(environ, state, log_request)
        answer.body = app(environ, answer.starts(start_response))
        return answer

    return watched


class _Answer:
    """An application's answer, watched until its end."""

    def __init__(self, environ: dict[str, Any], state: State, log_request: LogRequest | None) -> None:
        self._environ = environ
        self._state = state
        self._log_request = log_request
        self._started = time.perf_counter()
        self._status = 500
        self._sent = 0
        self.body: Iterable[bytes] = ()

    def starts(self, start_response: Callable[..., Any]) -> Callable[..., Any]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            self._status = int(status[:3])
            return start_response(status, headers, exc_info)

        return start

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.body:
            self._sent += len(chunk)
            yield chunk

    def close(self) -> None:
        try:
            close = getattr(self.body, "close", None)
            if close is not None:
                close()
        finally:
            seconds = time.perf_counter() - self._started
            self._state.metrics.observe(self._environ["REQUEST_METHOD"], self._status, seconds)
            if self._log_request is not None:
                self._log_request(self._environ, self._status, self._sent, seconds)


def _answer_platform(path: str, state: State, start_response: Callable[..., Any]) -> Iterable[bytes]:
    status, text = "200 OK", b"OK"
    if path == READY and state.draining.is_set():
        status, text = "503 Service Unavailable", b"draining"
    elif path == READY and state.is_full:
        status, text = "429 Too Many Requests", b"busy"
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))])
    return [text]

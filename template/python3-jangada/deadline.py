"""
A bound on how long a request may go without an answer: then it is 504, as OpenFaaS' watchdog has it.

Python cannot end a thread. The function goes on with what it does, and nobody hears
of it; so that such threads cannot pile up, there are only so many.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from loading import WsgiApp
from variables import seconds

_STREAMING = ("text/event-stream", "application/x-ndjson")
_CHUNKS_AHEAD = 8
_PATIENCE_S = 0.5


def limited(app: WsgiApp, most_s: float, most_running: int) -> WsgiApp:
    """
    *app*, whose answers must begin within *most_s*; a request's ``X-Timeout`` shortens that, and never lengthens it.

    Requests for a stream are let be. *most_running* bounds the threads; more requests are 503.
    """
    room = threading.BoundedSemaphore(most_running)

    def run(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if any(kind in environ.get("HTTP_ACCEPT", "").lower() for kind in _STREAMING):
            return app(environ, start_response)
        if not room.acquire(blocking=False):
            return _refuse(start_response, "503 Service Unavailable", "overloaded", "too many requests have timed out")
        limit_s = min(most_s, _asked(environ))
        call = _Call(app, environ, room)
        head = call.begin(limit_s)
        if head is None:
            return _refuse(start_response, "504 Gateway Timeout", "timeout", f"no answer within {limit_s:g} s")
        start_response(*head)
        return call

    return run


class _Call:
    """One call on a thread of its own; iterating gives its body."""

    def __init__(self, app: WsgiApp, environ: dict[str, Any], room: threading.BoundedSemaphore) -> None:
        self._app = app
        self._environ = environ
        self._room = room
        self._said: queue.Queue[Any] = queue.Queue(_CHUNKS_AHEAD)
        self._is_abandoned = threading.Event()
        self._head: tuple[Any, ...] = ()
        self._first: Any = None

    def begin(self, within_s: float) -> tuple[Any, ...] | None:
        """Status and headers; None when they did not come in time. Raises what the application raised."""
        threading.Thread(target=self._work, name="call", daemon=True).start()
        try:
            self._first = self._said.get(timeout=within_s)
        except queue.Empty:
            self._is_abandoned.set()
            return None
        if isinstance(self._first, BaseException):
            raise self._first
        return self._head

    def __iter__(self) -> Iterator[bytes]:
        chunk = self._first
        while chunk is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk
            chunk = self._said.get()

    def close(self) -> None:
        """Nobody reads on."""
        self._is_abandoned.set()

    def _work(self) -> None:
        try:
            body = self._app(self._environ, self._start)
            try:
                for chunk in body:
                    self._say(chunk)
            finally:
                close = getattr(body, "close", None)
                if close is not None:
                    close()
            self._say(None)
        except BaseException as error:  # noqa: BLE001 - raised where the request is served
            self._say(error)
        finally:
            self._room.release()

    def _start(self, *head: Any) -> Callable[[bytes], None]:
        self._head = head
        return self._say

    def _say(self, word: Any) -> None:
        while not self._is_abandoned.is_set():
            try:
                self._said.put(word, timeout=_PATIENCE_S)
                return
            except queue.Full:
                continue


def _asked(environ: dict[str, Any]) -> float:
    try:
        return seconds(environ.get("HTTP_X_TIMEOUT", "")) or float("inf")
    except ValueError:
        return float("inf")


def _refuse(start_response: Callable[..., Any], status: str, code: str, detail: str) -> Iterable[bytes]:
    title = status.partition(" ")[2]
    problem = {"type": f"/problems/{code}", "title": title, "status": int(status[:3]), "detail": detail, "code": code}
    body = json.dumps(problem).encode()
    headers = [
        ("Content-Type", "application/problem+json"), ("Content-Length", str(len(body))),
        ("X-OpenFaaS-Internal", "jangada"),
    ]  # fmt: skip
    if code == "overloaded":
        headers.append(("Retry-After", "1"))
    start_response(status, headers)
    return [body]

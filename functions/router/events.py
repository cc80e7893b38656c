"""A job's events as server-sent events (WHATWG HTML §9.2; api-conventions §5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from flask import Response, request

from jangada.errors import InvalidRequestError, JangadaError, OverloadedError, PurgedError, UnknownJobError
from jangada.http.holding import Holding
from jangada.http.render import dumps
from jangada.jobs.job import FINAL_STATUSES, Job
from jangada.jobs.queue import JobEvent
from jangada.jobs.service import JobService
from jangada.jobs.view import job_object

KEEP_ALIVE_S = 15.0
LOOK_EVERY_S = 2.0
RECONNECT_MS = 3000
_FINAL_TYPES = frozenset(f"job.{status.value}" for status in FINAL_STATUSES)
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_LARGEST_NUMBER = 10**15
_MOST_DIGITS = 16


def last_seen() -> int:
    """The number after which the caller wants events: `Last-Event-ID`, else `?after=`, else 0."""
    text = request.headers.get("Last-Event-ID") or request.args.get("after") or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS) or int(text) > _LARGEST_NUMBER:
        raise InvalidRequestError(f"Last-Event-ID or after: expected the number of an event, found {text[:40]!r}")
    return int(text)


def wants_events() -> bool:
    """Whether the caller accepts an event stream and said so by name."""
    return "text/event-stream" in request.headers.get("Accept", "")


def stream(jobs: JobService, holding: Holding, job: Job, *, after: int, base: str) -> Response:
    """
    The events of *job* after number *after*, until its final one.

    Raises `OverloadedError` when this process holds as many waiting requests as it may.
    """
    if not holding.enter():
        raise OverloadedError(
            f"{holding.places} requests wait here already; ask again, or poll the job", retry_after_s=5
        )
    gone = request.environ.get("waitress.client_disconnected")
    body = _Stream(EventSource(jobs, job, after=after, base=base, is_gone=gone), holding.leave)
    return Response(body, 200, _HEADERS, content_type="text/event-stream; charset=utf-8", direct_passthrough=True)


class _Stream:
    """An iterator that gives its place back however it ends: also when it was never begun."""

    def __init__(self, source: EventSource, leave: Callable[[], None]) -> None:
        self._lines = source.lines()
        self._leave: Callable[[], None] | None = leave

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._lines)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Called by the WSGI server when the caller is gone or has everything."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


@dataclass(slots=True)
class EventSource:
    """The text of one stream."""

    jobs: JobService
    job: Job
    after: int
    base: str
    is_gone: Callable[[], bool] | None = None
    """Whether the caller has gone away, where the server can tell; asked each `LOOK_EVERY_S`."""
    keep_alive_s: float = KEEP_ALIVE_S

    def lines(self) -> Iterator[bytes]:
        """Blocks for at most `keep_alive_s` between two of them."""
        yield b"retry: %d\n\n" % RECONNECT_MS
        try:
            yield from self._events()
        except JangadaError as error:
            # The answer has begun, so its status cannot tell any more. The caller reconnects with its last number.
            yield frame("error", {"code": error.code, "message": error.detail})

    def _events(self) -> Iterator[bytes]:
        if self.after and self._lost_track():
            yield from self._gap()
            self.after = 0
            if self.job.is_final:
                yield self._final()
                return
        silent_since = time.monotonic()
        while True:
            asked_at = time.monotonic()
            events = self.jobs.events(self.job, self.after, min(self.keep_alive_s, LOOK_EVERY_S))
            for event in events:
                if self.after and event.number > self.after + 1 and event.type not in _FINAL_TYPES:
                    yield from self._gap()
                self.after = event.number
                yield frame(event.type, _data(event), event.number)
                if event.type in _FINAL_TYPES:
                    return
            now = time.monotonic()
            if events:
                silent_since = now
                continue
            if self.is_gone is not None and self.is_gone():
                return
            if now - silent_since < self.keep_alive_s:
                # Something that could not block for as long as it was asked to must not make us spin.
                time.sleep(max(0.0, 0.05 - (now - asked_at)))
                continue
            silent_since = now
            yield b": keep-alive\n\n"
            if self._ended_unseen():
                yield from self._gap()
                yield self._final()
                return

    def _lost_track(self) -> bool:
        """Whether the caller's last event is one that is not kept any more."""
        known = self.jobs.events(self.job, self.after - 1, 0.0)
        # Nobody comes back after the final event: one in its place stands for all that are not kept any more.
        return not known or known[0].number != self.after or known[0].type in _FINAL_TYPES

    def _ended_unseen(self) -> bool:
        """Whether the job ended without an event to tell of it: the queue's memory was lost."""
        try:
            self.job = self.jobs.get(self.job.id, self.job.tenant_id)
        except (UnknownJobError, PurgedError):
            return False
        return self.job.is_final and not self.jobs.events(self.job, self.after, 0.0)

    def _gap(self) -> Iterator[bytes]:
        self.job = self.jobs.get(self.job.id, self.job.tenant_id)
        yield frame("error", {"code": "gap", "message": "events were lost; a snapshot of the job follows"})
        yield frame("job.snapshot", job_object(self.job, self.base))

    def _final(self) -> bytes:
        return frame(f"job.{self.job.status.value}", {"status": self.job.status.value})


def frame(type: str, data: dict[str, Any], number: int | None = None) -> bytes:
    """One event. JSON has no raw line break, so `data` is one line."""
    head = b"" if number is None else b"id: %d\n" % number
    return head + b"event: " + type.encode() + b"\ndata: " + dumps(data) + b"\n\n"


def _data(event: JobEvent) -> dict[str, Any]:
    status = event.type.removeprefix("job.")
    if status in {"queued", "starting", "running"} or event.type in _FINAL_TYPES:
        return {"status": status, **event.data}
    return event.data

"""Following one job until its end: over server-sent events, and by polling where those do not get through."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator

from jangada.client import sse
from jangada.client.errors import ApiError, GoneError, NotFoundError, UnreachableError, WaitTimeoutError
from jangada.client.paths import at
from jangada.client.records import Event, Job
from jangada.client.retrying import delay_s, parse_retry_after
from jangada.client.transport import Transport, foreign_errors, read_json
from jangada.clock import utc_now

_SILENCE_S = 40.0
"""The platform sends a comment each 15 s: after this long without a byte the connection is dead."""
_POLL_S = 1.0
_SHORTEST_POLL_S = 0.2
_MOST_FAILURES = 8

OnEvent = Callable[[Event], None]


class Watch:
    """The events of one job from number *after* on; `job` is the last whole record that was seen."""

    def __init__(self, transport: Transport, job_id: str, *, after: int = 0, timeout_s: float | None = None) -> None:
        self._transport = transport
        self._job_id = job_id
        self._after = after
        self._timeout_s = timeout_s
        self._deadline = None if timeout_s is None else transport.monotonic() + timeout_s
        self._streams = True
        self._failures = 0
        self._chance = random.Random()
        self.job: Job | None = None

    def events(self) -> Iterator[Event]:
        """
        Yield each event once, the final one last. Raises `WaitTimeoutError` at the deadline.

        A broken connection is made anew from the last number seen; after several failures in a row
        the error is raised. Polling makes up events from what changed; they have number 0.
        """
        while True:
            for event in self._stream() if self._streams else self._poll():
                if event.type == "error":
                    # "gap" is followed by a snapshot; anything else ends the stream and counts as a break.
                    if event.data.get("code") != "gap":
                        self._note_failure()
                    continue
                self._failures = 0
                if event.number:
                    self._after = event.number
                yield event
                if event.is_final:
                    return
            if self._streams:
                self._pause(delay_s(max(1, self._failures), None, self._chance))

    def _stream(self) -> Iterator[Event]:
        """One connection's events. Ends when it breaks; switches to polling when there is no event stream."""
        remaining_s = self._remaining_s()
        silence_s = _SILENCE_S if remaining_s is None else min(_SILENCE_S, max(0.05, remaining_s))
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(self._after)} if self._after else {})
        params = {"after": self._after} if self._after else None
        try:
            response = self._transport.call(
                "GET",
                at("jobs", self._job_id, "events"),
                headers=headers,
                params=params,
                stream=True,
                read_timeout_s=silence_s,
                safe=False,
            )
        except (NotFoundError, GoneError):
            raise
        except ApiError as error:
            if error.status >= 500 or error.status in {405, 406}:
                self._streams = False
                return
            raise
        except UnreachableError:
            self._note_failure()
            return
        with contextlib.closing(response):
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                self._streams = False
                return
            # Not chunked means the length is unknown to urllib3: only byte by byte comes without delay.
            chunks = response.iter_content(None if getattr(response.raw, "chunked", False) else 1)
            try:
                with foreign_errors(self._transport.connection.url):
                    for event in sse.parse(chunks):
                        # Each silence may last silence_s: near the deadline a shorter one is asked for anew.
                        left_s = self._remaining_s()
                        if event is not None:
                            yield event
                        elif left_s is not None and left_s < silence_s:
                            return
            except UnreachableError:
                self._note_failure()

    def _poll(self) -> Iterator[Event]:
        """Events made up from the job's record, asked for with its ETag, until it is final."""
        etag: str | None = None
        seen: tuple[object, ...] = ()
        while True:
            response = self._transport.call(
                "GET", at("jobs", self._job_id), headers={"If-None-Match": etag} if etag else None
            )
            if response.status_code != 304:
                etag = response.headers.get("ETag")
                job = self.job = Job.from_json(read_json(response))
                if (now := (job.status, job.progress, job.status_detail, job.attempt)) != seen:
                    seen = now
                    moved = job.progress is not None and not job.is_final
                    data = {"progress": job.progress, "message": job.status_detail} if moved else dict(job.raw)
                    yield Event(0, "job.progress" if moved else f"job.{job.status}", data)
            asked_s = parse_retry_after(response.headers.get("Retry-After"), utc_now())
            self._pause(max(_SHORTEST_POLL_S, min(_POLL_S, asked_s if asked_s is not None else _POLL_S)))

    def _note_failure(self) -> None:
        remaining_s = self._remaining_s()
        if remaining_s is not None and remaining_s <= 0:
            raise self._timed_out()
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            raise UnreachableError(
                f"lost {self._transport.connection.url} while watching job {self._job_id}; the job goes on"
            )

    def _pause(self, wait_s: float) -> None:
        remaining_s = self._remaining_s()
        if remaining_s is not None and remaining_s <= 0:
            raise self._timed_out()
        self._transport.sleep(wait_s if remaining_s is None else min(wait_s, remaining_s))

    def _remaining_s(self) -> float | None:
        return None if self._deadline is None else self._deadline - self._transport.monotonic()

    def _timed_out(self) -> WaitTimeoutError:
        return WaitTimeoutError(self._job_id, self._timeout_s or 0.0)

"""What happens on other threads reaches the loop as calls, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from jangada.executor.heartbeat import Reports
from jangada.executor.journal import Journal
from jangada.executor.messages import Hello
from jangada.executor.running import Ending, SlotJob, SlotObserver
from jangada.jobs.bell_claims import Ring


class Receiver(Protocol):
    """The loop, as the slots' news reach it."""

    def slot_ready(self, index: int, hello: Hello, cold: bool) -> None:
        """A child is ready."""
        ...

    def slot_unavailable(self, index: int) -> None:
        """A child cannot be set up."""
        ...

    def slot_starting(self, index: int) -> None:
        """A child is being started."""
        ...

    def job_began(self, job: SlotJob) -> None:
        """A job that was claimed as `starting` runs."""
        ...

    def job_ended(self, job: SlotJob, ending: Ending) -> None:
        """The child is done with a job."""
        ...

    def rung(self, ring: Ring) -> None:
        """The bell rang."""
        ...


class Inbox(SlotObserver):
    """Turns what happens on other threads into calls on the loop's."""

    def __init__(
        self, loop: Receiver, reports: Reports, journal: Journal, *, live: bool, observer: SlotObserver
    ) -> None:
        self._loop = loop
        self._reports = reports
        self._journal = journal
        self._live = live
        self._observer = observer
        self.calls: deque[Callable[[], None]] = deque()

    def rang(self, ring: Ring) -> None:
        """The bell rang."""
        self.calls.append(partial(self._loop.rung, ring))

    def ready(self, slot: int, hello: Hello, cold: bool) -> None:
        self._observer.ready(slot, hello, cold)
        self.calls.append(partial(self._loop.slot_ready, slot, hello, cold))

    def unavailable(self, slot: int, reason: str, said: list[str]) -> None:
        self._observer.unavailable(slot, reason, said)
        self._journal.error("child.setup_failed", slot=slot, reason=reason, said=said[-20:])
        self.calls.append(partial(self._loop.slot_unavailable, slot))

    def starting(self, slot: int) -> None:
        self._observer.starting(slot)
        self.calls.append(partial(self._loop.slot_starting, slot))

    def began(self, job: SlotJob) -> None:
        if job.claimed_cold:
            self.calls.append(partial(self._loop.job_began, job))

    def batch_began(self, slot: int, jobs: int) -> None:
        self._observer.batch_began(slot, jobs)

    def batch_broken_up(self, slot: int, jobs: int, reason: str) -> None:
        self._observer.batch_broken_up(slot, jobs, reason)
        self._journal.warning("batch.broken_up", slot=slot, jobs=jobs, reason=reason)

    def ended(self, job: SlotJob, ending: Ending) -> None:
        self._observer.ended(job, ending)
        self.calls.append(partial(self._loop.job_ended, job, ending))

    def progress(self, job: SlotJob, fraction: float, message: str | None) -> None:
        self._reports.progress(job, fraction, message)

    def line(self, job: SlotJob, stream: str, text: str) -> None:
        # Events of jobs that take milliseconds would arrive after their end; their lines are in the kept log.
        if self._live:
            self._reports.line(job, stream, text)

    def recycled(self, slot: int, reason: str) -> None:
        self._observer.recycled(slot, reason)
        self._journal.info("child.recycled", slot=slot, reason=reason)

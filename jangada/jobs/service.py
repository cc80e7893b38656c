"""The client's side of a job: submit, look, wait, cancel. The only code that makes a job exist."""

from __future__ import annotations

from collections.abc import Sequence

from jangada.clock import Clock, utc_now
from jangada.errors import JangadaError
from jangada.jobs.job import Job
from jangada.jobs.queue import JobEvent, JobQueue, QueueLimits
from jangada.jobs.store import JobFilter, JobStore, LogLine


class JobService:
    """Jobs as clients see them. Thread-safe; one per process."""

    def __init__(
        self, queue: JobQueue, store: JobStore, *, clock: Clock = utc_now, limits: QueueLimits | None = None
    ) -> None:
        self._queue = queue
        self._store = store
        self._clock = clock
        self._limits = limits or QueueLimits()

    def submit(self, job: Job, *, limits: QueueLimits | None = None) -> Job:
        """
        Make *job* durable and queue it; when this returns it will not be lost.

        Callers at the same moment share one grouped write. *limits* are the
        tenant's own caps, else the service's. Submitting an id again changes
        nothing. Raises `QuotaExceededError`, `QueueFullError` or
        `StoreUnavailableError`; nothing is accepted then.
        """
        raise NotImplementedError

    def submit_many(
        self, jobs: Sequence[Job], *, limits: QueueLimits | None = None
    ) -> list[Job | JangadaError]:
        """As `submit`, each job with an outcome of its own, in order. Raises only when a store is away before any write."""
        raise NotImplementedError

    def get(self, job_id: str, tenant_id: str) -> Job:
        """The job, with what is live laid over the record. Raises `UnknownJobError` or `PurgedError`."""
        raise NotImplementedError

    def page(self, where: JobFilter, limit: int) -> list[Job]:
        """Newest first, live overlay on the unfinished ones."""
        raise NotImplementedError

    def cancel(self, job_id: str, tenant_id: str) -> Job:
        """Queued: canceled when this returns. Running: flagged, ends soon. Final: returned unchanged."""
        raise NotImplementedError

    def wait(self, job_id: str, tenant_id: str, timeout_s: float) -> Job:
        """The job, as soon as it is final or *timeout_s* has passed."""
        raise NotImplementedError

    def events(self, job: Job, after: int = 0, block_s: float = 0.0) -> list[JobEvent]:
        """
        Events of *job* numbered above *after*, waiting up to *block_s* for the first.

        For a final job whose events are gone: one event with its final status.
        """
        raise NotImplementedError

    def logs(self, job: Job, after: int = 0, stream: str | None = None, limit: int = 1000) -> list[LogLine]:
        """Captured lines numbered above *after*: from the live events while it runs, else from the store."""
        raise NotImplementedError

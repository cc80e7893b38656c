"""
Jobs that failed for good, and their second chance: one, some by a filter, or all of a queue.

A final job never changes. To requeue one is to submit a new job that does the same;
its `retry_of` names the old one, which leaves the list. The list is a reminder kept
by the queue (the newest 10,000): a job that fell off it can still be retried by id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jangada.clock import Clock, from_ms, utc_now
from jangada.errors import JangadaError, StoreUnavailableError
from jangada.ids import new_id
from jangada.jobs.job import Job, JobStatus
from jangada.jobs.queue import JobQueue, QueueLimits
from jangada.jobs.service import JobService
from jangada.jobs.store import JobStore

_PAGE = 200


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job on the list."""

    job: Job
    died_at: datetime


@dataclass(frozen=True, slots=True)
class DeadFilter:
    """Which dead letters are meant; what is None does not matter."""

    tenant_id: str | None = None
    error_code: str | None = None
    algorithm_version: str | None = None
    died_before: datetime | None = None
    died_after: datetime | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether *letter* is one of them."""
        job = letter.job
        return (
            self.tenant_id in (None, job.tenant_id)
            and self.error_code in (None, (job.error or {}).get("code"))
            and self.algorithm_version in (None, job.algorithm_version)
            and (self.died_before is None or letter.died_at < self.died_before)
            and (self.died_after is None or letter.died_at > self.died_after)
        )


@dataclass(frozen=True, slots=True)
class Requeued:
    """What became of one dead letter: the new job, or why there is none (it is on the list again then)."""

    job_id: str
    new_job: Job | None = None
    error: JangadaError | None = None


class DeadLetters:
    """The dead letters of every queue."""

    def __init__(self, queue: JobQueue, store: JobStore, jobs: JobService, *, clock: Clock = utc_now) -> None:
        self._queue = queue
        self._store = store
        self._jobs = jobs
        self._clock = clock

    def find(self, queue: str, where: DeadFilter | None = None, *, limit: int = 100) -> list[DeadLetter]:
        """Those of *queue* that *where* takes, newest first; ids whose record is gone are left out."""
        found: list[DeadLetter] = []
        for letter in self._walk(queue):
            if where is None or where.takes(letter):
                found.append(letter)
                if len(found) == limit:
                    break
        return found

    def requeue(
        self,
        queue: str,
        job_ids: Sequence[str] | None = None,
        *,
        where: DeadFilter | None = None,
        limits: QueueLimits | None = None,
    ) -> Iterator[Requeued]:
        """
        Submit again the named dead letters, else those that *where* takes, else all; oldest first.

        Each is taken off the list before its job is submitted, so that two who do
        this at once never run one twice, and put back when the submit is refused.
        Ids that are not on the list are passed over. Raises `StoreUnavailableError`.
        """
        if job_ids is None:
            chosen = [letter.job.id for letter in self._walk(queue) if where is None or where.takes(letter)]
            chosen.reverse()
        else:
            chosen = list(job_ids)
        for start in range(0, len(chosen), _PAGE):
            ids = chosen[start : start + _PAGE]
            stored = self._store.get_many(ids)
            for job_id in ids:
                job = stored.get(job_id)
                if job is not None and job.status is JobStatus.FAILED and self._queue.exhume(queue, [job_id])[0]:
                    yield self._again(queue, job, limits)

    def _again(self, queue: str, job: Job, limits: QueueLimits | None) -> Requeued:
        try:
            return Requeued(job.id, new_job=self._jobs.submit(anew(job, self._clock()), limits=limits))
        except JangadaError as error:
            self._queue.bury(queue, [job.id])
            if isinstance(error, StoreUnavailableError):
                raise
            return Requeued(job.id, error=error)

    def _walk(self, queue: str) -> Iterator[DeadLetter]:
        offset = 0
        while rows := self._queue.dead(queue, limit=_PAGE, offset=offset):
            stored = self._store.get_many([job_id for job_id, _ in rows])
            for job_id, ms in rows:
                if job_id in stored:
                    yield DeadLetter(stored[job_id], from_ms(ms))
            offset += len(rows)


def anew(job: Job, now: datetime) -> Job:
    """A new job that does the same as *job*, from the start, with the same limits counted from *now*."""
    policy = job.policy
    waits = [seconds for seconds in (policy.queue_ttl_s, policy.deadline_s) if seconds is not None]
    return Job(
        id=new_id("job"),
        tenant_id=job.tenant_id,
        algorithm=job.algorithm,
        algorithm_version=job.algorithm_version,
        deployment=job.deployment,
        queue=job.queue,
        input=job.input,
        created_at=now,
        priority=job.priority,
        policy=policy,
        webhook=job.webhook,
        metadata=job.metadata,
        input_file=job.input_file,
        file_ids=job.file_ids,
        expires_at=now + timedelta(seconds=min(waits)) if waits else None,
        deadline_at=None if policy.deadline_s is None else now + timedelta(seconds=policy.deadline_s),
        retry_of=job.id,
        request_id=job.request_id,
        traceparent=job.traceparent,
        weight=job.weight,
    )

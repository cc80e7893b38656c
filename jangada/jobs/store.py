"""
The store: jobs from acceptance on, and their outcomes. The truth.

Two grouped writes per job: `insert_many` before the 202, `write_outcomes` at the
end. `raise_fences` is a third one, for jobs that need another attempt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from jangada.jobs.job import JSON, Attempt, Job, JobStatus, RanBy


class UnstorableError(Exception):
    """An outcome that no server can hold, whatever its state: no JSON, or too large. Trying again is of no use."""


@dataclass(slots=True)  # not frozen: as Lease
class Outcome:
    """How one job ended, to be written if no later attempt has begun and no outcome is there."""

    job_id: str
    tenant_id: str
    fence: int
    status: JobStatus
    attempt: int
    completed_at: datetime
    output: JSON = None
    output_file: str | None = None
    error: dict[str, Any] | None = None
    attempts: tuple[Attempt, ...] = ()
    claimed_at: datetime | None = None
    started_at: datetime | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    webhook_due: bool = False
    frees_unique: bool = False
    """Its key is another job's from now on (see `job.Unique`)."""
    ran_by: RanBy | None = None
    executor_id: str = ""
    """Who writes it: a queue that came back without its last second may give the same attempt to two."""


@dataclass(frozen=True, slots=True)
class FenceRaise:
    """Attempt *fence* of the job begins: whatever is older may no longer write; *attempts* is the history so far."""

    job_id: str
    fence: int
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What a list asks for; all given conditions hold."""

    tenant_id: str
    status: JobStatus | None = None
    algorithm: str | None = None
    deployment: str | None = None
    before_id: str | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One captured line: *number* counts per job from 1."""

    number: int
    attempt: int
    stream: str
    text: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class OpenJob:
    """As much of an unfinished job as `sweep` needs to look at it."""

    id: str
    queue: str


class JobStore(Protocol):
    """Raises `StoreUnavailableError` when the server is away. All reads are of majority-acknowledged writes."""

    def insert_many(self, jobs: Sequence[Job]) -> list[bool]:
        """Insert, in one grouped write; False for an id that was there, or a unique key that another job has."""
        ...

    def unique_holder(self, job: Job) -> Job | None:
        """The job that has *job*'s unique key now; None when nobody has (any more)."""
        ...

    def free_unique(self, job_id: str) -> None:
        """The job's unique key is free again: its time has passed."""
        ...

    def delete_unfinished(self, job_ids: Sequence[str]) -> None:
        """Take back jobs that the queue refused right after their insert."""
        ...

    def write_outcomes(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """
        Conditional, grouped. True where the job now has *this* outcome (also when
        this very attempt wrote it before); False where another attempt, or the same
        one of another executor, has begun or won. Raises `UnstorableError`.
        """
        ...

    def raise_fences(self, raises: Sequence[FenceRaise]) -> list[bool]:
        """Conditional, grouped. False where the job is final, gone, or already at a later fence."""
        ...

    def raise_epochs(self, jobs: Sequence[Job]) -> list[Job]:
        """For each unfinished job: next epoch, attempt 0 in it; returns those that were raised (sweep after a loss)."""
        ...

    def get(self, job_id: str, tenant_id: str | None = None) -> Job | None:
        """The job, or None when there is none (for that tenant)."""
        ...

    def get_many(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """Those that exist."""
        ...

    def page(self, where: JobFilter, limit: int) -> list[Job]:
        """Newest first; pages by `before_id`. Fast (indexed) also among a million jobs."""
        ...

    def open_jobs(self, *, created_before: datetime, after_id: str | None, limit: int) -> list[OpenJob]:
        """`unfinished`, without what the jobs carry."""
        ...

    def unfinished(self, *, created_before: datetime, after_id: str | None, limit: int) -> list[Job]:
        """Jobs without a final status, in id order."""
        ...

    def count_unfinished(self, tenant_id: str) -> int:
        """How many jobs of the tenant have no final status."""
        ...

    def append_logs(self, job_id: str, lines: Sequence[LogLine]) -> None:
        """Keep captured lines (called once or twice per attempt, grouped; bounded by the caller)."""
        ...

    def append_logs_many(self, logs: Mapping[str, Sequence[LogLine]]) -> None:
        """`append_logs` for several jobs in one grouped write; lines kept before are not kept twice."""
        ...

    def logs(self, job_id: str, *, after: int = 0, stream: str | None = None, limit: int = 1000) -> list[LogLine]:
        """Kept lines with a number above *after*."""
        ...

    def webhooks_due(self, limit: int) -> list[Job]:
        """Final jobs whose `completed` webhook has not been handed to the webhook queue yet."""
        ...

    def webhooks_sent(self, job_ids: Sequence[str]) -> None:
        """Clear that mark."""
        ...

    def purge(self, *, completed_before: datetime, limit: int) -> int:
        """Remove final jobs (with logs), leaving a tombstone so that `was_purged` can answer 410; how many."""
        ...

    def was_purged(self, job_id: str, tenant_id: str) -> bool:
        """Whether retention removed this job of this tenant (tombstones live 30 days)."""
        ...

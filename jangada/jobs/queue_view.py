"""What can be seen of a queue and its jobs from outside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jangada.jobs.job import Priority


@dataclass(frozen=True, slots=True)
class LiveJob:
    """What the queue knows of an unfinished job: laid over the stored record by `JobService.get`."""

    status: str
    """queued, starting or running."""
    attempt: int
    progress: float | None = None
    status_detail: str | None = None
    executor_id: str | None = None
    claimed_ms: int | None = None
    started_ms: int | None = None
    cancel_requested: bool = False


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One event of one job; *number* counts from 1 per job and is the SSE id."""

    number: int
    type: str
    """job.queued, job.starting, job.running, job.progress, job.log, job.output, job.<final status>"""
    data: dict[str, Any]
    at_ms: int


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job that may be claimed, as `JobQueue.peek` shows it."""

    job_id: str
    tenant_id: str
    priority: Priority
    """The band it waits in: ageing may have lifted it."""
    age_s: float
    """Since it was queued."""
    attempts: int
    """Claims so far."""


@dataclass(frozen=True, slots=True)
class QueueControl:
    """How a queue is held up. Kept where the queue is, and lost with it: an emptied Redis comes back running."""

    paused: bool = False
    """Hands out no jobs to run."""
    draining: bool = False
    """Takes no new jobs."""
    rate_per_s: float | None = None
    """At most so many jobs are handed out a second; None: no limit."""
    burst: int = 0
    """So many at once after a quiet time, when there is a rate."""


@dataclass(frozen=True, slots=True)
class QueueStats:
    """One queue at a glance; ages in seconds."""

    queue: str
    ready: dict[str, int]
    """By priority."""
    delayed: int
    leased: int
    dead: int
    jobs: int
    bytes: int
    """Of the bodies of all unfinished jobs."""
    oldest_s: float | None
    tenants: dict[str, int]
    """Unfinished jobs by tenant."""
    tenant_bytes: dict[str, int] = field(default_factory=dict)
    settling: int = 0
    """Jobs of which only the outcome is still to be written, and that nobody holds."""
    control: QueueControl = field(default_factory=QueueControl)


def checked_rate(per_s: float | None, burst: int | None) -> tuple[float | None, int]:
    """The rate and burst that *per_s* and *burst* ask for, see `JobQueue.limit_rate`. Raises `ValueError`."""
    if per_s is None:
        return None, 0
    if not 0 < per_s <= 1e6:
        raise ValueError(f"a rate is more than 0 and at most 1,000,000 jobs a second, not {per_s:g}")
    size = max(1, round(per_s)) if burst is None else burst
    if not 1 <= size <= 1_000_000_000:
        raise ValueError(f"a burst is at least 1, not {size}")
    return float(per_s), size

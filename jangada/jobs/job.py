"""
The record of a job and the rules of its life. Pure: no I/O, no clock of its own.

    queued → starting → running → succeeded | failed | canceled | expired
       └────────┴── running → queued on another attempt

MongoDB holds a job as `queued` from acceptance until its one final status; what
lies between (`starting`, `running`, progress) is live and belongs to the queue.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

JSON = Any

EPOCH_SHIFT = 20
FINAL_FENCE = 2**52
"""Fence of a job that has its final status: no attempt's fence reaches it."""


def fence(epoch: int, attempt: int) -> int:
    """
    One growing number for (epoch, attempt).

    An attempt may write an outcome only while the stored fence is not above its
    own; the outcome sets `FINAL_FENCE`, so there is exactly one.
    """
    return (epoch << EPOCH_SHIFT) | attempt


class JobStatus(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        """True for the four that never change again."""
        return self in FINAL_STATUSES


FINAL_STATUSES = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED})

LEGAL_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset(
        {JobStatus.STARTING, JobStatus.RUNNING, JobStatus.CANCELED, JobStatus.EXPIRED, JobStatus.FAILED}
    ),
    JobStatus.STARTING: frozenset({JobStatus.RUNNING, JobStatus.QUEUED, *FINAL_STATUSES}),
    JobStatus.RUNNING: frozenset({JobStatus.QUEUED, *FINAL_STATUSES} - {JobStatus.EXPIRED}),
    **{final: frozenset() for final in FINAL_STATUSES},
}


class ErrorCode(StrEnum):
    """Why a job failed; stable, documented, the same in the API."""

    INVALID_INPUT = "invalid_input"
    ALGORITHM_ERROR = "algorithm_error"
    TIMEOUT = "timeout"
    DEADLINE = "deadline"
    OOM = "oom"
    GPU_OOM = "gpu_oom"
    EXECUTOR_LOST = "executor_lost"
    CANCELED = "canceled"
    DEPENDENCY = "dependency"
    INTERNAL = "internal"


class Priority(StrEnum):
    """The three bands of a queue; waiting long enough lifts a job into the next."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Policy:
    """
    The limits of one job, all durations in seconds.

    *queue_ttl_s*: `expired` when not running by then. *execution_timeout_s*: for
    each attempt. *deadline_s*: from acceptance to the final status.
    """

    queue_ttl_s: float | None = None
    execution_timeout_s: float = 900.0
    deadline_s: float | None = None
    max_attempts: int = 3


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to tell of the job: `events` ⊆ {started, output, logs, completed}; completed is always sent."""

    url: str
    events: tuple[str, ...] = ("completed",)
    format: Literal["standard", "cloudevents"] = "standard"


@dataclass(frozen=True, slots=True)
class Unique:
    """At most one job of its tenant and algorithm with this *key*: until it has ended, or until *until* if given."""

    key: str
    until: datetime | None = None
    refuses: bool = False
    """Whoever comes second gets `DuplicateJobError`, not the first job; said of the second, and not stored."""


@dataclass(frozen=True, slots=True)
class AttemptFailure:
    """An attempt's failure as a value: what happened, not what we do about it (`retry.decide`)."""

    code: ErrorCode
    message: str
    retryable: bool = False
    retry_after_s: float | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def as_error(self) -> dict[str, Any]:
        """The `error` object of the API."""
        return {
            "code": self.code.value,
            "message": self.message,
            "retryable": self.retryable,
            "details": self.details,
        }


@dataclass(frozen=True, slots=True)
class RanBy:
    """
    What ran an attempt: the algorithm's version and, where the executor was told, its image's digest.

    *model* is what its deployment says, a name and an alias; None where it says none.
    """

    algorithm_version: str
    image_digest: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try that ended without being the job's success; kept in the job's history."""

    number: int
    outcome: Literal["failed", "timed_out", "lost", "canceled", "died", "handed_back"]
    error: dict[str, Any] | None
    executor_id: str | None
    ended_at: datetime | None
    ran_by: RanBy | None = None
    """None for an attempt whose executor could not tell: it vanished."""


@dataclass(frozen=True, slots=True)
class Job:
    """
    One request to run an algorithm on one input, until its final status.

    `fence` is the highest (epoch, attempt) known to the store, see `fence()`.
    `input_file`/`output_file` are file ids when the JSON was over 256 KiB.
    """

    id: str
    tenant_id: str
    algorithm: str
    algorithm_version: str
    deployment: str
    queue: str
    input: JSON
    created_at: datetime
    status: JobStatus = JobStatus.QUEUED
    priority: Priority = Priority.NORMAL
    policy: Policy = field(default_factory=Policy)
    webhook: Webhook | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    input_file: str | None = None
    file_ids: tuple[str, ...] = ()
    fence: int = 0
    attempt: int = 0
    attempts: tuple[Attempt, ...] = ()
    output: JSON = None
    output_file: str | None = None
    error: dict[str, Any] | None = None
    status_detail: str | None = None
    progress: float | None = None
    claimed_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    """When it stops waiting: the earlier of queue_ttl_s and deadline_s after acceptance."""
    deadline_at: datetime | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    retry_of: str | None = None
    request_id: str | None = None
    traceparent: str | None = None
    call_id: str | None = None
    run_at: datetime | None = None
    """Not to be claimed before this instant."""
    unique: Unique | None = None
    weight: float = 1.0
    """The tenant's share in the fair order of the queue."""
    ran_by: RanBy | None = None
    """What ran the attempt that decided the outcome; `algorithm_version` is what was registered at the submit."""

    @property
    def is_final(self) -> bool:
        """True once the job has its one final status."""
        return self.status.is_final

    def with_(self, **changes: Any) -> Job:
        """A copy with *changes*."""
        return replace(self, **changes)

"""From how an attempt ended to what the store and the queue are told of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from jangada.clock import from_ms, to_ms
from jangada.jobs.document import attempts_of
from jangada.jobs.job import JSON, AttemptFailure, ErrorCode, JobStatus, RanBy, fence
from jangada.jobs.orders import Orders, parse, ran_by_entry
from jangada.jobs.queue import Lease, LeaseAction
from jangada.jobs.store import LogLine, Outcome

LINES_PER_ATTEMPT = 1_000_000


@dataclass(slots=True)  # not frozen: as Lease
class Completion:
    """
    How one attempt ended.

    Success: `output` or `output_file`. Else exactly one of `failure`, `canceled`
    (the executor stopped it because cancel was asked for) and `handed_back`
    (the executor is going away; the attempt does not count).
    """

    lease: Lease
    output: JSON = None
    output_file: str | None = None
    failure: AttemptFailure | None = None
    started_ms: int | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    logs: Sequence[LogLine] = ()
    handed_back: bool = False
    canceled: bool = False
    orders: Orders | None = None
    """The lease's body as whoever ran the job has read it; else it is read once more."""


_OUTCOMES = {
    ErrorCode.TIMEOUT: "timed_out",
    ErrorCode.OOM: "died",
    ErrorCode.GPU_OOM: "died",
    ErrorCode.EXECUTOR_LOST: "lost",
}

_DEADLINE_BETWEEN = AttemptFailure(ErrorCode.DEADLINE, "the deadline passed before another attempt could begin")

_SETTLED: dict[LeaseAction, tuple[JobStatus, AttemptFailure | None]] = {
    LeaseAction.SETTLE_EXPIRED: (JobStatus.EXPIRED, None),
    LeaseAction.SETTLE_CANCELED: (JobStatus.CANCELED, None),
    LeaseAction.SETTLE_LOST: (
        JobStatus.FAILED,
        AttemptFailure(ErrorCode.EXECUTOR_LOST, "every executor that tried this job vanished", retryable=True),
    ),
}


def ended(done: Completion, executor_id: str, now: datetime, ran_by: RanBy | None = None) -> dict[str, Any]:
    """The history entry of a failed attempt."""
    failure = done.failure
    died = failure is not None and bool(failure.details.get("child_died"))
    return {
        "number": done.lease.attempt,
        "outcome": "died" if died else _OUTCOMES.get(failure.code, "failed") if failure else "failed",
        "error": failure.as_error() if failure else None,
        "executor_id": executor_id,
        "ended_ms": to_ms(now),
        **ran_by_entry(ran_by),
    }


def outcome_of(
    done: Completion, orders: Orders, executor_id: str, now: datetime, ran_by: RanBy | None = None
) -> Outcome:
    """What the store is to keep of *done*, the job's last attempt."""
    lease = done.lease
    history = lease_history(lease, orders)
    if done.canceled:
        status = JobStatus.CANCELED
    elif done.failure is not None:
        status = JobStatus.FAILED
        history = (*history, ended(done, executor_id, now, ran_by))
    else:
        status = JobStatus.SUCCEEDED
    succeeded = status is JobStatus.SUCCEEDED
    return Outcome(
        job_id=lease.job_id,
        tenant_id=lease.tenant_id,
        fence=fence(lease.epoch, lease.attempt),
        status=status,
        attempt=lease.attempt,
        output=done.output if succeeded else None,
        output_file=done.output_file if succeeded else None,
        error=done.failure.as_error() if done.failure is not None and not done.canceled else None,
        attempts=attempts_of(history),
        claimed_at=from_ms(lease.claimed_ms),
        started_at=None if done.started_ms is None else from_ms(done.started_ms),
        completed_at=now,
        metrics=done.metrics,
        webhook_due=orders.webhook is not None,
        frees_unique=orders.frees_unique,
        ran_by=ran_by,
        executor_id=executor_id,
    )


def settled(lease: Lease, now: datetime, executor_id: str = "") -> Outcome:
    """The outcome of a job that will not run (any more)."""
    status, failure = _SETTLED[lease.action]
    orders = parse(lease.body)
    history = lease_history(lease, orders)
    if lease.action is LeaseAction.SETTLE_EXPIRED and history:
        # It ran before: what passed is the deadline, while it waited for another attempt.
        status, failure = JobStatus.FAILED, _DEADLINE_BETWEEN
    return Outcome(
        job_id=lease.job_id,
        tenant_id=lease.tenant_id,
        fence=fence(lease.epoch, lease.attempt),
        status=status,
        # The settling itself is no attempt at the job.
        attempt=lease.attempt - 1,
        error=None if failure is None else failure.as_error(),
        attempts=attempts_of(history),
        completed_at=now,
        webhook_due=orders.webhook is not None,
        frees_unique=orders.frees_unique,
        executor_id=executor_id,
    )


def final_event(outcome: Outcome) -> dict[str, Any]:
    """The data of a job's last event."""
    data: dict[str, Any] = {"status": outcome.status, "attempt": outcome.attempt}
    if outcome.error is not None:
        data["error"] = outcome.error
    return data


def lease_history(lease: Lease, orders: Orders | None = None) -> tuple[dict[str, Any], ...]:
    """All attempts before this one, those of earlier epochs first."""
    if lease.epoch == 0:
        return lease.history
    return (*(orders or parse(lease.body)).history, *lease.history)


def numbered(lines: Sequence[LogLine], attempt: int) -> list[LogLine]:
    """
    *lines*, whose executor counted from 1 in its attempt, with numbers that grow over all attempts of the job.

    Attempt 2 starts at 1,000,001: an executor cannot know how many lines the one before it wrote.
    """
    offset = (attempt - 1) * LINES_PER_ATTEMPT
    return [line if line.number > offset else replace(line, number=line.number + offset) for line in lines]

"""How jobs of a queue in memory become due, are leased, and go back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jangada.jobs.job import Priority
from jangada.jobs.memory_state import BANDS, LEASED, Handed, Held, QueueState, first
from jangada.jobs.queue import Finish, Lease, LeaseAction

BATCH = 32
_ABOVE = {Priority.NORMAL: Priority.HIGH, Priority.LOW: Priority.NORMAL}


def finish(state: QueueState, done: Finish, now: int) -> bool:
    """Close a job if *done* names its newest attempt."""
    if state.current(done.lease) is None:
        return False
    state.publish(done.lease.job_id, f"job.{done.status}", done.event, now)
    state.forget(done.lease.job_id, now)
    return True


def make_due(state: QueueState, now: int) -> None:
    """Leases, waits and delays that are over."""
    for job_id in [job_id for job_id in first(state.lease, BATCH) if state.lease[job_id] <= now]:
        _lost(state, job_id, now)
    for job_id in [job_id for job_id in first(state.expiry, BATCH) if state.expiry[job_id] <= now]:
        state.take_out(job_id)
        state.to_settle(job_id, LeaseAction.SETTLE_EXPIRED, now)
    for job_id in [job_id for job_id in first(state.delayed, BATCH) if state.delayed[job_id] <= now]:
        del state.delayed[job_id]
        held = state.jobs[job_id]
        held.state = "queued"
        if held.attempt == 0:
            held.enqueued_ms = now
        state.make_ready(job_id, held, now)


def _lost(state: QueueState, job_id: str, now: int) -> None:
    del state.lease[job_id]
    held = state.jobs[job_id]
    if held.action is not None:
        state.to_settle(job_id, held.action, now)
        return
    held.counted += 1
    held.history.append(_attempt(held.attempt, "lost", held.executor_id, now))
    held.rest()
    if held.cancel:
        state.to_settle(job_id, LeaseAction.SETTLE_CANCELED, now)
    elif held.counted >= held.entry.max_attempts:
        state.to_settle(job_id, LeaseAction.SETTLE_LOST, now)
    else:
        held.state = "queued"
        state.publish(job_id, "job.queued", {"attempt": held.attempt, "reason": "lost"}, now)
        state.make_ready(job_id, held, now)
        state.bound_by_deadline(job_id, held)


def lift_old(state: QueueState, now: int, age_ms: int, count: int) -> None:
    """Ageing: the oldest rise into the band above while others are ahead of them."""
    for job_id in [job_id for job_id in first(state.age, min(count, BATCH)) if state.age[job_id] <= now - age_ms]:
        held = state.jobs[job_id]
        if not any(state.ready[band] for band in BANDS[: BANDS.index(held.band)]):
            continue
        state.take_out(job_id)
        held.band = _ABOVE[held.band]
        state.make_ready(job_id, held, now)
        _bound(state, job_id, held)


def _bound(state: QueueState, job_id: str, held: Held) -> None:
    bound = held.entry.expires_ms if held.attempt == 0 else held.entry.deadline_ms
    if bound is not None:
        state.expiry[job_id] = bound


def claim(queue: str, state: QueueState, executor_id: str, want: int, until: int, to: str, now: int) -> list[Lease]:
    """Lease *want* jobs to run, the bands in order, within one in the fair order."""
    leases: list[Lease] = []
    for band in BANDS:
        for job_id in state.in_order(band, want - len(leases)):
            held = state.jobs[job_id]
            state.pass_turn(job_id, held)
            bound = held.entry.expires_ms if held.attempt == 0 else held.entry.deadline_ms
            if bound is not None and bound <= now:
                state.to_settle(job_id, LeaseAction.SETTLE_EXPIRED, now)
                continue
            leased = lease(queue, state, job_id, executor_id, until, to, now)
            state.publish(job_id, f"job.{to}", {"attempt": leased.attempt, "executor_id": executor_id}, now)
            leases.append(leased)
    if state.bucket is not None:
        state.bucket.tokens -= len(leases)
    return leases


def lease(queue: str, state: QueueState, job_id: str, executor_id: str, until: int, to: str, now: int) -> Lease:
    """Begin the next attempt."""
    state.settle.pop(job_id, None)
    held = state.jobs[job_id]
    held.attempt += 1
    held.state, held.executor_id, held.claimed_ms = to, executor_id, now
    held.started_ms = now if to == "running" else None
    state.lease[job_id] = until
    return _told(queue, held)


def _told(queue: str, held: Held) -> Lease:
    return Lease(
        queue=queue,
        job_id=held.entry.job_id,
        epoch=held.entry.epoch,
        attempt=held.attempt,
        tenant_id=held.entry.tenant_id,
        body=held.entry.body,
        action=held.action or LeaseAction.RUN,
        claimed_ms=held.claimed_ms or 0,
        enqueued_ms=held.enqueued_ms,
        history=tuple(held.history),
    )


def handed_before(queue: str, state: QueueState, executor_id: str, token: str | None, until: int) -> list[Lease]:
    """The leases that an earlier call with *token* gave this executor, as far as it still holds them, renewed."""
    known = state.handed.get(executor_id)
    if token is None or known is None or known.token != token:
        return []
    leases: list[Lease] = []
    for job_id, attempt in known.leases:
        held = state.jobs.get(job_id)
        if held is not None and held.attempt == attempt and held.state in LEASED and held.executor_id == executor_id:
            state.lease[job_id] = until
            leases.append(_told(queue, held))
    return leases


def remember(state: QueueState, executor_id: str, token: str | None, until: int, leases: Sequence[Lease]) -> None:
    """Keep what was handed out, for a repeated call."""
    if token is not None and leases:
        held = [(lease.job_id, lease.attempt) for lease in leases]
        state.handed[executor_id] = Handed(token, until, held)


def put_back(state: QueueState, given: Lease, delay_ms: int | None, entry: dict[str, Any] | None, now: int) -> bool:
    """A failed attempt is to be repeated after *delay_ms*; None: it was handed back, which costs no attempt."""
    held = state.leased(given)
    if held is None:
        return False
    del state.lease[given.job_id]
    entry = entry or _attempt(held.attempt, "handed_back", held.executor_id, now)
    held.rest()
    if held.action is not None:
        state.to_settle(given.job_id, held.action, now)
        return True
    held.history.append(entry)
    if delay_ms is not None:
        held.counted += 1
    if held.cancel:
        state.to_settle(given.job_id, LeaseAction.SETTLE_CANCELED, now)
        return True
    held.state = "queued"
    reason = "handed_back" if delay_ms is None else "failed"
    state.publish(given.job_id, "job.queued", {"attempt": given.attempt, "reason": reason}, now)
    state.bound_by_deadline(given.job_id, held)
    if delay_ms:
        state.delayed[given.job_id] = now + delay_ms
    else:
        state.make_ready(given.job_id, held, now)
    return True


def _attempt(number: int, outcome: str, executor_id: str | None, ended_ms: int | None) -> dict[str, Any]:
    return {
        "number": number,
        "outcome": outcome,
        "error": None,
        "executor_id": executor_id,
        "ended_ms": ended_ms,
    }

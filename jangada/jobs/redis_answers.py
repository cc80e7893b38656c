"""What the scripts answer, as the records of the queue."""

from __future__ import annotations

from typing import Any

import orjson

from jangada.jobs.queue import Claimed, JobEvent, Lease, LeaseAction, LiveJob, QueueControl, QueueStats

_ACTIONS = {action.value.encode(): action for action in LeaseAction}
_ACTIONS[b""] = LeaseAction.RUN


def lease_of(queue: str, row: list[Any]) -> Lease:
    """A row of `exchange.lua` or `cancel.lua`."""
    job_id, epoch, attempt, tenant, body, action, enqueued_ms, history, claimed_ms = row
    return Lease(
        queue=queue,
        job_id=job_id.decode(),
        epoch=epoch,
        attempt=attempt,
        tenant_id=tenant.decode(),
        body=body,
        action=_ACTIONS[action],
        claimed_ms=claimed_ms,
        enqueued_ms=enqueued_ms,
        history=tuple(orjson.loads(b"[%b]" % history)) if history else (),
    )


def claimed_of(queue: str, answer: list[Any]) -> Claimed:
    """The answer of `exchange.lua`."""
    flags, rows, now_ms, next_due = answer
    return Claimed(
        finished=[flag == 1 for flag in flags],
        leases=[lease_of(queue, row) for row in rows],
        next_due_ms=None if next_due < 0 else next_due,
        now_ms=now_ms,
    )


def event_of(row: tuple[bytes, dict[bytes, bytes]]) -> JobEvent:
    """An entry of the job's stream."""
    entry_id, fields = row
    return JobEvent(
        number=int(entry_id.partition(b"-")[0]),
        type=fields[b"t"].decode(),
        data=orjson.loads(fields[b"d"]),
        at_ms=int(fields[b"at"]),
    )


def events_of(answer: Any) -> list[JobEvent]:
    """The answer to an XREAD of one stream, as it came (RESP2) or as redis-py's clients have read it."""
    ((_, rows),) = answer
    return [event_of(row if isinstance(row[1], dict) else (row[0], _fields(row[1]))) for row in rows]


def _fields(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def live_of(row: list[bytes]) -> LiveJob | None:
    """A row of `live.lua`."""
    if not row:
        return None
    state, attempt, progress, detail, executor, claimed, started, cancel = row
    return LiveJob(
        # Jobs that wait for their outcome to be written have not begun anew: `queued` for those who look.
        status=state.decode() if state in (b"starting", b"running") else "queued",
        attempt=int(attempt or 0),
        progress=float(progress) if progress else None,
        status_detail=detail.decode() if detail else None,
        executor_id=executor.decode() if executor and state in (b"starting", b"running") else None,
        claimed_ms=int(claimed) if claimed else None,
        started_ms=int(started) if started else None,
        cancel_requested=cancel == b"1",
    )


def stats_of(queue: str, answer: list[Any], control: QueueControl) -> QueueStats:
    """The answer of `stats.lua`."""
    high, normal, low, delayed, leased, dead, jobs, size, oldest_ms, flat, settling = answer
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    return QueueStats(
        queue=queue,
        ready={"high": high, "normal": normal, "low": low},
        delayed=delayed,
        leased=leased,
        dead=dead,
        jobs=jobs,
        bytes=size,
        oldest_s=None if oldest_ms < 0 else oldest_ms / 1000,
        tenants={field[2:].decode(): int(value) for field, value in pairs if field.startswith(b"j:")},
        tenant_bytes={field[2:].decode(): int(value) for field, value in pairs if field.startswith(b"b:")},
        settling=settling,
        control=control,
    )

"""
The queue in one process' memory: for tests and for trying things out; dies with the process.

Same rules as `queue_redis.py`, told in Python; the contract suite and the state
machine run over both.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from jangada.jobs.job import Priority
from jangada.jobs.queue import (
    Admission,
    CancelResult,
    Claimed,
    Finish,
    JobEvent,
    Lease,
    LeaseAction,
    LeaseState,
    LiveJob,
    QueueEntry,
    QueueLimits,
    QueueStats,
)

_BANDS = (Priority.HIGH, Priority.NORMAL, Priority.LOW)
_ABOVE = {Priority.NORMAL: Priority.HIGH, Priority.LOW: Priority.NORMAL}
_EVENTS_CAP = 1000
_STATUS_EVENTS_TTL_MS = 15_000
_RICH_EVENTS_TTL_MS = 600_000
_DEAD_CAP = 10_000
_BATCH = 32
_SETTLE_LEASE_MS = 15_000
_LEASED = frozenset({"starting", "running", "settling"})


@dataclass(slots=True)
class _Held:
    """One job; `state` as in `lua/lib.lua`."""

    entry: QueueEntry
    band: Priority
    enqueued_ms: int
    state: str = "queued"
    action: LeaseAction | None = None
    attempt: int = 0
    counted: int = 0
    tag: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    executor_id: str | None = None
    claimed_ms: int | None = None
    started_ms: int | None = None
    progress: float | None = None
    detail: str | None = None
    cancel: bool = False
    rich: bool = False
    heard: bool = False
    """Somebody listens, or it said more than its status: its events outlive it."""

    def rest(self) -> None:
        """Nobody works on it any more."""
        self.executor_id = self.claimed_ms = self.started_ms = self.progress = self.detail = None


class _Events:
    """One job's stream."""

    __slots__ = ("gone_ms", "kept", "last")

    def __init__(self) -> None:
        self.kept: deque[JobEvent] = deque(maxlen=_EVENTS_CAP)
        self.last = 1
        self.gone_ms: int | None = None


class _Queue:
    """The state of one queue; its places map job ids to scores."""

    def __init__(self) -> None:
        self.jobs: dict[str, _Held] = {}
        self.ready: dict[Priority, dict[str, float]] = {band: {} for band in _BANDS}
        self.age: dict[str, int] = {}
        self.delayed: dict[str, int] = {}
        self.lease: dict[str, int] = {}
        self.expiry: dict[str, int] = {}
        self.settle: dict[str, int] = {}
        self.dead: dict[str, int] = {}
        self.virtual: dict[Priority, float] = {}
        self.ends: dict[tuple[Priority, str], float] = {}
        self.events: dict[str, _Events] = {}

    def charge(self, band: Priority, entry: QueueEntry) -> float:
        """Start-time fair queueing, see `lua/lib.lua`."""
        tag = max(self.virtual.get(band, 0.0), self.ends.get((band, entry.tenant_id), 0.0))
        self.ends[band, entry.tenant_id] = tag + 1 / entry.weight
        return tag

    def make_ready(self, job_id: str, held: _Held, now_ms: int, tag: float | None = None) -> None:
        if held.tag is None:
            held.tag = self.charge(held.band, held.entry)
        self.ready[held.band][job_id] = held.tag if tag is None else tag
        if held.band is not Priority.HIGH:
            self.age[job_id] = now_ms

    def bound_by_deadline(self, job_id: str, held: _Held) -> None:
        """Back to waiting after an attempt: from now on the deadline bounds the wait."""
        if held.entry.deadline_ms is not None:
            self.expiry[job_id] = held.entry.deadline_ms

    def take_out(self, job_id: str) -> None:
        for band in self.ready.values():
            band.pop(job_id, None)
        for place in (self.age, self.delayed, self.expiry, self.settle):
            place.pop(job_id, None)

    def to_settle(self, job_id: str, action: LeaseAction, now_ms: int) -> None:
        held = self.jobs[job_id]
        held.state, held.action = "settle", action
        self.settle[job_id] = now_ms

    def forget(self, job_id: str, now_ms: int) -> None:
        held = self.jobs.pop(job_id)
        self.take_out(job_id)
        self.lease.pop(job_id, None)
        if not held.heard:
            self.events.pop(job_id, None)
        elif job_id in self.events:
            self.events[job_id].gone_ms = now_ms + (_RICH_EVENTS_TTL_MS if held.rich else _STATUS_EVENTS_TTL_MS)
        tenant = held.entry.tenant_id
        if not any(other.entry.tenant_id == tenant for other in self.jobs.values()):
            for band in _BANDS:
                self.ends.pop((band, tenant), None)
        if not self.jobs:
            self.virtual.clear()
            self.ends.clear()

    def publish(self, job_id: str, kind: str, data: dict[str, Any], now_ms: int) -> None:
        stream = self.events.setdefault(job_id, _Events())
        stream.last += 1
        stream.kept.append(JobEvent(stream.last, kind, data, now_ms))

    def current(self, lease: Lease) -> _Held | None:
        """The job, if *lease* names its newest attempt."""
        held = self.jobs.get(lease.job_id)
        if held is None or held.entry.epoch != lease.epoch or held.attempt != lease.attempt:
            return None
        return held

    def leased(self, lease: Lease) -> _Held | None:
        """The job, if *lease* still holds it."""
        held = self.current(lease)
        return held if held is not None and held.state in _LEASED else None


def _first(place: dict[str, Any], count: int) -> list[str]:
    return [job_id for job_id, _ in sorted(place.items(), key=lambda item: (item[1], item[0]))[:count]]


class MemoryJobQueue:
    """`JobQueue` in memory, thread-safe. *now_ms* may be turned by hand."""

    def __init__(self, *, age_s: float = 60.0, now_ms: Callable[[], int] | None = None) -> None:
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._age_ms = round(age_s * 1000)
        self._changed = threading.Condition(threading.RLock())
        self._queues: dict[str, _Queue] = {}
        self._locks: dict[str, int] = {}

    def _of(self, queue: str) -> _Queue:
        return self._queues.setdefault(queue, _Queue())

    def wipe(self) -> None:
        """Forget everything, as a Redis that comes back empty has."""
        with self._changed:
            self._queues.clear()
            self._locks.clear()
            self._changed.notify_all()

    def admit(self, queue: str, entries: Sequence[QueueEntry], limits: QueueLimits) -> list[Admission]:
        with self._changed:
            return self._judge(self._of(queue), entries, limits)

    def _judge(self, state: _Queue, entries: Sequence[QueueEntry], limits: QueueLimits) -> list[Admission]:
        jobs, size = len(state.jobs), sum(len(held.entry.body) for held in state.jobs.values())
        of_tenant: dict[str, tuple[int, int]] = {}
        for held in state.jobs.values():
            many, weight = of_tenant.get(held.entry.tenant_id, (0, 0))
            of_tenant[held.entry.tenant_id] = (many + 1, weight + len(held.entry.body))
        answer: list[Admission] = []
        seen: dict[str, int] = {}
        for entry in entries:
            old = state.jobs.get(entry.job_id)
            epoch = seen.get(entry.job_id, -1 if old is None else old.entry.epoch)
            tenant_jobs, tenant_size = of_tenant.get(entry.tenant_id, (0, 0))
            if epoch >= entry.epoch:
                answer.append(Admission.DUPLICATE)
                continue
            if old is None:
                if _over(jobs, limits.queue_jobs, 1) or _over(size, limits.queue_bytes, len(entry.body)):
                    answer.append(Admission.QUEUE_FULL)
                    continue
                if _over(tenant_jobs, limits.tenant_jobs, 1) or _over(
                    tenant_size, limits.tenant_bytes, len(entry.body)
                ):
                    answer.append(Admission.TENANT_FULL)
                    continue
                jobs, size = jobs + 1, size + len(entry.body)
                of_tenant[entry.tenant_id] = (tenant_jobs + 1, tenant_size + len(entry.body))
            seen[entry.job_id] = entry.epoch
            answer.append(Admission.ACCEPTED)
        return answer

    def enqueue_many(
        self, queue: str, entries: Sequence[QueueEntry], limits: QueueLimits | None = None
    ) -> list[Admission]:
        with self._changed:
            state, now = self._of(queue), self._now_ms()
            answer = self._judge(state, entries, limits or QueueLimits(None, None))
            for entry, admission in zip(entries, answer, strict=True):
                if admission is not Admission.ACCEPTED:
                    continue
                rich = heard = False
                if entry.job_id in state.jobs:
                    rich, heard = state.jobs[entry.job_id].rich, state.jobs[entry.job_id].heard
                    state.jobs[entry.job_id].heard = True
                    state.forget(entry.job_id, now)
                if entry.job_id in state.events:
                    state.events[entry.job_id].gone_ms = None
                held = state.jobs[entry.job_id] = _Held(entry, entry.priority, now, rich=rich, heard=heard)
                if entry.expires_ms is not None:
                    state.expiry[entry.job_id] = entry.expires_ms
                if entry.not_before_ms is not None and entry.not_before_ms > now:
                    state.delayed[entry.job_id] = entry.not_before_ms
                else:
                    state.make_ready(entry.job_id, held, now)
            self._changed.notify_all()
            return answer

    def finish_and_claim(
        self,
        queue: str,
        executor_id: str,
        *,
        finished: Sequence[Finish] = (),
        want: int = 0,
        settle: int = 32,
        lease_s: float = 15.0,
        running: bool = True,
    ) -> Claimed:
        with self._changed:
            state, now = self._of(queue), self._now_ms()
            flags = [self._finish(state, finish, now) for finish in finished]
            self._make_due(state, now)
            if want > 0:
                self._age(state, now, min(want, _BATCH))
            until = now + round(lease_s * 1000)
            leases = [
                self._lease(queue, state, job_id, executor_id, until, "settling", now)
                for job_id in _first(state.settle, settle)
            ]
            leases += self._claim(queue, state, executor_id, want, until, "running" if running else "starting", now)
            dues = [min(place.values()) for place in (state.lease, state.expiry, state.delayed) if place]
            if state.settle or any(state.ready.values()):
                dues.append(now)
            self._changed.notify_all()
            return Claimed(flags, leases, min(dues) if dues else None, now)

    def _finish(self, state: _Queue, finish: Finish, now: int) -> bool:
        if state.current(finish.lease) is None:
            return False
        state.publish(finish.lease.job_id, f"job.{finish.status}", finish.event, now)
        state.forget(finish.lease.job_id, now)
        return True

    def _make_due(self, state: _Queue, now: int) -> None:
        for job_id in [job_id for job_id in _first(state.lease, _BATCH) if state.lease[job_id] <= now]:
            self._lost(state, job_id, now)
        for job_id in [job_id for job_id in _first(state.expiry, _BATCH) if state.expiry[job_id] <= now]:
            state.take_out(job_id)
            state.to_settle(job_id, LeaseAction.SETTLE_EXPIRED, now)
        for job_id in [job_id for job_id in _first(state.delayed, _BATCH) if state.delayed[job_id] <= now]:
            del state.delayed[job_id]
            state.make_ready(job_id, state.jobs[job_id], now)

    def _lost(self, state: _Queue, job_id: str, now: int) -> None:
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

    def _age(self, state: _Queue, now: int, count: int) -> None:
        for job_id in [job_id for job_id in _first(state.age, count) if state.age[job_id] <= now - self._age_ms]:
            held = state.jobs[job_id]
            del state.age[job_id]
            del state.ready[held.band][job_id]
            held.band, held.tag = _ABOVE[held.band], None
            state.make_ready(job_id, held, now)

    def _claim(
        self, queue: str, state: _Queue, executor_id: str, want: int, until: int, to: str, now: int
    ) -> list[Lease]:
        leases: list[Lease] = []
        for band in _BANDS:
            for job_id in _first(state.ready[band], want - len(leases)):
                held = state.jobs[job_id]
                state.virtual[band] = max(state.virtual.get(band, 0.0), state.ready[band][job_id])
                state.take_out(job_id)
                bound = held.entry.expires_ms if held.attempt == 0 else held.entry.deadline_ms
                if bound is not None and bound <= now:
                    state.to_settle(job_id, LeaseAction.SETTLE_EXPIRED, now)
                    continue
                lease = self._lease(queue, state, job_id, executor_id, until, to, now)
                state.publish(job_id, f"job.{to}", {"attempt": lease.attempt, "executor_id": executor_id}, now)
                leases.append(lease)
        return leases

    def _lease(self, queue: str, state: _Queue, job_id: str, executor_id: str, until: int, to: str, now: int) -> Lease:
        state.settle.pop(job_id, None)
        held = state.jobs[job_id]
        held.attempt += 1
        held.state, held.executor_id, held.claimed_ms = to, executor_id, now
        held.started_ms = now if to == "running" else None
        state.lease[job_id] = until
        return Lease(
            queue=queue,
            job_id=job_id,
            epoch=held.entry.epoch,
            attempt=held.attempt,
            tenant_id=held.entry.tenant_id,
            body=held.entry.body,
            action=held.action or LeaseAction.RUN,
            claimed_ms=now,
            enqueued_ms=held.enqueued_ms,
            history=tuple(held.history),
        )

    def start(self, queue: str, leases: Sequence[Lease]) -> None:
        with self._changed:
            state, now = self._of(queue), self._now_ms()
            for lease in leases:
                held = state.leased(lease)
                if held is not None and held.state == "starting":
                    held.state, held.started_ms = "running", now
                    data = {"attempt": lease.attempt, "executor_id": held.executor_id}
                    state.publish(lease.job_id, "job.running", data, now)
            self._changed.notify_all()

    def renew(
        self,
        queue: str,
        executor_id: str,  # noqa: ARG002 - the lease alone says who holds it
        leases: Sequence[Lease],
        lease_s: float = 15.0,
    ) -> list[LeaseState]:
        with self._changed:
            state, now = self._of(queue), self._now_ms()
            answer: list[LeaseState] = []
            for lease in leases:
                held = state.leased(lease)
                if held is None:
                    answer.append(LeaseState.LOST)
                    continue
                state.lease[lease.job_id] = now + round(lease_s * 1000)
                answer.append(LeaseState.CANCEL if held.cancel else LeaseState.HELD)
            return answer

    def retry(self, queue: str, lease: Lease, *, delay_s: float, attempt: dict[str, Any]) -> bool:
        return self._back(queue, lease, max(0, round(delay_s * 1000)), attempt)

    def release(self, queue: str, leases: Sequence[Lease]) -> list[bool]:
        return [self._back(queue, lease, None, None) for lease in leases]

    def _back(self, queue: str, lease: Lease, delay_ms: int | None, entry: dict[str, Any] | None) -> bool:
        with self._changed:
            state, now = self._of(queue), self._now_ms()
            held = state.leased(lease)
            if held is None:
                return False
            del state.lease[lease.job_id]
            entry = entry or _attempt(held.attempt, "handed_back", held.executor_id, now)
            held.rest()
            self._changed.notify_all()
            if held.action is not None:
                state.to_settle(lease.job_id, held.action, now)
                return True
            held.history.append(entry)
            if delay_ms is not None:
                held.counted += 1
            if held.cancel:
                state.to_settle(lease.job_id, LeaseAction.SETTLE_CANCELED, now)
                return True
            held.state = "queued"
            reason = "handed_back" if delay_ms is None else "failed"
            state.publish(lease.job_id, "job.queued", {"attempt": lease.attempt, "reason": reason}, now)
            state.bound_by_deadline(lease.job_id, held)
            if delay_ms:
                state.delayed[lease.job_id] = now + delay_ms
            else:
                state.make_ready(lease.job_id, held, now, -1.0 if delay_ms is None else None)
            return True

    def cancel(self, queue: str, job_id: str, *, executor_id: str) -> tuple[CancelResult, Lease | None]:
        with self._changed:
            state, now = self._of(queue), self._now_ms()
            held = state.jobs.get(job_id)
            if held is None:
                return CancelResult.UNKNOWN, None
            held.cancel = True
            if held.state in _LEASED:
                return CancelResult.SIGNALED, None
            state.take_out(job_id)
            held.action = LeaseAction.SETTLE_CANCELED
            lease = self._lease(queue, state, job_id, executor_id, now + _SETTLE_LEASE_MS, "settling", now)
            return CancelResult.TAKEN, lease

    def emit(self, queue: str, lease: Lease, events: Sequence[tuple[str, dict[str, Any]]]) -> bool:
        if not events:
            return True
        with self._changed:
            state, now = self._of(queue), self._now_ms()
            held = state.leased(lease)
            if held is None or held.state == "settling":
                return False
            held.rich = held.heard = True
            for kind, data in events:
                state.publish(lease.job_id, kind, dict(data), now)
                if kind == "job.progress":
                    if data.get("progress") is not None:
                        held.progress = float(data["progress"])
                    held.detail = data.get("message") or held.detail
            self._changed.notify_all()
            return True

    def events(
        self, queue: str, job_id: str, *, after: int = 0, block_s: float = 0.0, limit: int = 500
    ) -> list[JobEvent]:
        deadline = time.monotonic() + block_s
        with self._changed:
            while True:
                state = self._of(queue)
                held = state.jobs.get(job_id)
                if held is not None:
                    held.heard = True
                found = self._events(state, job_id, after)[:limit]
                left_s = deadline - time.monotonic()
                if found or left_s <= 0 or held is None:
                    return found
                self._changed.wait(left_s)

    def _events(self, state: _Queue, job_id: str, after: int) -> list[JobEvent]:
        stream = state.events.get(job_id)
        if stream is not None and stream.gone_ms is not None and stream.gone_ms <= self._now_ms():
            del state.events[job_id]
            stream = None
        found = [event for event in stream.kept if event.number > after] if stream is not None else []
        held = state.jobs.get(job_id)
        if after < 1 and (held is not None or found):
            at_ms = held.enqueued_ms if held is not None else found[0].at_ms
            found.insert(0, JobEvent(1, "job.queued", {}, at_ms))
        return found

    def live(self, queue: str, job_ids: Sequence[str]) -> list[LiveJob | None]:
        with self._changed:
            jobs = self._of(queue).jobs
            return [_live(jobs[job_id]) if job_id in jobs else None for job_id in job_ids]

    def wait_for_bell(self, queue: str, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                state = self._of(queue)
                if state.settle or any(state.ready.values()):
                    return True
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                self._changed.wait(left_s)

    def bury(self, queue: str, job_ids: Sequence[str]) -> None:
        with self._changed:
            dead = self._of(queue).dead
            for job_id in job_ids:
                dead[job_id] = self._now_ms()
            for job_id in _first(dead, len(dead) - _DEAD_CAP) if len(dead) > _DEAD_CAP else []:
                del dead[job_id]

    def dead(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[tuple[str, int]]:
        with self._changed:
            dead = self._of(queue).dead
            newest = sorted(dead.items(), key=lambda item: (item[1], item[0]), reverse=True)
            return newest[offset : offset + limit]

    def exhume(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        with self._changed:
            dead = self._of(queue).dead
            return [dead.pop(job_id, None) is not None for job_id in job_ids]

    def drop(self, queue: str, job_ids: Sequence[str]) -> None:
        with self._changed:
            state = self._of(queue)
            for job_id in job_ids:
                if job_id in state.jobs:
                    state.forget(job_id, self._now_ms())

    def holds(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        with self._changed:
            return [job_id in self._of(queue).jobs for job_id in job_ids]

    def stats(self, queue: str) -> QueueStats:
        with self._changed:
            state, now = self._of(queue), self._now_ms()
            waiting = [now - state.jobs[_first(place, 1)[0]].enqueued_ms for place in state.ready.values() if place]
            tenants: dict[str, int] = {}
            for held in state.jobs.values():
                tenants[held.entry.tenant_id] = tenants.get(held.entry.tenant_id, 0) + 1
            return QueueStats(
                queue=queue,
                ready={band.value: len(state.ready[band]) for band in _BANDS},
                delayed=len(state.delayed),
                leased=len(state.lease),
                dead=len(state.dead),
                jobs=len(state.jobs),
                bytes=sum(len(held.entry.body) for held in state.jobs.values()),
                oldest_s=max(waiting) / 1000 if waiting else None,
                tenants=tenants,
            )

    def lock(self, name: str, ttl_s: float) -> bool:
        with self._changed:
            now = self._now_ms()
            if self._locks.get(name, now) > now:
                return False
            self._locks[name] = now + round(ttl_s * 1000)
            return True


def _over(held: int, cap: int | None, more: int) -> bool:
    return cap is not None and held + more > cap


def _attempt(number: int, outcome: str, executor_id: str | None, ended_ms: int | None) -> dict[str, Any]:
    return {
        "number": number,
        "outcome": outcome,
        "error": None,
        "executor_id": executor_id,
        "ended_ms": ended_ms,
    }


def _live(held: _Held) -> LiveJob:
    works = held.state in ("starting", "running")
    return LiveJob(
        status=held.state if works else "queued",
        attempt=held.attempt,
        progress=held.progress,
        status_detail=held.detail,
        executor_id=held.executor_id if works else None,
        claimed_ms=held.claimed_ms,
        started_ms=held.started_ms,
        cancel_requested=held.cancel,
    )

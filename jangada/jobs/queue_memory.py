"""
The queue in one process' memory: for tests and for trying things out; dies with the process.

Same rules as `queue_redis.py`, told in Python (`memory_*.py`); the contract suite and
the state machine run over both.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from jangada.jobs import memory_claims as claims
from jangada.jobs.memory_admission import judge
from jangada.jobs.memory_state import BANDS, LEASED, Bucket, Held, QueueState, first
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
    QueueControl,
    QueueEntry,
    QueueLimits,
    QueueStats,
    WaitingJob,
)
from jangada.jobs.queue_view import checked_rate

_DEAD_CAP = 10_000
_SETTLE_LEASE_MS = 15_000


class MemoryJobQueue:
    """`JobQueue` in memory, thread-safe. *now_ms* may be turned by hand."""

    def __init__(self, *, age_s: float = 60.0, now_ms: Callable[[], int] | None = None) -> None:
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._age_ms = round(age_s * 1000)
        self._changed = threading.Condition(threading.RLock())
        self._queues: dict[str, QueueState] = {}
        self._locks: dict[str, int] = {}

    def _of(self, queue: str) -> QueueState:
        return self._queues.setdefault(queue, QueueState())

    def wipe(self) -> None:
        """Forget everything, as a Redis that comes back empty has."""
        with self._changed:
            self._queues.clear()
            self._locks.clear()
            self._changed.notify_all()

    def admit(self, queue: str, entries: Sequence[QueueEntry], limits: QueueLimits) -> list[Admission]:
        with self._changed:
            return judge(self._of(queue), entries, limits)

    def enqueue_many(
        self, queue: str, entries: Sequence[QueueEntry], limits: QueueLimits | None = None
    ) -> list[Admission]:
        with self._changed:
            state, now = self._of(queue), self._now_ms()
            answer = judge(state, entries, limits)
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
                held = Held(entry, entry.priority, now, rich=rich, heard=heard)
                state.add(held)
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
        token: str | None = None,
        again: bool = False,
    ) -> Claimed:
        with self._changed:
            state, now = self._of(queue), self._now_ms()
            flags = [claims.finish(state, done, now) for done in finished]
            claims.make_due(state, now)
            until = now + round(lease_s * 1000)
            leases = claims.handed_before(queue, state, executor_id, token, until) if again else []
            for job_id in first(state.settle, settle):
                leases.append(claims.lease(queue, state, job_id, executor_id, until, "settling", now))
            running_already = sum(lease.action is LeaseAction.RUN for lease in leases)
            allowed = state.allowed(max(0, want - running_already), now)
            if allowed > 0:
                claims.lift_old(state, now, self._age_ms, allowed)
                to = "running" if running else "starting"
                leases += claims.claim(queue, state, executor_id, allowed, until, to, now)
            claims.remember(state, executor_id, token, until, leases)
            self._changed.notify_all()
            return Claimed(flags, leases, _next_due(state, now), now)

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
        return self._put_back(queue, lease, max(0, round(delay_s * 1000)), attempt)

    def release(self, queue: str, leases: Sequence[Lease]) -> list[bool]:
        return [self._put_back(queue, lease, None, None) for lease in leases]

    def _put_back(self, queue: str, lease: Lease, delay_ms: int | None, entry: dict[str, Any] | None) -> bool:
        with self._changed:
            self._changed.notify_all()
            return claims.put_back(self._of(queue), lease, delay_ms, entry, self._now_ms())

    def cancel(self, queue: str, job_id: str, *, executor_id: str) -> tuple[CancelResult, Lease | None]:
        with self._changed:
            state, now = self._of(queue), self._now_ms()
            held = state.jobs.get(job_id)
            if held is None:
                return CancelResult.UNKNOWN, None
            held.cancel = True
            if held.state in LEASED:
                return CancelResult.SIGNALED, None
            state.take_out(job_id)
            held.action = LeaseAction.SETTLE_CANCELED
            lease = claims.lease(queue, state, job_id, executor_id, now + _SETTLE_LEASE_MS, "settling", now)
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
        self,
        queue: str,
        job_id: str,
        *,
        after: int = 0,
        block_s: float = 0.0,
        limit: int = 500,
        only_end: bool = False,  # noqa: ARG002 - it may leave out what comes before, and need not
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

    def _events(self, state: QueueState, job_id: str, after: int) -> list[JobEvent]:
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
            return [jobs[job_id].live() if job_id in jobs else None for job_id in job_ids]

    def wait_for_bell(self, queue: str, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                state, now = self._of(queue), self._now_ms()
                allowed_at = state.allowed_at_ms(now)
                if state.settle or (any(state.ready.values()) and allowed_at is not None and allowed_at <= now):
                    return True
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                self._changed.wait(left_s)

    def bell_line(self, queue: str) -> None:  # noqa: ARG002 - nothing here is a socket
        return None

    def ring(self, queue: str) -> None:  # noqa: ARG002 - who waits here looks for itself
        with self._changed:
            self._changed.notify_all()

    def bury(self, queue: str, job_ids: Sequence[str]) -> None:
        with self._changed:
            dead = self._of(queue).dead
            for job_id in job_ids:
                dead[job_id] = self._now_ms()
            for job_id in first(dead, len(dead) - _DEAD_CAP) if len(dead) > _DEAD_CAP else []:
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
            waiting = [now - state.jobs[line[0]].enqueued_ms for line in state.lines.values()]
            return QueueStats(
                queue=queue,
                ready={band.value: len(state.ready[band]) for band in BANDS},
                delayed=len(state.delayed),
                leased=len(state.lease),
                dead=len(state.dead),
                jobs=len(state.jobs),
                bytes=state.bytes,
                oldest_s=max(waiting) / 1000 if waiting else None,
                tenants=dict(state.tenant_jobs),
                tenant_bytes=dict(state.tenant_bytes),
                settling=len(state.settle),
                control=state.control,
            )

    def peek(self, queue: str, *, limit: int = 20) -> list[WaitingJob]:
        with self._changed:
            state, now = self._of(queue), self._now_ms()
            shown = [job_id for band in BANDS for job_id in state.in_order(band, limit)][:limit]
            found = [state.jobs[job_id] for job_id in shown]
            return [
                WaitingJob(
                    held.entry.job_id, held.entry.tenant_id, held.band, (now - held.enqueued_ms) / 1000, held.attempt
                )
                for held in found
            ]

    def control(self, queue: str) -> QueueControl:
        with self._changed:
            return self._of(queue).control

    def pause(self, queue: str) -> QueueControl:
        return self._set(queue, paused=True)

    def drain(self, queue: str) -> QueueControl:
        return self._set(queue, draining=True)

    def resume(self, queue: str) -> QueueControl:
        return self._set(queue, paused=False, draining=False)

    def limit_rate(self, queue: str, per_s: float | None, *, burst: int | None = None) -> QueueControl:
        rate, size = checked_rate(per_s, burst)
        with self._changed:
            self._of(queue).bucket = None if rate is None else Bucket(float(size), self._now_ms())
            return self._set(queue, rate_per_s=rate, burst=size)

    def _set(self, queue: str, **changes: Any) -> QueueControl:
        with self._changed:
            state = self._of(queue)
            state.control = replace(state.control, **changes)
            self._changed.notify_all()
            return state.control

    def lock(self, name: str, ttl_s: float) -> bool:
        with self._changed:
            now = self._now_ms()
            if self._locks.get(name, now) > now:
                return False
            self._locks[name] = now + round(ttl_s * 1000)
            return True

    def now_ms(self) -> int:
        return self._now_ms()


def _next_due(state: QueueState, now: int) -> int | None:
    dues = [min(place.values()) for place in (state.lease, state.expiry, state.delayed) if place]
    if state.settle:
        dues.append(now)
    allowed_at = state.allowed_at_ms(now)
    if any(state.ready.values()) and allowed_at is not None:
        dues.append(allowed_at)
    return min(dues) if dues else None

"""What one queue in memory holds: its jobs and the places they wait in."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from jangada.jobs.job import Priority
from jangada.jobs.queue import JobEvent, Lease, LeaseAction, LiveJob, QueueControl, QueueEntry

BANDS = (Priority.HIGH, Priority.NORMAL, Priority.LOW)
LEASED = frozenset({"starting", "running", "settling"})

_EVENTS_CAP = 1000
_STATUS_EVENTS_TTL_MS = 15_000
_RICH_EVENTS_TTL_MS = 600_000
FRONT = "\1"
"""Stands for a tenant: the line of those that had their turn before, ahead of all others."""


@dataclass(slots=True)
class Held:
    """One job; `state` as in `lua/lib.lua`."""

    entry: QueueEntry
    band: Priority
    enqueued_ms: int
    state: str = "queued"
    action: LeaseAction | None = None
    attempt: int = 0
    counted: int = 0
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

    def live(self) -> LiveJob:
        """What there is to see of it."""
        works = self.state in ("starting", "running")
        return LiveJob(
            status=self.state if works else "queued",
            attempt=self.attempt,
            progress=self.progress,
            status_detail=self.detail,
            executor_id=self.executor_id if works else None,
            claimed_ms=self.claimed_ms,
            started_ms=self.started_ms,
            cancel_requested=self.cancel,
        )


class Stream:
    """One job's events."""

    __slots__ = ("gone_ms", "kept", "last")

    def __init__(self) -> None:
        self.kept: deque[JobEvent] = deque(maxlen=_EVENTS_CAP)
        self.last = 1
        self.gone_ms: int | None = None


@dataclass(slots=True)
class Bucket:
    """The tokens of a rate limit."""

    tokens: float
    at_ms: int


@dataclass(slots=True)
class Handed:
    """What an executor's last claim handed out, should its answer have been lost."""

    token: str
    until_ms: int
    leases: list[tuple[str, int]]
    """Job ids and attempts."""


class QueueState:
    """The state of one queue; its places map job ids to scores."""

    def __init__(self) -> None:
        self.jobs: dict[str, Held] = {}
        self.bytes = 0
        self.tenant_jobs: Counter[str] = Counter()
        self.tenant_bytes: Counter[str] = Counter()
        self.ready: dict[Priority, dict[str, str]] = {band: {} for band in BANDS}
        self.lines: dict[tuple[Priority, str], list[str]] = {}
        self.turns: dict[Priority, dict[str, float]] = {band: {} for band in BANDS}
        self.age: dict[str, int] = {}
        self.delayed: dict[str, int] = {}
        self.lease: dict[str, int] = {}
        self.expiry: dict[str, int] = {}
        self.settle: dict[str, int] = {}
        self.dead: dict[str, int] = {}
        self.virtual: dict[Priority, float] = {}
        self.ends: dict[tuple[Priority, str], float] = {}
        self.events: dict[str, Stream] = {}
        self.control = QueueControl()
        self.bucket: Bucket | None = None
        self.handed: dict[str, Handed] = {}

    def add(self, held: Held) -> None:
        """Hold one more job, wherever it will wait."""
        entry = held.entry
        self.jobs[entry.job_id] = held
        self.bytes += len(entry.body)
        self.tenant_jobs[entry.tenant_id] += 1
        self.tenant_bytes[entry.tenant_id] += len(entry.body)

    def forget(self, job_id: str, now_ms: int) -> None:
        """Remove every trace but the events, which stay a while for those who listen."""
        self.take_out(job_id)
        held = self.jobs.pop(job_id)
        self.lease.pop(job_id, None)
        if not held.heard:
            self.events.pop(job_id, None)
        elif job_id in self.events:
            self.events[job_id].gone_ms = now_ms + (_RICH_EVENTS_TTL_MS if held.rich else _STATUS_EVENTS_TTL_MS)
        tenant = held.entry.tenant_id
        self.bytes -= len(held.entry.body)
        self.tenant_jobs[tenant] -= 1
        self.tenant_bytes[tenant] -= len(held.entry.body)
        if not self.tenant_jobs[tenant]:
            del self.tenant_jobs[tenant], self.tenant_bytes[tenant]
            for band in BANDS:
                self.ends.pop((band, tenant), None)
        if not self.jobs:
            self.virtual.clear()
            self.ends.clear()

    def make_ready(self, job_id: str, held: Held, now_ms: int) -> None:
        """Put a job where it can be claimed: behind its tenant's others, or in front of all once it had its turn."""
        band, name = held.band, FRONT if held.attempt > 0 else held.entry.tenant_id
        line = self.lines.setdefault((band, name), [])
        if not line:
            begin = max(self.virtual.get(band, 0.0), self.ends.get((band, name), 0.0))
            self.turns[band][name] = -1.0 if name == FRONT else begin
        line.append(job_id)
        self.ready[band][job_id] = name
        if band is not Priority.HIGH:
            self.age[job_id] = now_ms

    def in_order(self, band: Priority, limit: int) -> list[str]:
        """The ready jobs of *band* in the order of their turns: start-time fair queueing, see `lua/lib.lua`."""
        turns = dict(self.turns[band])
        at = dict.fromkeys(turns, 0)
        found: list[str] = []
        while turns and len(found) < limit:
            name = min(turns, key=lambda each: (turns[each], each))
            job_id = self.lines[band, name][at[name]]
            found.append(job_id)
            turns[name] = self._later(name, turns[name], job_id)
            at[name] += 1
            if at[name] == len(self.lines[band, name]):
                del turns[name]
        return found

    def pass_turn(self, job_id: str, held: Held) -> None:
        """Take a ready job out because its turn has come: its tenant's next one starts later."""
        band = held.band
        name = self.ready[band][job_id]
        tag = self.turns[band][name]
        self.virtual[band] = max(self.virtual.get(band, 0.0), tag)
        self.turns[band][name] = self._later(name, tag, job_id)
        self.take_out(job_id)

    def _later(self, name: str, tag: float, job_id: str) -> float:
        return tag if name == FRONT else tag + 1 / self.jobs[job_id].entry.weight

    def _unready(self, band: Priority, job_id: str) -> None:
        name = self.ready[band].pop(job_id, None)
        if name is None:
            return
        line = self.lines[band, name]
        line.remove(job_id)
        if not line:
            del self.lines[band, name]
            self.ends[band, name] = self.turns[band].pop(name)

    def bound_by_deadline(self, job_id: str, held: Held) -> None:
        """Back to waiting after an attempt: from now on the deadline bounds the wait."""
        if held.entry.deadline_ms is not None:
            self.expiry[job_id] = held.entry.deadline_ms

    def take_out(self, job_id: str) -> None:
        """Remove a waiting job from wherever it waits."""
        for band in BANDS:
            self._unready(band, job_id)
        for place in (self.age, self.delayed, self.expiry, self.settle):
            place.pop(job_id, None)

    def to_settle(self, job_id: str, action: LeaseAction, now_ms: int) -> None:
        """Only the outcome is still to be written."""
        held = self.jobs[job_id]
        held.state, held.action = "settle", action
        self.settle[job_id] = now_ms

    def publish(self, job_id: str, kind: str, data: dict[str, Any], now_ms: int) -> None:
        """Append one event."""
        stream = self.events.setdefault(job_id, Stream())
        stream.last += 1
        stream.kept.append(JobEvent(stream.last, kind, data, now_ms))

    def current(self, lease: Lease) -> Held | None:
        """The job, if *lease* names its newest attempt."""
        held = self.jobs.get(lease.job_id)
        if held is None or held.entry.epoch != lease.epoch or held.attempt != lease.attempt:
            return None
        return held

    def leased(self, lease: Lease) -> Held | None:
        """The job, if *lease* still holds it."""
        held = self.current(lease)
        return held if held is not None and held.state in LEASED else None

    def allowed(self, want: int, now_ms: int) -> int:
        """How many of *want* jobs a pause and the rate limit let through now."""
        if self.control.paused:
            return 0
        if self.bucket is None or self.control.rate_per_s is None:
            return want
        earned = (now_ms - self.bucket.at_ms) * self.control.rate_per_s / 1000
        self.bucket.tokens = min(float(self.control.burst), self.bucket.tokens + max(0.0, earned))
        self.bucket.at_ms = now_ms
        return min(want, math.floor(self.bucket.tokens))

    def allowed_at_ms(self, now_ms: int) -> int | None:
        """When the next job may be claimed, as far as pause and rate are concerned; None: not before a resume."""
        if self.control.paused:
            return None
        if self.bucket is None or self.control.rate_per_s is None or self.bucket.tokens >= 1:
            return now_ms
        return now_ms + math.ceil((1 - self.bucket.tokens) * 1000 / self.control.rate_per_s)


def first(place: dict[str, Any], count: int) -> list[str]:
    """The *count* job ids with the lowest scores."""
    return [job_id for job_id, _ in sorted(place.items(), key=lambda item: (item[1], item[0]))[:count]]

"""What one queue in memory holds: its jobs and the places they wait in."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from jangada.jobs.job import Priority
from jangada.jobs.queue import JobEvent, Lease, LeaseAction, QueueControl, QueueEntry

BANDS = (Priority.HIGH, Priority.NORMAL, Priority.LOW)
LEASED = frozenset({"starting", "running", "settling"})

_EVENTS_CAP = 1000
_STATUS_EVENTS_TTL_MS = 15_000
_RICH_EVENTS_TTL_MS = 600_000
_AHEAD_OF_ALL = -1e15


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
        self.ready: dict[Priority, dict[str, float]] = {band: {} for band in BANDS}
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
        self._returns = 0

    def add(self, held: Held) -> None:
        """Hold one more job, wherever it will wait."""
        entry = held.entry
        self.jobs[entry.job_id] = held
        self.bytes += len(entry.body)
        self.tenant_jobs[entry.tenant_id] += 1
        self.tenant_bytes[entry.tenant_id] += len(entry.body)

    def forget(self, job_id: str, now_ms: int) -> None:
        """Remove every trace but the events, which stay a while for those who listen."""
        held = self.jobs.pop(job_id)
        self.take_out(job_id)
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

    def charge(self, band: Priority, entry: QueueEntry) -> float:
        """Start-time fair queueing, see `lua/lib.lua`."""
        tag = max(self.virtual.get(band, 0.0), self.ends.get((band, entry.tenant_id), 0.0))
        self.ends[band, entry.tenant_id] = tag + 1 / entry.weight
        return tag

    def make_ready(self, job_id: str, held: Held, now_ms: int) -> None:
        """Put a job where it can be claimed: behind its tenant's others, or in front of all once it had its turn."""
        if held.attempt > 0 and held.tag is not None:
            self._returns += 1
            self.ready[held.band][job_id] = _AHEAD_OF_ALL + self._returns
        else:
            held.tag = self.charge(held.band, held.entry)
            self.ready[held.band][job_id] = held.tag
        if held.band is not Priority.HIGH:
            self.age[job_id] = now_ms

    def bound_by_deadline(self, job_id: str, held: Held) -> None:
        """Back to waiting after an attempt: from now on the deadline bounds the wait."""
        if held.entry.deadline_ms is not None:
            self.expiry[job_id] = held.entry.deadline_ms

    def take_out(self, job_id: str) -> None:
        """Remove a waiting job from wherever it waits."""
        for band in self.ready.values():
            band.pop(job_id, None)
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

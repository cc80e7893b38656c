"""What a lane does now, as the scaling policy wants to know it: from the queue, the ledger and the replicas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Protocol

from jangada.deployments.ledger import Pulse
from jangada.deployments.replica import Replica, ReplicaStatus, Wanted
from jangada.deployments.scaling import Load
from jangada.jobs.queue_view import QueueStats

UNKNOWN_START_S = 2.0
"""Taken for the time that a replica's start takes, before one was seen."""


class QueueSight(Protocol):
    """As much of a `JobQueue` as the scaler uses."""

    def stats(self, queue: str) -> QueueStats:
        """Depths, ages and counts."""
        ...

    def lock(self, name: str, ttl_s: float) -> bool:
        """Try to be the one process that does *name* for *ttl_s*."""
        ...


@dataclass(frozen=True, slots=True)
class Counted:
    """The live replicas of a lane, each place once: a place that is being replaced counts as what it offers now."""

    ready: int = 0
    starting: int = 0
    draining: int = 0
    slots: int = 1


def count(replicas: Iterable[Replica], now: datetime) -> Counted:
    """How many of *replicas* are what."""
    live = [one for one in replicas if one.is_live(now)]
    ready = {one.ordinal for one in live if one.status is ReplicaStatus.READY}
    starting = {one.ordinal for one in live if one.status is ReplicaStatus.STARTING} - ready
    slots = [one.slots for one in live if one.status is ReplicaStatus.READY]
    return Counted(
        ready=len(ready),
        starting=len(starting),
        draining=sum(1 for one in live if one.status is ReplicaStatus.DRAINING),
        slots=max(1, round(median(slots))) if slots else 1,
    )


def load_of(stats: QueueStats, pulse: Pulse, counted: Counted, start_s: float | None) -> Load:
    """
    The load that *stats* and what is known of the past make.

    Jobs that are not to run yet do not count. Arrivals are what ended and what is there.
    """
    queued = sum(stats.ready.values())
    return Load(
        queued=queued,
        running=stats.leased,
        ready=counted.ready,
        starting=counted.starting,
        slots=counted.slots,
        run_s=median(pulse.runs_s) if pulse.runs_s else None,
        start_s=UNKNOWN_START_S if start_s is None else start_s,
        arrivals=pulse.attempts + queued + stats.leased,
    )


def backlog_s(load: Load) -> float:
    """Seconds of work that wait, for those that work now; for one replica when none does."""
    return load.queued * load.typical_run_s / max(1, load.ready * load.slots)


def latest_start(replicas: Sequence[Replica], known: Wanted | None) -> tuple[float | None, dict[str, float]]:
    """What the latest start of a lane took, and by phase: of those that are there, else as it was *known*."""
    started = [(one.ready_at, one) for one in replicas if one.ready_at is not None]
    if not started:
        return (None, {}) if known is None else (known.start_s, dict(known.phases_s))
    ready_at, one = max(started, key=lambda pair: pair[0])
    return (ready_at - one.started_at).total_seconds(), dict(one.phases_s)

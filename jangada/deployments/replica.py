"""The record of a replica: one executor that a node runs for a deployment, and the wish how many there are to be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from jangada.deployments.deployment import Lane
from jangada.deployments.scaling import Reason, ScalingMemory
from jangada.ids import new_id

STUCK_S = 20.0
"""So long a new rollout's replica is waited for, before an old one makes room for it."""


class ReplicaStatus(StrEnum):
    """Where a replica is in its life."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    """Claims no more; what runs goes on for the deployment's drain time."""
    LOST = "lost"
    """Its lease has run out: its node is not heard of."""


@dataclass(frozen=True, slots=True)
class Replica:
    """
    One executor of one lane. *ordinal* is its place among those wanted: 0, 1, 2 …; each place is held once.

    It belongs to *node_id* until *lease_until*. *phases_s* is what its start took, by
    phase; *slots* how many jobs it runs at a time.
    """

    id: str
    lane: str
    deployment: str
    rollout: int
    ordinal: int
    node_id: str
    lease_until: datetime
    started_at: datetime
    status: ReplicaStatus = ReplicaStatus.STARTING
    ready_at: datetime | None = None
    phases_s: Mapping[str, float] = field(default_factory=dict)
    slots: int = 1
    executor_id: str | None = None
    gpus: tuple[str, ...] = ()
    """UUIDs of the devices that are its own."""

    def is_live(self, now: datetime) -> bool:
        """Whether its lease holds."""
        return self.lease_until > now

    def seen(self, now: datetime) -> ReplicaStatus:
        """Its status as it is at *now*: an old lease is a lost replica."""
        return self.status if self.is_live(now) else ReplicaStatus.LOST


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    How many replicas a lane is to have, since when and why. *memory* is for the next decision.

    *start_s* is what the latest start took, None before the first, and *phases_s* by phase.
    """

    lane: str
    replicas: int
    reason: Reason
    at: datetime
    start_s: float | None = None
    phases_s: Mapping[str, float] = field(default_factory=dict)
    memory: ScalingMemory = field(default_factory=ScalingMemory)


def claimed(
    lane: Lane, ordinal: int, node_id: str, *, now: datetime, until: datetime, gpus: tuple[str, ...] = ()
) -> Replica:
    """A new replica of *lane* in that place."""
    return Replica(
        id=new_id("rep"),
        lane=lane.name,
        deployment=lane.deployment,
        rollout=lane.rollout,
        ordinal=ordinal,
        node_id=node_id,
        lease_until=until,
        started_at=now,
        gpus=gpus,
    )


def in_order(replicas: Iterable[Replica]) -> list[Replica]:
    """By lane, newest rollout first, and place."""
    return sorted(replicas, key=lambda one: (one.lane, -one.rollout, one.ordinal))


def to_drain(lane: Lane | None, replicas: Iterable[Replica], wanted: int, now: datetime) -> list[Replica]:
    """
    Those of a lane's *replicas* that are to go: beyond *wanted*, or replaced by a newer rollout.

    One of an older rollout goes when the newer one in its place is ready; when that
    place could not even be taken for `STUCK_S` (there is no room for both), it goes
    first. *lane* None: the deployment is gone, and so are all.
    """
    live = [one for one in replicas if one.is_live(now) and one.status is not ReplicaStatus.DRAINING]
    if lane is None:
        return live
    new = {one.ordinal: one for one in live if one.rollout == lane.rollout}
    old = [one for one in live if one.rollout != lane.rollout and one.ordinal < wanted]
    replaced = [one for one in old if one.ordinal in new and new[one.ordinal].status is ReplicaStatus.READY]
    waiting = [one for one in old if one.ordinal not in new]
    return [one for one in live if one.ordinal >= wanted] + replaced + _making_room(lane, new.values(), waiting, now)


def _making_room(lane: Lane, new: Collection[Replica], waiting: list[Replica], now: datetime) -> list[Replica]:
    """One old replica at a time, so that the others go on working meanwhile."""
    if not waiting or any(one.status is ReplicaStatus.STARTING for one in new):
        return []
    moved_at = max([lane.rolled_at, *(one.ready_at for one in new if one.ready_at is not None)])
    if (now - moved_at).total_seconds() < STUCK_S:
        return []
    return [min(waiting, key=lambda one: one.ordinal)]

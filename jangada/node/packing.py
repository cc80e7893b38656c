"""Which of the replicas that are missing a node takes, and with which GPUs. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jangada.deployments.deployment import Deployment, Lane, Resources
from jangada.deployments.node import Node
from jangada.deployments.placement import Room, fitting_gpus, no_room, nothing_matches, whole, why_not
from jangada.deployments.replica import Replica, ReplicaStatus, Wanted

IDLE_S = 2.5
"""A lane without a job for so long is idle: each is looked at once a second."""
_NOTHING = Resources(cpu_millicores=0, memory_mib=0)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was read from the store in one go; *deployments* are those that the agent serves."""

    deployments: Sequence[Deployment]
    wanted: Mapping[str, Wanted]
    replicas: Sequence[Replica]
    nodes: Sequence[Node]

    def living(self, now: datetime) -> list[Node]:
        """The nodes that were heard of in time."""
        return [one for one in self.nodes if one.is_alive(now)]


@dataclass(frozen=True, slots=True)
class Lack:
    """*missing* replicas of a lane that nobody holds; *has* are held, by any node. *is_busy*: jobs wait or run."""

    deployment: Deployment
    lane: Lane
    missing: int
    has: int = 0
    is_busy: bool = True


@dataclass(frozen=True, slots=True)
class Claim:
    """One replica to try for; *gpus* are UUIDs of devices that would be its own."""

    deployment: Deployment
    lane: Lane
    gpus: tuple[str, ...] = ()


def lacks(wishes: Wishes, now: datetime) -> list[Lack]:
    """The lanes that have fewer replicas than are wanted. One of an older rollout does not count: it is replaced."""
    found = []
    for deployment in wishes.deployments:
        for lane in deployment.lanes:
            want = wishes.wanted[lane.name].replicas if lane.name in wishes.wanted else 0
            held = sum(
                one.lane == lane.name and one.rollout == lane.rollout and one.ordinal < want and one.is_live(now)
                for one in wishes.replicas
            )
            if want > held:
                is_busy = _is_busy(wishes.wanted[lane.name], now)
                found.append(Lack(deployment, lane, want - held, held, is_busy))
    return found


def room_left(node: Node, wishes: Wishes, now: datetime) -> Room:
    """
    What of *node* is free beside the replicas that it holds.

    One whose deployment is gone, and which is about to end, takes no cores, but its GPUs until it has ended.
    """
    room = whole(node)
    needs = {one.name: one.resources for one in wishes.deployments}
    for one in wishes.replicas:
        if one.node_id == node.id and one.is_live(now):
            room = room.without(needs.get(one.deployment, _NOTHING), one.gpus)
    return room


def why_unmet(lack: Lack, wishes: Wishes, now: datetime) -> str | None:
    """Why no living node can take what is missing, as one sentence; None when one can."""
    living = wishes.living(now)
    reason = nothing_matches(lack.deployment, lack.lane, living)
    if reason is not None:
        return reason
    able = [one for one in living if not why_not(lack.deployment, lack.lane, one)]
    return no_room(lack.deployment, [room_left(one, wishes, now) for one in able])


def choose(node: Node, room: Room, lacking: Sequence[Lack], nodes: Sequence[Node]) -> list[Claim]:
    """
    What *node*, with *room* left, should try to claim now of what is *lacking*.

    Of each lane its share among the *nodes* that could run it, so that replicas
    spread; what others then do not take is asked for again in the next round.
    Lanes without any replica that work waits for come first, then others without any,
    then those that need most GPUs: what is hard to place must not find its place taken
    by what fits anywhere.
    """
    able = [(lack, _share(lack, node, nodes)) for lack in lacking if not why_not(lack.deployment, lack.lane, node)]
    able.sort(key=lambda one: (one[0].has > 0, not one[0].is_busy, -_gpus(one[0]), one[0].lane.name))
    claims: list[Claim] = []
    for turn in range(max((share for _, share in able), default=0)):
        for lack, share in able:
            if turn >= share or not room.holds(lack.deployment.resources):
                continue
            need = lack.deployment.resources
            gpus = (
                () if need.gpu is None else tuple(g.uuid for g in fitting_gpus(room.gpus, need.gpu)[: need.gpu.count])
            )
            room = room.without(need, gpus)
            claims.append(Claim(lack.deployment, lack.lane, gpus))
    return claims


def make_room(node: Node, wishes: Wishes, lacking: Sequence[Lack], now: datetime) -> list[Replica]:
    """
    Replicas of *node* that stand idle and are to go, so that the first job of another lane need not wait for them.

    Only for lanes that work waits for and that have no replica anywhere; only ready
    replicas beyond their lane's minimum, that longest idle first, and no more than it
    takes. So several models share one GPU by turns.
    """
    going: list[Replica] = []
    room = room_left(node, wishes, now)
    idle = _idle(node, wishes, now)
    for lack in lacking:
        need = lack.deployment.resources
        able = not why_not(lack.deployment, lack.lane, node)
        if lack.has or not able or room.holds(need) or not lack.is_busy:
            continue
        freed, chosen = room, []
        for one, deployment in idle:
            if freed.holds(need):
                break
            if one in going or one.lane == lack.lane.name:
                continue
            back = tuple(gpu for gpu in node.gpus if gpu.uuid in one.gpus)
            freed = Room(
                freed.cpu_millicores + deployment.resources.cpu_millicores,
                freed.memory_mib + deployment.resources.memory_mib,
                (*freed.gpus, *back),
            )
            chosen.append(one)
        if freed.holds(need):
            going += chosen
            room = freed.without(need)
    return going


def _idle(node: Node, wishes: Wishes, now: datetime) -> list[tuple[Replica, Deployment]]:
    """Ready replicas of *node* that may go and have had nothing to do, that longest idle first."""
    found = []
    for deployment in wishes.deployments:
        for lane in deployment.lanes:
            wanted = wishes.wanted.get(lane.name)
            if wanted is None or deployment.scaling.minimum or _is_busy(wanted, now):
                continue
            since = wanted.memory.busy_at or 0.0
            found += [
                (since, one.ordinal, one, deployment)
                for one in wishes.replicas
                if one.lane == lane.name
                and one.node_id == node.id
                and one.is_live(now)
                and one.status is ReplicaStatus.READY
                and one.ready_at is not None
                and (now - one.ready_at).total_seconds() > IDLE_S
            ]
    return [(one, deployment) for _, _, one, deployment in sorted(found, key=lambda each: each[:2])]


def _is_busy(wanted: Wanted, now: datetime) -> bool:
    """Whether its lane had unfinished jobs when it was looked at last."""
    return wanted.memory.busy_at is not None and now.timestamp() - wanted.memory.busy_at <= IDLE_S


def _share(lack: Lack, node: Node, nodes: Sequence[Node]) -> int:
    others = sum(one.id != node.id and not why_not(lack.deployment, lack.lane, one) for one in nodes)
    return math.ceil(lack.missing / (others + 1))


def _gpus(lack: Lack) -> int:
    return lack.deployment.resources.gpu.count if lack.deployment.resources.gpu else 0

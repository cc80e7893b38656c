"""Which of the replicas that are missing a node takes, and with which GPUs. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jangada.deployments.deployment import Deployment, Lane, Resources
from jangada.deployments.node import Node
from jangada.deployments.placement import Room, fitting_gpus, no_room, nothing_matches, whole, why_not
from jangada.deployments.replica import Replica, Wanted

_NOTHING = Resources(cpu_millicores=0, memory_mib=0)


@dataclass(frozen=True, slots=True)
class Wishes:
    """
    What was read from the store in one go.

    *deployments* are those that the agent serves; *resources* are what each
    deployment's replicas take, of all that there are.
    """

    deployments: Sequence[Deployment]
    resources: Mapping[str, Resources]
    wanted: Mapping[str, Wanted]
    replicas: Sequence[Replica]
    nodes: Sequence[Node]

    def living(self, now: datetime) -> list[Node]:
        """The nodes that were heard of in time."""
        return [one for one in self.nodes if one.is_alive(now)]


@dataclass(frozen=True, slots=True)
class Lack:
    """*missing* replicas of a lane that nobody holds; *has* are held, by any node."""

    deployment: Deployment
    lane: Lane
    missing: int
    has: int = 0


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
                found.append(Lack(deployment, lane, want - held, held))
    return found


def room_left(node: Node, wishes: Wishes, now: datetime) -> Room:
    """
    What of *node* is free beside the replicas that it holds.

    One whose deployment is gone, and which is about to end, takes no cores, but its GPUs until it has ended.
    """
    room = whole(node)
    for one in wishes.replicas:
        if one.node_id == node.id and one.is_live(now):
            room = room.without(wishes.resources.get(one.deployment, _NOTHING), one.gpus)
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
    Lanes without any replica come first, then those that need most GPUs: what is
    hard to place must not find its place taken by what fits anywhere.
    """
    able = [(lack, _share(lack, node, nodes)) for lack in lacking if not why_not(lack.deployment, lack.lane, node)]
    able.sort(key=lambda one: (one[0].has > 0, -_gpus(one[0]), one[0].lane.name))
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


def _share(lack: Lack, node: Node, nodes: Sequence[Node]) -> int:
    others = sum(one.id != node.id and not why_not(lack.deployment, lack.lane, one) for one in nodes)
    return math.ceil(lack.missing / (others + 1))


def _gpus(lack: Lack) -> int:
    return lack.deployment.resources.gpu.count if lack.deployment.resources.gpu else 0

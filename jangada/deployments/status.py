"""How far a wish is fulfilled, and if it is not, why: for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from jangada.clock import Clock, utc_now
from jangada.deployments.deployment import Deployment, Lane
from jangada.deployments.ledger import UsageLedger
from jangada.deployments.node import Node
from jangada.deployments.observe import Counted, QueueSight, backlog_s, count, load_of
from jangada.deployments.placement import Room, no_room, nothing_matches, whole, why_not
from jangada.deployments.replica import Replica, Wanted
from jangada.deployments.store import DeploymentStore

State = Literal["idle", "starting", "ready", "waiting", "paused"]


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """One version at work. *problem* is why it has not what it wants, None when nothing is wrong."""

    lane: Lane
    wanted: Wanted | None
    counted: Counted
    queued: int
    running: int
    backlog_s: float
    problem: str | None

    @property
    def replicas(self) -> int:
        """How many are wanted."""
        return 0 if self.wanted is None else self.wanted.replicas

    @property
    def state(self) -> State:
        """One word: *waiting* is that something is wanted that nobody could start yet."""
        if self.counted.ready:
            return "ready"
        if self.counted.starting:
            return "starting"
        return "waiting" if self.replicas or self.queued else "idle"


@dataclass(frozen=True, slots=True)
class Situation:
    """What is there at one moment, read once for any number of deployments."""

    now: datetime
    wanted: Mapping[str, Wanted]
    replicas: Mapping[str, Sequence[Replica]]
    nodes: Sequence[Node]
    needs: Mapping[str, Deployment] = field(default_factory=dict)


class Overseer:
    """Looks at deployments; changes nothing."""

    def __init__(
        self, store: DeploymentStore, queue: QueueSight, ledger: UsageLedger, *, clock: Clock = utc_now
    ) -> None:
        self._store = store
        self._queue = queue
        self._ledger = ledger
        self._clock = clock

    def situation(self, deployments: Iterable[Deployment]) -> Situation:
        """What is there now; *deployments* are all, whose replicas take room."""
        now = self._clock()
        held: dict[str, list[Replica]] = {}
        for replica in self._store.replicas():
            held.setdefault(replica.lane, []).append(replica)
        nodes = [node for node in self._store.nodes() if node.is_alive(now)]
        return Situation(now, self._store.wanted(), held, nodes, {one.name: one for one in deployments})

    def look(self, deployment: Deployment, at: Situation) -> list[LaneStatus]:
        """The lanes of *deployment* as they are."""
        return [self._lane(deployment, lane, at) for lane in deployment.lanes]

    def _lane(self, deployment: Deployment, lane: Lane, at: Situation) -> LaneStatus:
        wanted = at.wanted.get(lane.name)
        counted = count(at.replicas.get(lane.name, ()), at.now)
        load = load_of(self._queue.stats(lane.queue), self._ledger.pulse(lane.queue), counted, None)
        # Where jobs run without any replica, somebody started executors by hand.
        lacks = (wanted.replicas if wanted else 0) > load.replicas or (load.queued > 0 and not load.replicas)
        lacks = lacks and not (load.running and not load.replicas)
        problem = None
        if lacks or not deployment.is_implicit:
            problem = nothing_matches(deployment, lane, at.nodes)
        if problem is None and lacks:
            problem = no_room(deployment, [_room(node, at) for node in at.nodes if not why_not(deployment, lane, node)])
        return LaneStatus(lane, wanted, counted, load.queued, load.running, backlog_s(load), problem)


def _room(node: Node, at: Situation) -> Room:
    """What the replicas of *node* leave of it."""
    room = whole(node)
    for replicas in at.replicas.values():
        for one in replicas:
            if one.node_id == node.id and one.is_live(at.now) and (known := at.needs.get(one.deployment)):
                room = room.without(known.resources, one.gpus)
    return room

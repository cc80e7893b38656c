"""
A node's agent and the wishes: what it may start, what it holds, that it is alive.

What an agent does by itself beside MongoDB is done here for it, by our clock: places
are claimed and renewed, the scaler has its turn, delayed jobs become due, and a
sweeper runs, for there may be nodes of this kind alone.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jangada.clock import Clock, utc_now
from jangada.deployments.deployment import Deployment, Lane
from jangada.deployments.node import NODE_LEASE_S, Node
from jangada.deployments.placement import why_not
from jangada.deployments.replica import Replica, ReplicaStatus, Wanted
from jangada.deployments.scaler import Scaler
from jangada.deployments.store import DeploymentStore
from jangada.errors import ForbiddenError
from jangada.jobs.queue import JobQueue
from jangada.jobs.sweep import Sweeper
from jangada.nodes.checks import NodeChecks
from jangada.nodes.lanes import Lanes
from jangada.nodes.node import JoinedNode

DELAYED_S = 1.0
"""How often the delayed jobs of a lane without a replica are looked at."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What an agent sees of the wishes, at *now*."""

    now: datetime
    deployments: Sequence[Deployment]
    wanted: Mapping[str, Wanted]
    replicas: Sequence[Replica]
    nodes: Sequence[Node]


class NodeAgency:
    """Everything here raises `StoreUnavailableError` when a store is away."""

    def __init__(
        self,
        store: DeploymentStore,
        lanes: Lanes,
        scaler: Scaler,
        queue: JobQueue,
        sweeper: Sweeper,
        checks: NodeChecks,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._scaler = scaler
        self._queue = queue
        self._sweeper = sweeper
        self._checks = checks
        self._clock = clock
        self._lock = threading.Lock()
        self._is_sweeping = False

    def look(self, node: JoinedNode, *, urgent: Collection[str], only_wished: bool) -> Sight:
        """Decide what is due, and say what there is to do that *node* may do."""
        self._sweep()
        self._checks.compare()
        every = self._lanes.every(only_wished=only_wished)
        visible = self._lanes.of(node, every)
        names = {lane.name for one in visible for lane in one.lanes}
        # For all, also those that this node may not run: why nobody does is told by what is wanted.
        self._scaler.turn(every, urgent=names.intersection(urgent))
        now = self._clock()
        replicas = [one for one in self._store.replicas() if one.lane in names or one.node_id == node.id]
        self._wake(visible, replicas, now)
        wanted = {name: one for name, one in self._store.wanted().items() if name in names}
        nodes = self._store.nodes()
        if not node.is_trusted:
            # What other people's machines have is none of its business.
            nodes = [one for one in nodes if one.id == node.id]
        return Sight(now, visible, wanted, replicas, nodes)

    def describe(self, node: JoinedNode, said: Node) -> None:
        """Register what the machine has, by its own account; who it is and whom it may serve are ours to say."""
        until = self._clock() + timedelta(seconds=NODE_LEASE_S)
        labels = {**said.labels, **node.labels}
        self._store.put_node(
            replace(said, id=node.id, name=said.name or node.name, trust=node.trust, labels=labels, lease_until=until)
        )

    def renew(self, node: JoinedNode) -> bool:
        """The agent is alive: so is all that it holds. False when the machine is to be described (again)."""
        now = self._clock()
        until = now + timedelta(seconds=NODE_LEASE_S)
        is_known = self._store.renew_node(node.id, until)
        if node.suspended_for is None:
            self._store.renew_replicas(node.id, until)
        self._store.free_replicas(now)
        return is_known

    def leave(self, node: JoinedNode) -> None:
        """Forget the machine until it comes again."""
        self._store.remove_node(node.id)

    def claim(self, node: JoinedNode, lane_name: str, rollout: int, gpus: tuple[str, ...]) -> Replica | None:
        """
        A place of that lane, if one is free. None: there is none, or the wish has changed.

        Raises `ForbiddenError` for a lane that this node may not run, and for GPUs that it does not have.
        """
        found = self._find(node, lane_name)
        if found is None:
            raise ForbiddenError(f"this node may not run {lane_name}")
        deployment, lane = found
        machine = next((one for one in self._store.nodes() if one.id == node.id), None)
        if machine is None or lane.rollout != rollout:
            return None
        if lacks := why_not(deployment, lane, machine):
            raise ForbiddenError(f"this node may not run {lane_name}: it is not one that {' and '.join(lacks)}")
        if not set(gpus) <= {gpu.uuid for gpu in machine.gpus}:
            raise ForbiddenError("gpus: this node did not say that it has these")
        now = self._clock()
        until = now + timedelta(seconds=NODE_LEASE_S)
        made = self._store.claim_replica(lane, node.id, now=now, until=until, gpus=gpus)
        self._lanes.forget(node)
        return made

    def update(
        self,
        node: JoinedNode,
        replica_id: str,
        status: ReplicaStatus,
        *,
        phases_s: Mapping[str, float] | None = None,
        slots: int | None = None,
        executor_id: str | None = None,
    ) -> bool:
        """See `DeploymentStore.update_replica`; only of a replica of this node."""
        replica = self._own(node, replica_id)
        ready_at = self._clock() if status is ReplicaStatus.READY else None
        return replica is not None and self._store.update_replica(
            replica, status, ready_at=ready_at, phases_s=phases_s, slots=slots, executor_id=executor_id
        )

    def release(self, node: JoinedNode, replica_id: str) -> bool:
        """See `DeploymentStore.release_replica`; only of a replica of this node."""
        replica = self._own(node, replica_id)
        self._lanes.forget(node)
        return replica is not None and self._store.release_replica(replica)

    def _find(self, node: JoinedNode, lane_name: str) -> tuple[Deployment, Lane] | None:
        for one in self._lanes.of(node, self._lanes.every()):
            for lane in one.lanes:
                if lane.name == lane_name:
                    return one, lane
        return None

    def _own(self, node: JoinedNode, replica_id: str) -> Replica | None:
        return next((one for one in self._store.replicas() if one.id == replica_id and one.node_id == node.id), None)

    def _wake(self, deployments: Sequence[Deployment], replicas: Sequence[Replica], now: datetime) -> None:
        """See that delayed jobs of lanes without a replica become claimable in time: else an executor's claims do."""
        taken = {one.lane for one in replicas if one.is_live(now) and one.status is not ReplicaStatus.DRAINING}
        for one in deployments:
            for lane in one.lanes if not one.is_paused else ():
                if lane.name not in taken and self._queue.lock(f"wake-{lane.name}", DELAYED_S * 0.9):
                    self._queue.finish_and_claim(lane.queue, "nodes", want=0, settle=0)

    def _sweep(self) -> None:
        with self._lock:
            if not self._is_sweeping:
                self._is_sweeping = True
                self._sweeper.start()

    def close(self) -> None:
        """End what runs beside."""
        self._sweeper.stop()

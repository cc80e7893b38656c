"""Deployments and what fulfils them in this process' memory: for tests, and for users' tests."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from jangada.deployments.deployment import Deployment, Lane
from jangada.deployments.node import FORGOTTEN_AFTER, Node
from jangada.deployments.plan import Plan, without
from jangada.deployments.queues import CANARY_SUFFIX
from jangada.deployments.replica import Replica, ReplicaStatus, Wanted, claimed, in_order

Place = tuple[str, int, int]


class MemoryDeploymentStore:
    """A `DeploymentStore` that forgets everything with its process."""

    def __init__(self) -> None:
        self._deployments: dict[str, Deployment] = {}
        self._wanted: dict[str, Wanted] = {}
        self._plans: dict[str, Plan] = {}
        self._nodes: dict[str, Node] = {}
        self._replicas: dict[Place, Replica] = {}
        self._changing: dict[str, tuple[str, datetime]] = {}
        self._lock = threading.Lock()

    def create_indexes(self) -> None:
        """See `DeploymentStore`."""

    def insert(self, deployment: Deployment) -> bool:
        """See `DeploymentStore`."""
        with self._lock:
            return self._deployments.setdefault(deployment.name, deployment) is deployment

    def get(self, name: str) -> Deployment | None:
        """See `DeploymentStore`."""
        with self._lock:
            return self._deployments.get(name)

    def page(self) -> list[Deployment]:
        """See `DeploymentStore`."""
        with self._lock:
            return [self._deployments[name] for name in sorted(self._deployments)]

    def replace(self, deployment: Deployment, *, generation: int) -> bool:
        """See `DeploymentStore`."""
        with self._lock:
            found = self._deployments.get(deployment.name)
            if found is None or found.generation != generation:
                return False
            self._deployments[deployment.name] = deployment
            return True

    def delete(self, name: str, *, generation: int | None = None) -> bool:
        """See `DeploymentStore`."""
        with self._lock:
            found = self._deployments.get(name)
            if found is None or generation not in {None, found.generation}:
                return False
            del self._deployments[name]
            for lane in (name, name + CANARY_SUFFIX):
                self._wanted.pop(lane, None)
            return True

    def lock_wishes(self, tenant_id: str, holder: str, *, now: datetime, until: datetime) -> bool:
        """See `DeploymentStore`."""
        with self._lock:
            found = self._changing.get(tenant_id)
            if found is not None and found[1] > now:
                return False
            self._changing[tenant_id] = (holder, until)
            return True

    def unlock_wishes(self, tenant_id: str, holder: str) -> None:
        """See `DeploymentStore`."""
        with self._lock:
            if self._changing.get(tenant_id, ("",))[0] == holder:
                del self._changing[tenant_id]

    def put_wanted(self, wanted: Wanted) -> None:
        """See `DeploymentStore`."""
        with self._lock:
            self._wanted[wanted.lane] = wanted

    def wanted(self) -> dict[str, Wanted]:
        """See `DeploymentStore`."""
        with self._lock:
            return dict(self._wanted)

    def put_plan(self, plan: Plan) -> None:
        """See `DeploymentStore`."""
        with self._lock:
            for other in without(plan.tenants, self._plans.values()):
                self._plans[other.name] = other
            self._plans[plan.name] = plan

    def plans(self) -> list[Plan]:
        """See `DeploymentStore`."""
        with self._lock:
            return [self._plans[name] for name in sorted(self._plans)]

    def delete_plan(self, name: str) -> bool:
        """See `DeploymentStore`."""
        with self._lock:
            return self._plans.pop(name, None) is not None

    def put_node(self, node: Node) -> None:
        """See `DeploymentStore`."""
        with self._lock:
            self._nodes[node.id] = node

    def renew_node(self, node_id: str, until: datetime) -> bool:
        """See `DeploymentStore`."""
        with self._lock:
            found = self._nodes.get(node_id)
            if found is None:
                return False
            self._nodes[node_id] = replace(found, lease_until=until)
            return True

    def remove_node(self, node_id: str) -> None:
        """See `DeploymentStore`."""
        with self._lock:
            self._nodes.pop(node_id, None)

    def nodes(self) -> list[Node]:
        """See `DeploymentStore`."""
        with self._lock:
            return sorted(self._nodes.values(), key=lambda node: (node.name, node.id))

    def claim_replica(
        self, lane: Lane, node_id: str, *, now: datetime, until: datetime, gpus: tuple[str, ...] = ()
    ) -> Replica | None:
        """See `DeploymentStore`."""
        with self._lock:
            wanted = self._wanted.get(lane.name)
            for ordinal in range(wanted.replicas if wanted is not None else 0):
                place = (lane.name, lane.rollout, ordinal)
                held = self._replicas.get(place)
                if held is not None and held.is_live(now):
                    continue
                made = claimed(lane, ordinal, node_id, now=now, until=until, gpus=gpus)
                self._replicas[place] = made
                return made
            return None

    def renew_replicas(self, node_id: str, until: datetime) -> list[Replica]:
        """See `DeploymentStore`."""
        with self._lock:
            for place, one in self._replicas.items():
                if one.node_id == node_id:
                    self._replicas[place] = replace(one, lease_until=until)
            return in_order(one for one in self._replicas.values() if one.node_id == node_id)

    def update_replica(
        self,
        replica: Replica,
        status: ReplicaStatus,
        *,
        ready_at: datetime | None = None,
        phases_s: Mapping[str, float] | None = None,
        slots: int | None = None,
        executor_id: str | None = None,
    ) -> bool:
        """See `DeploymentStore`."""
        given = {"ready_at": ready_at, "phases_s": phases_s, "slots": slots, "executor_id": executor_id}
        with self._lock:
            held = self._replicas.get(_place(replica))
            if held is None or held.id != replica.id:
                return False
            said = {name: value for name, value in given.items() if value is not None}
            self._replicas[_place(replica)] = replace(held, status=status, **said)  # type: ignore[arg-type]
            return True

    def release_replica(self, replica: Replica) -> bool:
        """See `DeploymentStore`."""
        with self._lock:
            held = self._replicas.get(_place(replica))
            if held is None or held.id != replica.id:
                return False
            del self._replicas[_place(replica)]
            return True

    def free_replicas(self, now: datetime) -> int:
        """See `DeploymentStore`."""
        with self._lock:
            ended = [place for place, one in self._replicas.items() if not one.is_live(now)]
            for place in ended:
                del self._replicas[place]
            for node in list(self._nodes.values()):
                if node.lease_until <= now - FORGOTTEN_AFTER:
                    del self._nodes[node.id]
            return len(ended)

    def replicas(self, lane: str | None = None) -> list[Replica]:
        """See `DeploymentStore`."""
        with self._lock:
            return in_order(one for one in self._replicas.values() if lane in {None, one.lane})


def _place(replica: Replica) -> Place:
    return (replica.lane, replica.rollout, replica.ordinal)

"""
`DeploymentStore` in MongoDB.

    deployments          _id name, generation, record (JSON text)
    deployment_changes   _id tenant whose deployments are being changed, holder, until_ms
    deployment_wanted    _id lane, record (JSON text)
    plans                _id name, record (JSON text)
    nodes                _id node, lease_ms, record (JSON text)
    replicas             _id "lane/rollout/ordinal" (the place), lane, node_id, replica_id, lease_ms, status, …

Records are JSON text: labels may hold dots and dollar signs. Leases are whole
milliseconds beside the text, since conditions look at them. A place is its `_id`, so
that of agents that claim it at once one insert wins; later ones only win against the
lease that they have seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from jangada.clock import from_ms, to_ms
from jangada.deployments.deployment import Deployment, Lane, from_json, to_json
from jangada.deployments.node import FORGOTTEN_AFTER, Node
from jangada.deployments.plan import Plan, without
from jangada.deployments.queues import CANARY_SUFFIX
from jangada.deployments.replica import Replica, ReplicaStatus, Wanted, claimed, in_order
from jangada.mongo_client import translated

Document = dict[str, Any]

_WANTED = TypeAdapter(Wanted)
_PLAN = TypeAdapter(Plan)
_NODE = TypeAdapter(Node)


class MongoDeploymentStore:
    """A `DeploymentStore` on a MongoDB database."""

    def __init__(self, database: Database[Document]) -> None:
        self._deployments = database["deployments"]
        self._changing = database["deployment_changes"]
        self._wanted = database["deployment_wanted"]
        self._plans = database["plans"]
        self._nodes = database["nodes"]
        self._replicas = database["replicas"]
        self._handovers = database["replica_handovers"]

    def create_indexes(self) -> None:
        """See `DeploymentStore`."""
        with translated():
            self._replicas.create_index([("lane", ASCENDING)])
            self._replicas.create_index([("node_id", ASCENDING)])

    def insert(self, deployment: Deployment) -> bool:
        """See `DeploymentStore`."""
        return _insert(self._deployments, {"_id": deployment.name} | _wish(deployment))

    def get(self, name: str) -> Deployment | None:
        """See `DeploymentStore`."""
        with translated():
            found = self._deployments.find_one({"_id": name})
        return from_json(json.loads(found["record"])) if found else None

    def page(self) -> list[Deployment]:
        """See `DeploymentStore`."""
        with translated():
            found = [from_json(json.loads(one["record"])) for one in self._deployments.find({})]
        return sorted(found, key=lambda one: one.name)

    def replace(self, deployment: Deployment, *, generation: int) -> bool:
        """See `DeploymentStore`."""
        where = {"_id": deployment.name, "generation": generation}
        with translated():
            return self._deployments.update_one(where, {"$set": _wish(deployment)}).matched_count > 0

    def delete(self, name: str, *, generation: int | None = None) -> bool:
        """See `DeploymentStore`."""
        where: Document = {"_id": name} | ({} if generation is None else {"generation": generation})
        with translated():
            gone = self._deployments.delete_one(where).deleted_count > 0
            if gone:
                self._wanted.delete_many({"_id": {"$in": [name, name + CANARY_SUFFIX]}})
        return gone

    def lock_wishes(self, tenant_id: str, holder: str, *, now: datetime, until: datetime) -> bool:
        """See `DeploymentStore`."""
        document = {"_id": tenant_id, "holder": holder, "until_ms": to_ms(until)}
        if _insert(self._changing, document):
            return True
        with translated():
            # Whoever holds it has died with it.
            self._changing.delete_one({"_id": tenant_id, "until_ms": {"$lte": to_ms(now)}})
        return _insert(self._changing, document)

    def unlock_wishes(self, tenant_id: str, holder: str) -> None:
        """See `DeploymentStore`."""
        with translated():
            self._changing.delete_one({"_id": tenant_id, "holder": holder})

    def put_wanted(self, wanted: Wanted) -> None:
        """See `DeploymentStore`."""
        record = _WANTED.dump_json(wanted).decode()
        with translated():
            self._wanted.replace_one({"_id": wanted.lane}, {"_id": wanted.lane, "record": record}, upsert=True)

    def wanted(self) -> dict[str, Wanted]:
        """See `DeploymentStore`."""
        with translated():
            found = [_WANTED.validate_json(one["record"]) for one in self._wanted.find({})]
        return {one.lane: one for one in found}

    def put_plan(self, plan: Plan) -> None:
        """See `DeploymentStore`."""
        for one in (*without(plan.tenants, self.plans()), plan):
            document = {"_id": one.name, "record": _PLAN.dump_json(one).decode()}
            with translated():
                self._plans.replace_one({"_id": one.name}, document, upsert=True)

    def plans(self) -> list[Plan]:
        """See `DeploymentStore`."""
        with translated():
            found = [_PLAN.validate_json(one["record"]) for one in self._plans.find({})]
        return sorted(found, key=lambda plan: plan.name)

    def delete_plan(self, name: str) -> bool:
        """See `DeploymentStore`."""
        with translated():
            return self._plans.delete_one({"_id": name}).deleted_count > 0

    def put_node(self, node: Node) -> None:
        """See `DeploymentStore`."""
        document = {"_id": node.id, "lease_ms": to_ms(node.lease_until), "record": _NODE.dump_json(node).decode()}
        with translated():
            self._nodes.replace_one({"_id": node.id}, document, upsert=True)

    def renew_node(self, node_id: str, until: datetime) -> bool:
        """See `DeploymentStore`."""
        with translated():
            changed = self._nodes.update_one({"_id": node_id}, {"$set": {"lease_ms": to_ms(until)}})
        return changed.matched_count > 0

    def remove_node(self, node_id: str) -> None:
        """See `DeploymentStore`."""
        with translated():
            self._nodes.delete_one({"_id": node_id})

    def nodes(self) -> list[Node]:
        """See `DeploymentStore`."""
        with translated():
            found = [
                replace(_NODE.validate_json(one["record"]), lease_until=from_ms(one["lease_ms"]))
                for one in self._nodes.find({})
            ]
        return sorted(found, key=lambda node: (node.name, node.id))

    def claim_replica(
        self, lane: Lane, node_id: str, *, now: datetime, until: datetime, gpus: tuple[str, ...] = ()
    ) -> Replica | None:
        """See `DeploymentStore`."""
        with translated():
            found = self._wanted.find_one({"_id": lane.name})
            wanted = _WANTED.validate_json(found["record"]).replicas if found else 0
            held = {one["_id"]: one for one in self._replicas.find({"lane": lane.name})} if wanted else {}
        for ordinal in range(wanted):
            made = claimed(lane, ordinal, node_id, now=now, until=until, gpus=gpus)
            document = _from_replica(made)
            seen = held.get(document["_id"])
            if seen is None:
                taken = _insert(self._replicas, document)
            else:
                taken = seen["lease_ms"] <= to_ms(now) and self._take_over(seen, document)
            if taken:
                return made
        return None

    def _take_over(self, seen: Document, document: Document) -> bool:
        # An insert under one id has one winner on every server; a conditional update has not on FerretDB. Whoever dies
        # here leaves a lease that ran out, which `free_replicas` removes.
        if not _insert(self._handovers, {"_id": seen["replica_id"], "at_ms": document["started_ms"]}):
            return False
        where = {"_id": seen["_id"], "replica_id": seen["replica_id"], "lease_ms": seen["lease_ms"]}
        change = {"$set": {name: value for name, value in document.items() if name != "_id"}}
        with translated():
            return self._replicas.update_one(where, change).matched_count > 0

    def renew_replicas(self, node_id: str, until: datetime) -> list[Replica]:
        """See `DeploymentStore`."""
        with translated():
            self._replicas.update_many({"node_id": node_id}, {"$set": {"lease_ms": to_ms(until)}})
            return in_order(_to_replica(one) for one in self._replicas.find({"node_id": node_id}))

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
        given = {
            "ready_ms": None if ready_at is None else to_ms(ready_at),
            "phases": None if phases_s is None else json.dumps(dict(phases_s)),
            "slots": slots,
            "executor_id": executor_id,
        }
        said = {name: value for name, value in given.items() if value is not None}
        with translated():
            changed = self._replicas.update_one(_ours(replica), {"$set": {"status": status.value} | said})
        return changed.matched_count > 0

    def release_replica(self, replica: Replica) -> bool:
        """See `DeploymentStore`."""
        with translated():
            return self._replicas.delete_one(_ours(replica)).deleted_count > 0

    def free_replicas(self, now: datetime) -> int:
        """See `DeploymentStore`."""
        with translated():
            self._nodes.delete_many({"lease_ms": {"$lte": to_ms(now - FORGOTTEN_AFTER)}})
            self._handovers.delete_many({"at_ms": {"$lte": to_ms(now - FORGOTTEN_AFTER)}})
            return self._replicas.delete_many({"lease_ms": {"$lte": to_ms(now)}}).deleted_count

    def replicas(self, lane: str | None = None) -> list[Replica]:
        """See `DeploymentStore`."""
        where = {} if lane is None else {"lane": lane}
        with translated():
            return in_order(_to_replica(one) for one in self._replicas.find(where))


def _insert(collection: Any, document: Document) -> bool:
    with translated():
        try:
            collection.insert_one(document)
        except DuplicateKeyError:
            return False
    return True


def _wish(deployment: Deployment) -> Document:
    return {"generation": deployment.generation, "record": json.dumps(to_json(deployment))}


def _ours(replica: Replica) -> Document:
    return {"_id": f"{replica.lane}/{replica.rollout}/{replica.ordinal}", "replica_id": replica.id}


def _from_replica(replica: Replica) -> Document:
    return _ours(replica) | {
        "lane": replica.lane,
        "deployment": replica.deployment,
        "rollout": replica.rollout,
        "ordinal": replica.ordinal,
        "node_id": replica.node_id,
        "lease_ms": to_ms(replica.lease_until),
        "started_ms": to_ms(replica.started_at),
        "status": replica.status.value,
        "ready_ms": None if replica.ready_at is None else to_ms(replica.ready_at),
        "phases": json.dumps(dict(replica.phases_s)),
        "slots": replica.slots,
        "executor_id": replica.executor_id,
        "gpus": list(replica.gpus),
    }


def _to_replica(found: Document) -> Replica:
    return Replica(
        id=found["replica_id"],
        lane=found["lane"],
        deployment=found["deployment"],
        rollout=found["rollout"],
        ordinal=found["ordinal"],
        node_id=found["node_id"],
        lease_until=from_ms(found["lease_ms"]),
        started_at=from_ms(found["started_ms"]),
        status=ReplicaStatus(found["status"]),
        ready_at=None if found["ready_ms"] is None else from_ms(found["ready_ms"]),
        phases_s=json.loads(found["phases"]),
        slots=found["slots"],
        executor_id=found["executor_id"],
        gpus=tuple(found["gpus"]),
    )

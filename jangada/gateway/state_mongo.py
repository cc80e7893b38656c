"""
`GatewayState` in MongoDB, secrets sealed.

    fn_deployments  _id "namespace/name", spec (deploy body as JSON text), replicas, generation, created_at
    fn_namespaces   _id name, labels, annotations (JSON texts)
    fn_secrets      _id "namespace/name", namespace, sealed
    fn_changes      _id "deployments", n: grows with every change of fn_deployments;
                    _id "scaling", owner, until: the gateway that decides on replicas
    fn_gateways     _id gateway, report, at: the load that each sees; times in milliseconds since 1970

Texts, not sub-documents: names of variables and labels may hold dots and dollar signs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from pymongo import ASCENDING, MongoClient, ReturnDocument
from pymongo.errors import DuplicateKeyError

from jangada.clock import to_ms, utc_now
from jangada.errors import StoreUnavailableError
from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.sealing import Sealer
from jangada.gateway.stack import DEFAULT_NAMESPACE
from jangada.gateway.state import Deployed, Namespace, Shared
from jangada.mongo_client import translated

T = TypeVar("T")


class MongoState:
    """Implements `GatewayState`; every call runs in a thread. Closes *client* in the end."""

    def __init__(
        self,
        client: MongoClient[dict[str, Any]],
        database: str,
        sealer: Sealer,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._client = client
        self._sealer = sealer
        self._clock = clock
        self._functions = client[database]["fn_deployments"]
        self._spaces = client[database]["fn_namespaces"]
        self._secrets = client[database]["fn_secrets"]
        self._changes = client[database]["fn_changes"]
        self._gateways = client[database]["fn_gateways"]
        self._reported = ("", "", 0)

    async def version(self) -> int:
        """See `GatewayState`."""
        found = await _run(lambda: self._changes.find_one({"_id": "deployments"}))
        return int(found["n"]) if found else 0

    async def deployments(self) -> Sequence[Deployed]:
        """See `GatewayState`."""
        documents = await _run(lambda: list(self._functions.find({})))
        return [_deployed(document) for document in documents]

    async def put(self, deployment: FunctionDeployment, replicas: int) -> FunctionDeployment:
        """See `GatewayState`."""

        key = {"_id": _id(deployment.namespace, deployment.service)}
        facts = {"spec": json.dumps(deployment.to_json()), "replicas": replicas}

        def write() -> dict[str, Any]:
            # Not one upsert with $setOnInsert: the embedded server leaves that out.
            _insert(self._functions, key | facts | {"generation": 0, "created_at": self._clock()})
            document: dict[str, Any] | None = self._functions.find_one_and_update(
                key, {"$set": facts, "$inc": {"generation": 1}}, return_document=ReturnDocument.AFTER
            )
            self._changed()
            if document is None:
                raise StoreUnavailableError(f"{key['_id']} was removed in this very moment")
            return document

        return _deployed(await _run(write)).deployment

    async def set_replicas(self, name: str, namespace: str, replicas: int) -> bool:
        """See `GatewayState`."""

        def write() -> bool:
            result = self._functions.update_one({"_id": _id(namespace, name)}, {"$set": {"replicas": replicas}})
            if result.matched_count:
                self._changed()
            return bool(result.matched_count)

        return await _run(write)

    async def remove(self, name: str, namespace: str) -> bool:
        """See `GatewayState`."""

        def write() -> bool:
            result = self._functions.delete_one({"_id": _id(namespace, name)})
            if result.deleted_count:
                self._changed()
            return bool(result.deleted_count)

        return await _run(write)

    async def namespaces(self) -> Sequence[Namespace]:
        """See `GatewayState`."""
        documents = await _run(lambda: list(self._spaces.find({})))
        found = {document["_id"]: _namespace(document) for document in documents}
        found.setdefault(DEFAULT_NAMESPACE, Namespace(DEFAULT_NAMESPACE))
        return [found[name] for name in sorted(found)]

    async def namespace(self, name: str) -> Namespace | None:
        """See `GatewayState`."""
        document = await _run(lambda: self._spaces.find_one({"_id": name}))
        if document is None:
            return Namespace(name) if name == DEFAULT_NAMESPACE else None
        return _namespace(document)

    async def create_namespace(self, namespace: Namespace) -> bool:
        """See `GatewayState`."""
        if namespace.name == DEFAULT_NAMESPACE:
            return False
        return await _run(lambda: _insert(self._spaces, {"_id": namespace.name} | _texts(namespace)))

    async def update_namespace(self, namespace: Namespace) -> bool:
        """See `GatewayState`."""
        is_default = namespace.name == DEFAULT_NAMESPACE
        change = {"$set": _texts(namespace)}
        result = await _run(lambda: self._spaces.update_one({"_id": namespace.name}, change, upsert=is_default))
        return bool(result.matched_count) or is_default

    async def remove_namespace(self, name: str) -> bool:
        """See `GatewayState`."""

        if name == DEFAULT_NAMESPACE:
            return False

        def write() -> bool:
            self._secrets.delete_many({"namespace": name})
            return bool(self._spaces.delete_one({"_id": name}).deleted_count)

        return await _run(write)

    async def secret_names(self, namespace: str) -> Sequence[str]:
        """See `GatewayState`."""
        documents = await _run(lambda: list(self._secrets.find({"namespace": namespace}, {"_id": 1})))
        return sorted(str(document["_id"]).partition("/")[2] for document in documents)

    async def secret(self, namespace: str, name: str) -> bytes | None:
        """See `GatewayState`."""
        place = _id(namespace, name)
        document = await _run(lambda: self._secrets.find_one({"_id": place}))
        return self._sealer.open(place, bytes(document["sealed"])) if document else None

    async def create_secret(self, namespace: str, name: str, content: bytes) -> bool:
        """See `GatewayState`."""
        place = _id(namespace, name)
        document = {"_id": place, "namespace": namespace, "sealed": self._sealer.seal(place, content)}
        return await _run(lambda: _insert(self._secrets, document))

    async def update_secret(self, namespace: str, name: str, content: bytes) -> bool:
        """See `GatewayState`."""
        place = _id(namespace, name)
        change = {"$set": {"sealed": self._sealer.seal(place, content)}}
        return bool((await _run(lambda: self._secrets.update_one({"_id": place}, change))).matched_count)

    async def remove_secret(self, namespace: str, name: str) -> bool:
        """See `GatewayState`."""
        return bool((await _run(lambda: self._secrets.delete_one({"_id": _id(namespace, name)}))).deleted_count)

    async def share(self, gateway: str, report: str, lease_s: float) -> Shared:
        """See `GatewayState`. What has not changed is written only as often as it must be to count."""
        lease = round(lease_s * 1000)

        def work() -> Shared:
            now = to_ms(self._clock())
            if (gateway, report) != self._reported[:2] or now - self._reported[2] > lease // 3:
                said = {"report": report, "at": now}
                _insert(self._gateways, {"_id": gateway} | said)
                self._gateways.update_one({"_id": gateway}, {"$set": said})
                self._reported = (gateway, report, now)
            decides = self._hold_lease(gateway, now, lease)
            others = self._gateways.find({"at": {"$gt": now - lease}})
            return Shared(decides, {one["_id"]: one["report"] for one in others if one["_id"] != gateway})

        return await _run(work)

    async def resign(self, gateway: str) -> None:
        """See `GatewayState`."""

        def work() -> None:
            self._gateways.delete_one({"_id": gateway})
            self._changes.delete_one({"_id": "scaling", "owner": gateway})

        await _run(work)

    async def create_indexes(self) -> None:
        """Create what `secret_names` reads by. Idempotent."""
        await _run(lambda: self._secrets.create_index([("namespace", ASCENDING)]))

    async def close(self) -> None:
        """Close the client."""
        await asyncio.to_thread(self._client.close)

    def _hold_lease(self, gateway: str, now: int, lease: int) -> bool:
        held = self._changes.find_one({"_id": "scaling"})
        if held is None:
            return _insert(self._changes, {"_id": "scaling", "owner": gateway, "until": now + lease})
        is_ours = held["owner"] == gateway
        if is_ours and held["until"] - now > lease // 2:
            return True
        if not is_ours and held["until"] > now:
            return False
        # Of several that find it run out only one still finds it as it was read.
        seen = {"_id": "scaling", "owner": held["owner"], "until": held["until"]}
        taken = self._changes.update_one(seen, {"$set": {"owner": gateway, "until": now + lease}})
        if not is_ours and taken.matched_count:
            self._gateways.delete_many({"at": {"$lt": now - 60 * lease}})
        return bool(taken.matched_count)

    def _changed(self) -> None:
        self._changes.update_one({"_id": "deployments"}, {"$inc": {"n": 1}}, upsert=True)


async def _run(call: Callable[[], T]) -> T:
    def translating() -> T:
        with translated():
            return call()

    return await asyncio.to_thread(translating)


def _insert(collection: Any, document: dict[str, Any]) -> bool:
    try:
        collection.insert_one(document)
    except DuplicateKeyError:
        return False
    return True


def _id(namespace: str, name: str) -> str:
    return f"{namespace}/{name}"


def _deployed(document: dict[str, Any]) -> Deployed:
    deployment = replace(
        FunctionDeployment.from_json(json.loads(document["spec"])),
        created_at=document["created_at"],
        generation=int(document["generation"]),
    )
    return Deployed(deployment, int(document["replicas"]))


def _namespace(document: dict[str, Any]) -> Namespace:
    return Namespace(document["_id"], json.loads(document["labels"]), json.loads(document["annotations"]))


def _texts(namespace: Namespace) -> dict[str, str]:
    return {"labels": json.dumps(dict(namespace.labels)), "annotations": json.dumps(dict(namespace.annotations))}

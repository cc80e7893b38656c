"""
What is known of each file in MongoDB: collection `files`, the id as `_id`.

`by_tenant` is ``<tenant> <id>``, there for its index alone: an index over one field
is what every server behind MongoDB's protocol really uses. Instants are whole
milliseconds: not every server keeps a date a date when an update sets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from jangada.artifacts.artifact import Artifact
from jangada.clock import from_ms, to_ms
from jangada.errors import ConflictError
from jangada.mongo_client import translated

Document = dict[str, Any]


class MongoArtifactRecords:
    """`ArtifactRecords` in a MongoDB database."""

    def __init__(self, database: Database[Document]) -> None:
        self._files = database["files"]

    def create_indexes(self) -> None:
        """Create what is read by. Idempotent."""
        with translated():
            self._files.create_index([("by_tenant", ASCENDING)])
            self._files.create_index([("expires_ms", ASCENDING)])
            self._files.create_index([("sha256", ASCENDING)])

    def insert(self, artifact: Artifact) -> None:
        """See `ArtifactRecords`."""
        with translated():
            try:
                self._files.insert_one(_to_document(artifact))
            except DuplicateKeyError as error:
                raise ConflictError(f"there is a file {artifact.id} already") from error

    def get(self, artifact_id: str) -> Artifact | None:
        """See `ArtifactRecords`."""
        with translated():
            found = self._files.find_one({"_id": artifact_id})
        return _from_document(found) if found else None

    def keep(self, artifact_ids: Sequence[str], until: datetime) -> None:
        """See `ArtifactRecords`."""
        with translated():
            self._files.update_many(
                {"_id": {"$in": list(artifact_ids)}, "expires_ms": {"$lt": to_ms(until)}},
                {"$set": {"expires_ms": to_ms(until)}},
            )

    def move(self, artifact_id: str, *, owner: str, to: str, expires_at: datetime) -> bool:
        """See `ArtifactRecords`."""
        with translated():
            moved = self._files.update_one(
                {"_id": artifact_id, "tenant_id": owner},
                {"$set": {"tenant_id": to, "by_tenant": f"{to} {artifact_id}", "expires_ms": to_ms(expires_at)}},
            )
        return moved.matched_count > 0

    def delete(self, artifact_id: str, *, expired_at: datetime | None = None) -> bool:
        """See `ArtifactRecords`."""
        where: Document = {"_id": artifact_id}
        if expired_at is not None:
            where["expires_ms"] = {"$lte": to_ms(expired_at)}
        with translated():
            return self._files.delete_one(where).deleted_count > 0

    def page(
        self, tenant_id: str, *, before: str | None, limit: int, purpose: str | None, now: datetime
    ) -> list[Artifact]:
        """See `ArtifactRecords`."""
        where = _of_tenant(tenant_id, before) | {"expires_ms": {"$gt": to_ms(now)}}
        if purpose is not None:
            where["purpose"] = purpose
        with translated():
            return [_from_document(one) for one in self._files.find(where).sort("by_tenant", DESCENDING).limit(limit)]

    def expired(self, now: datetime, limit: int) -> list[Artifact]:
        """See `ArtifactRecords`."""
        with translated():
            return [_from_document(one) for one in self._files.find({"expires_ms": {"$lte": to_ms(now)}}).limit(limit)]

    def names(self, sha256: str) -> bool:
        """See `ArtifactRecords`."""
        with translated():
            return self._files.find_one({"sha256": sha256}, {"_id": 1}) is not None

    def used_bytes(self, tenant_id: str) -> int:
        """See `ArtifactRecords`."""
        pipeline: list[Document] = [
            {"$match": _of_tenant(tenant_id)},
            {"$group": {"_id": None, "bytes": {"$sum": "$size_bytes"}}},
        ]
        with translated():
            found = list(self._files.aggregate(pipeline))
        return int(found[0]["bytes"]) if found else 0


def _of_tenant(tenant_id: str, before: str | None = None) -> Document:
    # "~" is above, and " " below, everything that an id is made of.
    return {"by_tenant": {"$gt": f"{tenant_id} ", "$lt": f"{tenant_id} {before or '~'}"}}


def _to_document(artifact: Artifact) -> Document:
    return {
        "_id": artifact.id,
        "by_tenant": f"{artifact.tenant_id} {artifact.id}",
        "tenant_id": artifact.tenant_id,
        "sha256": artifact.sha256,
        "size_bytes": artifact.size_bytes,
        "media_type": artifact.media_type,
        "filename": artifact.filename,
        "purpose": artifact.purpose,
        "created_ms": to_ms(artifact.created_at),
        "expires_ms": to_ms(artifact.expires_at),
    }


def _from_document(found: Document) -> Artifact:
    return Artifact(
        id=found["_id"],
        tenant_id=found["tenant_id"],
        sha256=found["sha256"],
        size_bytes=int(found["size_bytes"]),
        media_type=found["media_type"],
        filename=found["filename"],
        purpose=found["purpose"],
        created_at=from_ms(found["created_ms"]),
        expires_at=from_ms(found["expires_ms"]),
    )

"""Announced uploads in MongoDB: collection `uploads`, the id as `_id`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

from jangada.artifacts.uploads import Upload
from jangada.clock import from_ms, to_ms
from jangada.mongo_client import translated


class MongoUploadStore:
    """`UploadStore` in a MongoDB database."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._uploads = database["uploads"]

    def create_indexes(self) -> None:
        """Create what is read by. Idempotent."""
        with translated():
            self._uploads.create_index([("expires_ms", ASCENDING)])

    def insert(self, upload: Upload) -> None:
        """See `UploadStore`."""
        document = {
            "_id": upload.id,
            "tenant_id": upload.tenant_id,
            "filename": upload.filename,
            "media_type": upload.media_type,
            "purpose": upload.purpose,
            "size_bytes": upload.size_bytes,
            "sha256": upload.sha256,
            "expires_ms": to_ms(upload.expires_at),
        }
        with translated():
            self._uploads.insert_one(document)

    def get(self, upload_id: str) -> Upload | None:
        """See `UploadStore`."""
        with translated():
            found = self._uploads.find_one({"_id": upload_id})
        if found is None:
            return None
        expires_at = from_ms(found.pop("expires_ms"))
        return Upload(id=found.pop("_id"), expires_at=expires_at, **found)

    def delete(self, upload_id: str) -> None:
        """See `UploadStore`."""
        with translated():
            self._uploads.delete_one({"_id": upload_id})

    def delete_expired(self, now: datetime) -> int:
        """See `UploadStore`."""
        with translated():
            return self._uploads.delete_many({"expires_ms": {"$lte": to_ms(now)}}).deleted_count

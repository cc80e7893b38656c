"""What is known of each file: the part of an artifact store beside the bytes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from jangada.artifacts.artifact import Artifact
from jangada.errors import ConflictError


class ArtifactRecords(Protocol):
    """Records by id. Knows nothing of bytes; raises `StoreUnavailableError` when its server is away."""

    def insert(self, artifact: Artifact) -> None:
        """Add a record; raises `ConflictError` when there is one of that id."""
        ...

    def get(self, artifact_id: str) -> Artifact | None:
        """The record, expired or not."""
        ...

    def keep(self, artifact_ids: Sequence[str], until: datetime) -> None:
        """Move `expires_at` on to *until* where that is later."""
        ...

    def move(self, artifact_id: str, *, owner: str, to: str, expires_at: datetime) -> bool:
        """Give *owner*'s record to the tenant *to*, with a new expiry; False when *owner* has none of that id."""
        ...

    def delete(self, artifact_id: str, *, expired_at: datetime | None = None) -> bool:
        """Remove, if given only when it has expired at *expired_at*; False when nothing was removed."""
        ...

    def page(
        self, tenant_id: str, *, before: str | None, limit: int, purpose: str | None, now: datetime
    ) -> list[Artifact]:
        """A tenant's records that have not expired, newest first."""
        ...

    def expired(self, now: datetime, limit: int) -> list[Artifact]:
        """Some records that have expired."""
        ...

    def names(self, sha256: str) -> bool:
        """Whether any record has these bytes."""
        ...

    def used_bytes(self, tenant_id: str) -> int:
        """Sum of a tenant's sizes."""
        ...


class MemoryArtifactRecords:
    """`ArtifactRecords` of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, Artifact] = {}

    def insert(self, artifact: Artifact) -> None:
        """See `ArtifactRecords`."""
        with self._lock:
            if artifact.id in self._records:
                raise ConflictError(f"there is a file {artifact.id} already")
            self._records[artifact.id] = artifact

    def get(self, artifact_id: str) -> Artifact | None:
        """See `ArtifactRecords`."""
        return self._records.get(artifact_id)

    def keep(self, artifact_ids: Sequence[str], until: datetime) -> None:
        """See `ArtifactRecords`."""
        with self._lock:
            for artifact_id in artifact_ids:
                record = self._records.get(artifact_id)
                if record is not None and record.expires_at < until:
                    self._records[artifact_id] = replace(record, expires_at=until)

    def move(self, artifact_id: str, *, owner: str, to: str, expires_at: datetime) -> bool:
        """See `ArtifactRecords`."""
        with self._lock:
            record = self._records.get(artifact_id)
            if record is None or record.tenant_id != owner:
                return False
            self._records[artifact_id] = replace(record, tenant_id=to, expires_at=expires_at)
            return True

    def delete(self, artifact_id: str, *, expired_at: datetime | None = None) -> bool:
        """See `ArtifactRecords`."""
        with self._lock:
            record = self._records.get(artifact_id)
            if record is None or (expired_at is not None and not record.has_expired_at(expired_at)):
                return False
            del self._records[artifact_id]
            return True

    def page(
        self, tenant_id: str, *, before: str | None, limit: int, purpose: str | None, now: datetime
    ) -> list[Artifact]:
        """See `ArtifactRecords`."""
        with self._lock:
            found = [
                record
                for record in self._records.values()
                if record.tenant_id == tenant_id
                and (before is None or record.id < before)
                and (purpose is None or record.purpose == purpose)
                and not record.has_expired_at(now)
            ]
        return sorted(found, key=lambda record: record.id, reverse=True)[:limit]

    def expired(self, now: datetime, limit: int) -> list[Artifact]:
        """See `ArtifactRecords`."""
        with self._lock:
            return [record for record in self._records.values() if record.has_expired_at(now)][:limit]

    def names(self, sha256: str) -> bool:
        """See `ArtifactRecords`."""
        with self._lock:
            return any(record.sha256 == sha256 for record in self._records.values())

    def used_bytes(self, tenant_id: str) -> int:
        """See `ArtifactRecords`."""
        with self._lock:
            return sum(record.size_bytes for record in self._records.values() if record.tenant_id == tenant_id)

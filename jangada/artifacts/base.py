"""What every artifact store does alike: records, limits, expiry, in the right order around the bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from jangada.artifacts.artifact import Artifact
from jangada.artifacts.reading import Reading
from jangada.artifacts.records import ArtifactRecords
from jangada.artifacts.store import Source
from jangada.clock import Clock, utc_now
from jangada.errors import ConflictError
from jangada.ids import new_id


@dataclass(frozen=True, slots=True)
class ArtifactLimits:
    """The largest file in bytes, and how long one is kept in seconds when nobody says otherwise."""

    max_bytes: int = 256 * 1024 * 1024
    ttl_s: float = 7 * 86400.0


class RecordedArtifactStore(ABC):
    """An `ArtifactStore` over records; a subclass holds the bytes."""

    def __init__(
        self, records: ArtifactRecords, *, clock: Clock = utc_now, limits: ArtifactLimits | None = None
    ) -> None:
        self._records = records
        self._clock = clock
        self.limits = limits or ArtifactLimits()

    def put(
        self,
        tenant_id: str,
        source: Source,
        *,
        media_type: str = "application/octet-stream",
        filename: str = "file",
        purpose: str = "input",
        expires_at: datetime | None = None,
        max_bytes: int | None = None,
        artifact_id: str | None = None,
    ) -> Artifact:
        """See `ArtifactStore.put`."""
        if artifact_id is not None and self._records.get(artifact_id) is not None:
            raise ConflictError(f"there is a file {artifact_id} already")
        made_id = artifact_id or new_id("file")
        reading = Reading(source, self.limits.max_bytes if max_bytes is None else max_bytes)
        staged = self._stage(made_id, reading)
        now = self._clock()
        artifact = Artifact(
            id=made_id,
            tenant_id=tenant_id,
            sha256=reading.sha256,
            size_bytes=reading.size_bytes,
            media_type=media_type,
            filename=filename,
            purpose=purpose,
            created_at=now,
            expires_at=expires_at or now + timedelta(seconds=self.limits.ttl_s),
        )
        # Bytes before the record: dying in between leaves bytes that nothing names
        # and that are collected; the other order a record whose bytes never come.
        try:
            with self._publishing():
                self._publish(artifact, staged)
                self._records.insert(artifact)
        except ConflictError:
            self._unstage(artifact, staged)
            raise
        return artifact

    def get(self, artifact_id: str, tenant_id: str | None = None) -> Artifact | None:
        """See `ArtifactStore.get`."""
        found = self._records.get(artifact_id)
        if found is None or (tenant_id is not None and found.tenant_id != tenant_id):
            return None
        return None if found.has_expired_at(self._clock()) else found

    def path(self, artifact: Artifact) -> Path | None:  # noqa: ARG002  (a folder store answers by it)
        """See `ArtifactStore.path`."""
        return None

    def keep(self, artifact_ids: Sequence[str], until: datetime) -> None:
        """See `ArtifactStore.keep`."""
        if artifact_ids:
            self._records.keep(artifact_ids, until)

    def move(self, artifact_id: str, *, owner: str, to: str, expires_at: datetime | None = None) -> bool:
        """See `ArtifactStore.move`."""
        until = expires_at or self._clock() + timedelta(seconds=self.limits.ttl_s)
        return self._records.move(artifact_id, owner=owner, to=to, expires_at=until)

    def delete(self, artifact_id: str, tenant_id: str) -> bool:
        """See `ArtifactStore.delete`."""
        found = self.get(artifact_id, tenant_id)
        if found is None or not self._records.delete(artifact_id):
            return False
        self._drop(found)
        return True

    def page(self, tenant_id: str, *, before: str | None, limit: int, purpose: str | None = None) -> list[Artifact]:
        """See `ArtifactStore.page`."""
        return self._records.page(tenant_id, before=before, limit=limit, purpose=purpose, now=self._clock())

    def used_bytes(self, tenant_id: str) -> int:
        """See `ArtifactStore.used_bytes`."""
        return self._records.used_bytes(tenant_id)

    def collect_expired(self, limit: int = 1000) -> int:
        """See `ArtifactStore.collect_expired`."""
        now = self._clock()
        collected = 0
        for artifact in self._records.expired(now, limit):
            # Conditional: `keep` may have moved its expiry since we looked.
            if self._records.delete(artifact.id, expired_at=now):
                self._drop(artifact)
                collected += 1
        self._collect_unnamed()
        return collected

    def restore(self, artifact: Artifact, source: Source) -> None:
        """See `ArtifactStore.restore`."""
        staged = self._stage(artifact.id, Reading(source, artifact.size_bytes))
        with self._publishing():
            self._publish(artifact, staged)

    @abstractmethod
    def open(self, artifact: Artifact) -> BinaryIO:
        """See `ArtifactStore.open`."""

    @abstractmethod
    def _stage(self, artifact_id: str, reading: Reading) -> Any:
        """
        Keep the bytes of *reading*, durably; leave nothing when it raises.

        What is returned is for `_publish`. Two callers may stage for one id at the same
        time (an upload that is sent again): neither may touch the other's bytes.
        """

    @abstractmethod
    def _drop(self, artifact: Artifact) -> None:
        """Remove the bytes of a record that is gone, unless another record names them."""

    @abstractmethod
    def _publish(self, artifact: Artifact, staged: Any) -> None:
        """Put staged bytes where `open` finds them by the artifact's id and digest."""

    def _unstage(self, artifact: Artifact, staged: Any) -> None:  # noqa: B027  (most have nothing left to do)
        """Remove published bytes again: another caller was faster, and its record stands."""

    def _publishing(self) -> AbstractContextManager[object]:
        """What keeps `_drop` away between publishing bytes and writing the record that names them."""
        return nullcontext()

    def _collect_unnamed(self) -> None:  # noqa: B027  (a store that cannot have such bytes does nothing)
        """Remove bytes that a crash left without a record, once they are old enough not to be in the making."""

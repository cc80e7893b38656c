"""Artifacts in memory: for tests, and for one process that forgets."""

from __future__ import annotations

import io
from typing import BinaryIO

from jangada.artifacts.artifact import Artifact
from jangada.artifacts.base import ArtifactLimits, RecordedArtifactStore
from jangada.artifacts.reading import Reading
from jangada.artifacts.records import MemoryArtifactRecords
from jangada.clock import Clock, utc_now
from jangada.errors import NotFoundError


class MemoryArtifactStore(RecordedArtifactStore):
    """An `ArtifactStore` of one process."""

    def __init__(self, *, clock: Clock = utc_now, limits: ArtifactLimits | None = None) -> None:
        super().__init__(MemoryArtifactRecords(), clock=clock, limits=limits)
        self._bytes: dict[tuple[str, str], bytes] = {}

    def open(self, artifact: Artifact) -> BinaryIO:
        """See `ArtifactStore.open`."""
        content = self._bytes.get((artifact.id, artifact.sha256))
        if content is None:
            raise NotFoundError(f"the bytes of {artifact.id} are gone")
        return io.BytesIO(content)

    def _stage(self, artifact_id: str, reading: Reading) -> bytes:  # noqa: ARG002  (a name of its own is for files)
        return b"".join(reading)

    def _publish(self, artifact: Artifact, staged: bytes) -> None:
        self._bytes[artifact.id, artifact.sha256] = staged

    def _drop(self, artifact: Artifact) -> None:
        self._bytes.pop((artifact.id, artifact.sha256), None)

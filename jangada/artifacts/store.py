"""The artifact store: a protocol, for memory, a local folder and GridFS alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from jangada.artifacts.artifact import Artifact

CHUNK_BYTES = 256 * 1024

Source = bytes | Path | BinaryIO | Iterable[bytes]
"""Where bytes come from: as they are, a local file, an open stream (read to its end), or chunks."""


class ArtifactStore(Protocol):
    """
    Keeps bytes. Thread-safe. Raises `StoreUnavailableError` when its server is away.

    An expired artifact does not exist any more for `get`, `open` and `page`, collected or not.
    """

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
        """
        Keep the bytes of *source*; durable when this returns, and nothing is left when it raises.

        *artifact_id* is a new id unless given; one that is taken raises `ConflictError`.

        *expires_at* defaults to the store's own time to live from now, *max_bytes*
        to its own limit; more bytes raise `TooLargeError`.
        """
        ...

    def get(self, artifact_id: str, tenant_id: str | None = None) -> Artifact | None:
        """The record, or None when there is none (of that tenant)."""
        ...

    def open(self, artifact: Artifact) -> BinaryIO:
        """Its bytes, seekable, to be closed by the caller. Raises `NotFoundError` when they are gone."""
        ...

    def restore(self, artifact: Artifact, source: Source) -> None:
        """
        Put the bytes of a record that is there already, as out of a backup; safe to repeat.

        *source* must have the record's digest: it is the caller who looks.
        """
        ...

    def path(self, artifact: Artifact) -> Path | None:
        """Where the bytes lie on this machine, when they do; to be read, never written."""
        ...

    def keep(self, artifact_ids: Sequence[str], until: datetime) -> None:
        """Move `expires_at` of each to *until* where that is later (for files a queued job needs)."""
        ...

    def move(self, artifact_id: str, *, owner: str, to: str, expires_at: datetime | None = None) -> bool:
        """Give *owner*'s artifact to the tenant *to*, to be kept until *expires_at*; False when *owner* has none."""
        ...

    def delete(self, artifact_id: str, tenant_id: str) -> bool:
        """Remove; False when there is none of that tenant."""
        ...

    def page(self, tenant_id: str, *, before: str | None, limit: int, purpose: str | None = None) -> list[Artifact]:
        """A tenant's artifacts, newest first (by id), from below *before*."""
        ...

    def used_bytes(self, tenant_id: str) -> int:
        """Sum of the sizes of a tenant's artifacts."""
        ...

    def collect_expired(self, limit: int = 1000) -> int:
        """Remove what has expired, and bytes that nothing names any more; how many records went."""
        ...

"""
Artifacts in a local folder: bytes by digest under ``<folder>/sha256/ab/ab12…``, records elsewhere.

Equal bytes are kept once. Written beside, synced, then renamed: a name never
holds half a file, and what `put` returned survives a power cut. Processes of one
machine may share the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from jangada.artifacts.artifact import Artifact
from jangada.artifacts.base import ArtifactLimits, RecordedArtifactStore
from jangada.artifacts.reading import Reading
from jangada.artifacts.records import ArtifactRecords
from jangada.clock import Clock, utc_now
from jangada.errors import NotFoundError, StoreUnavailableError

_LEFTOVER_S = 86400.0
_LOOK_EVERY_S = 3600.0


class FolderArtifactStore(RecordedArtifactStore):
    """An `ArtifactStore` under *folder*, which is made when it is missing."""

    def __init__(
        self,
        folder: Path,
        records: ArtifactRecords,
        *,
        clock: Clock = utc_now,
        limits: ArtifactLimits | None = None,
    ) -> None:
        super().__init__(records, clock=clock, limits=limits)
        self._content = folder.absolute() / "sha256"
        self._staging = folder.absolute() / "staging"
        self._lock_file = folder.absolute() / ".lock"
        with _translated():
            self._content.mkdir(parents=True, exist_ok=True)
            self._staging.mkdir(exist_ok=True)
        self._next_look = time.monotonic() + _LOOK_EVERY_S
        self._looking = threading.Lock()

    def open(self, artifact: Artifact) -> BinaryIO:
        """See `ArtifactStore.open`."""
        try:
            return self._place(artifact.sha256).open("rb")
        except FileNotFoundError as error:
            raise NotFoundError(f"the bytes of {artifact.id} are gone") from error

    def path(self, artifact: Artifact) -> Path | None:
        """See `ArtifactStore.path`."""
        place = self._place(artifact.sha256)
        return place if place.is_file() else None

    def _stage(self, artifact_id: str, reading: Reading) -> Path:
        # A name of its own for each try: two tries in one file would mix, and what is published
        # under a digest is what every file with that digest consists of, any tenant's.
        staged = self._staging / f"{artifact_id}.{secrets.token_hex(8)}"
        with _translated():
            descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in reading:
                    with _translated():
                        file.write(chunk)
                with _translated():
                    file.flush()
                    os.fsync(file.fileno())
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
        return staged

    def _publish(self, artifact: Artifact, staged: Path) -> None:
        place = self._place(artifact.sha256)
        with _translated():
            place.parent.mkdir(exist_ok=True)
            # Over what may be there: the bytes are the same, and this copy is known to be whole.
            staged.replace(place)
            _sync_folder(place.parent)

    def _drop(self, artifact: Artifact) -> None:
        # Exclusive: between our look at the records and the unlink nobody may publish the same bytes.
        with self._locked(fcntl.LOCK_EX):
            if not self._records.names(artifact.sha256):
                self._place(artifact.sha256).unlink(missing_ok=True)

    def _publishing(self) -> contextlib.AbstractContextManager[object]:
        return self._locked(fcntl.LOCK_SH)

    def _collect_unnamed(self) -> None:
        with self._looking:
            if time.monotonic() < self._next_look:
                return
            self._next_look = time.monotonic() + _LOOK_EVERY_S
        self.collect_leftovers()

    def collect_leftovers(self, older_than_s: float = _LEFTOVER_S) -> int:
        """Remove files that a crash left and that are older than *older_than_s*; how many. Walks the whole folder."""
        before = time.time() - older_than_s
        removed = 0
        for path in [*self._staging.iterdir(), *self._content.glob("??/*")]:
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime >= before:
                    continue
                if path.parent == self._staging:
                    path.unlink()
                    removed += 1
                    continue
                with self._locked(fcntl.LOCK_EX):
                    if not self._records.names(path.name) and path.stat().st_mtime < before:
                        path.unlink()
                        removed += 1
        return removed

    @contextlib.contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        # A description of its own for each call, so that threads exclude each other too.
        with _translated():
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o660)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)

    def _place(self, sha256: str) -> Path:
        return self._content / sha256[:2] / sha256


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """A full or failing disk is a store that is not available."""
    try:
        yield
    except OSError as error:
        why = f"the artifact folder cannot be written: {error.strerror}"
        raise StoreUnavailableError(why, retry_after_s=5) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Artifacts in MongoDB's GridFS, bucket `artifacts`: the bytes go where the records are."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any, BinaryIO, cast

from gridfs import GridFSBucket
from gridfs.errors import NoFile
from pymongo.database import Database

from jangada.artifacts.artifact import Artifact
from jangada.artifacts.base import ArtifactLimits, RecordedArtifactStore
from jangada.artifacts.reading import Reading
from jangada.artifacts.records import ArtifactRecords
from jangada.artifacts.store import CHUNK_BYTES
from jangada.clock import Clock, utc_now
from jangada.errors import NotFoundError
from jangada.mongo_client import translated

_BUCKET = "artifacts"
_LEFTOVER_S = 86400.0
_LOOK_EVERY_S = 3600.0


class GridFSArtifactStore(RecordedArtifactStore):
    """An `ArtifactStore` in *database*."""

    def __init__(
        self,
        database: Database[dict[str, Any]],
        records: ArtifactRecords,
        *,
        clock: Clock = utc_now,
        limits: ArtifactLimits | None = None,
    ) -> None:
        super().__init__(records, clock=clock, limits=limits)
        self._bucket = GridFSBucket(database, bucket_name=_BUCKET, chunk_size_bytes=CHUNK_BYTES)
        self._files = database[f"{_BUCKET}.files"]
        self._next_look = time.monotonic() + _LOOK_EVERY_S
        self._looking = threading.Lock()

    def open(self, artifact: Artifact) -> BinaryIO:
        """See `ArtifactStore.open`."""
        with translated():
            try:
                return cast(BinaryIO, self._bucket.open_download_stream(artifact.id))
            except NoFile as error:
                raise NotFoundError(f"the bytes of {artifact.id} are gone") from error

    def _stage(self, artifact_id: str, reading: Reading) -> None:
        upload = self._bucket.open_upload_stream_with_id(artifact_id, artifact_id)
        try:
            for chunk in reading:
                with translated():
                    upload.write(chunk)
            with translated():
                upload.close()
        except BaseException:
            # Takes the chunks away that were written.
            with suppress(Exception):
                upload.abort()
            raise

    def _drop(self, artifact: Artifact) -> None:
        with translated(), suppress(NoFile):
            self._bucket.delete(artifact.id)

    def _collect_unnamed(self) -> None:
        with self._looking:
            if time.monotonic() < self._next_look:
                return
            self._next_look = time.monotonic() + _LOOK_EVERY_S
        self.collect_leftovers()

    def collect_leftovers(self, older_than_s: float = _LEFTOVER_S, limit: int = 1000) -> int:
        """Remove bytes without a record that are older than *older_than_s*; how many of at most *limit* looked at."""
        before = self._clock() - timedelta(seconds=older_than_s)
        with translated():
            old = [one["_id"] for one in self._files.find({"uploadDate": {"$lt": before}}, {"_id": 1}).limit(limit)]
        removed = 0
        for artifact_id in old:
            if self._records.get(artifact_id) is None:
                with translated(), suppress(NoFile):
                    self._bucket.delete(artifact_id)
                    removed += 1
        return removed

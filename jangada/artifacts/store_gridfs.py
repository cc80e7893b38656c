"""Artifacts in MongoDB's GridFS, bucket `artifacts`: the bytes go where the records are."""

from __future__ import annotations

import secrets
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
                return cast(BinaryIO, self._bucket.open_download_stream_by_name(_name(artifact)))
            except NoFile as error:
                raise NotFoundError(f"the bytes of {artifact.id} are gone") from error

    def _stage(self, artifact_id: str, reading: Reading) -> str:
        staged = f"{artifact_id}.{secrets.token_hex(8)}"
        upload = self._bucket.open_upload_stream_with_id(staged, staged)
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
        return staged

    def _publish(self, artifact: Artifact, staged: str) -> None:
        with translated():
            self._bucket.rename(staged, _name(artifact))

    def _unstage(self, artifact: Artifact, staged: str) -> None:  # noqa: ARG002  (its id says it)
        self._delete(staged)

    def _drop(self, artifact: Artifact) -> None:
        with translated():
            kept = [one["_id"] for one in self._files.find({"filename": _name(artifact)}, {"_id": 1})]
        for staged in kept:
            self._delete(staged)

    def _delete(self, staged: str) -> None:
        with translated(), suppress(NoFile):
            self._bucket.delete(staged)

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
            old = list(self._files.find({"uploadDate": {"$lt": before}}, {"_id": 1, "filename": 1}).limit(limit))
        removed = 0
        for one in old:
            record = self._records.get(one["_id"].partition(".")[0])
            if record is None or _name(record) != one["filename"]:
                self._delete(one["_id"])
                removed += 1
        return removed


def _name(artifact: Artifact) -> str:
    """The file name in the bucket: with the digest, so that a name never leads to other bytes than the record's."""
    return f"{artifact.id}/{artifact.sha256}"

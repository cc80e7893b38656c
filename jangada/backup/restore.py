"""Reads a backup: to its end and no further, or into a store that is empty."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any

from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.database import Database

from jangada.artifacts import ArtifactStore
from jangada.backup.archive import ArchiveError, Manifest, members, read_about, read_manifest, translated
from jangada.backup.dump import Told, documents_in, is_kept, nobody
from jangada.errors import ConflictError
from jangada.mongo_client import translated as mongo_translated

OWN = "fn_"
"""Collections of the gateway: what this environment deployed, sealed with its own key. They are not replaced."""

USED = ("jobs", "files", "async_calls")
"""With a document in one of these a platform has been used; the others have some from its first start on."""

_BATCH_BYTES = 4 * 1024 * 1024
_BATCH_DOCUMENTS = 250  # the embedded server takes thousands at once very slowly; others do not mind


@dataclass(slots=True)
class _Reading:
    """What was found so far."""

    counts: dict[str, int] = field(default_factory=dict)
    digests: dict[str, Any] = field(default_factory=dict)
    indexes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    artifacts: int = 0
    manifest: Manifest | None = None

    def documents(self, collection: str, chunk: bytes) -> None:
        self.counts[collection] = self.counts.get(collection, 0) + documents_in(chunk)
        self.digests.setdefault(collection, hashlib.sha256()).update(chunk)

    def check(self) -> Manifest:
        """The manifest, when everything that it names was there. Raises `ArchiveError`."""
        if self.manifest is None:
            raise ArchiveError("the backup is cut off: it has no manifest")
        for name, count in self.manifest.collections.items():
            found = self.counts.get(name, 0)
            if found != count:
                raise ArchiveError(f"the backup says that {name} has {count} documents, and {found} are in it")
            digest = self.digests.get(name, hashlib.sha256()).hexdigest()
            if digest != self.manifest.sha256[name]:
                raise ArchiveError(f"the documents of {name} in the backup are not those that were written")
        if self.artifacts != self.manifest.artifacts:
            raise ArchiveError(f"the backup has {self.artifacts} files of artifacts, not {self.manifest.artifacts}")
        return self.manifest


def verify(stream: IO[bytes], *, told: Told = nobody) -> Manifest:
    """Read *stream* to its end: everything that it says it holds is in it. Raises `ArchiveError`."""
    return _read(stream, told, _skip_documents, _skip_artifact)


def load(
    stream: IO[bytes],
    database: Database[dict[str, Any]],
    artifacts: ArtifactStore,
    *,
    overwrite: bool = False,
    told: Told = nobody,
) -> Manifest:
    """
    Put *stream* into *database* and *artifacts*, whose platform must stand still; count, and compare indexes.

    Everything but the gateway's own collections (`OWN`) is replaced. Raises
    `ConflictError` before anything is touched when the platform has been used and
    *overwrite* is false, `ArchiveError` when the stream is no whole backup: then
    the store holds half of it, and is to be filled again.
    """
    with mongo_translated():
        if not overwrite:
            refuse_used(database)
        for found in database["files"].find({}):
            artifacts.delete(found["_id"], found["tenant_id"])
        stale = {name for name in database.list_collection_names() if _is_data(name)}

        def insert(name: str, chunk: bytes) -> None:
            if name in stale:
                database.drop_collection(name)
                stale.discard(name)
            for batch in _batches(chunk):
                database[name].insert_many(batch, ordered=False)

        reading = _Reading()
        _read(stream, told, insert, lambda name, content: _put_artifact(artifacts, name, content), reading)
        for name in stale:
            database.drop_collection(name)
        for name, indexes in reading.indexes.items():
            if _is_data(name):
                _index(database[name], indexes)
        manifest = reading.check()
        _count(database, manifest)
    return manifest


def _read(
    stream: IO[bytes],
    told: Told,
    insert: Callable[[str, bytes], None],
    put: Callable[[str, IO[bytes]], None],
    reading: _Reading | None = None,
) -> Manifest:
    reading = reading or _Reading()
    found = members(stream)
    with translated():
        first = next(found, ("", None))
        if first[0] != "about.json" or first[1] is None:
            raise ArchiveError("this is no backup of Jangada: it does not begin with about.json")
        read_about(first[1])
        for name, content in found:
            place = PurePosixPath(name)
            if name == "manifest.json":
                reading.manifest = read_manifest(content)
            elif place.parts[0] == "mongo" and place.name == "indexes.json":
                reading.indexes[place.parts[1]] = json.load(content)
            elif place.parts[0] == "mongo":
                chunk = content.read()
                reading.documents(place.parts[1], chunk)
                if _is_data(place.parts[1]):
                    insert(place.parts[1], chunk)
                    told(place.parts[1], reading.counts[place.parts[1]])
            elif place.parts[0] == "artifacts":
                put(place.name, content)
                reading.artifacts += 1
            else:
                raise ArchiveError(f"the backup holds {name}, which this version of Jangada does not know")
    return reading.check()


def _is_data(name: str) -> bool:
    return is_kept(name) and not name.startswith(OWN)


def refuse_used(database: Database[dict[str, Any]]) -> None:
    """Raises `ConflictError` when a platform that has been used keeps its documents in *database*."""
    for name in USED:
        count = database[name].count_documents({})
        if count:
            raise ConflictError(
                f"the store is not empty: {name} in the database {database.name} has {count} documents; "
                "restore into a new environment, or say that they are to be replaced (--overwrite)"
            )


def _batches(chunk: bytes) -> Iterator[list[RawBSONDocument]]:
    """The documents in *chunk*, in messages that every server takes."""
    batch: list[RawBSONDocument] = []
    at = size = 0
    while at < len(chunk):
        length = int.from_bytes(chunk[at : at + 4], "little")
        if batch and (size + length > _BATCH_BYTES or len(batch) == _BATCH_DOCUMENTS):
            yield batch
            batch, size = [], 0
        batch.append(RawBSONDocument(chunk[at : at + length]))
        at += length
        size += length
    if batch:
        yield batch


def _index(collection: Collection[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    """Make *wanted*, as a server listed them, and see that they are there."""
    models = []
    for one in wanted:
        options = {name: value for name, value in one.items() if name not in {"v", "key", "ns", "name"}}
        if one["name"] != "_id_":
            models.append(
                IndexModel([(name, direction) for name, direction in one["key"]], name=one["name"], **options)
            )
    if models:
        collection.create_indexes(models)
    there = {index["name"]: [[name, way] for name, way in index["key"].items()] for index in collection.list_indexes()}
    for one in wanted:
        if one["name"] != "_id_" and there.get(one["name"]) != one["key"]:
            raise ArchiveError(f"the index {one['name']} of {collection.name} was not made")


def _count(database: Database[dict[str, Any]], manifest: Manifest) -> None:
    for name, wanted in manifest.collections.items():
        found = database[name].count_documents({}) if _is_data(name) else wanted
        if found != wanted:
            raise ArchiveError(
                f"{name} has {found} documents after the restore, the backup {wanted}; does the platform stand still?"
            )


def _skip_documents(name: str, chunk: bytes) -> None:
    """They are counted anyway."""


def _skip_artifact(_: str, content: IO[bytes]) -> None:
    """Read to its end: the whole is checked against the archive's own sum."""
    while content.read(_BATCH_BYTES):
        pass


def _put_artifact(store: ArtifactStore, artifact_id: str, content: IO[bytes]) -> None:
    """Put its bytes where the records, which came before, say that they are."""
    artifact = store.get(artifact_id)
    if artifact is None:
        # It has expired since.
        return _skip_artifact(artifact_id, content)
    with tempfile.SpooledTemporaryFile(max_size=_BATCH_BYTES) as whole:
        digest = hashlib.sha256()
        while piece := content.read(_BATCH_BYTES):
            digest.update(piece)
            whole.write(piece)
        if digest.hexdigest() != artifact.sha256:
            raise ArchiveError(f"the file {artifact_id} in the backup has other bytes than its record says")
        whole.seek(0)
        store.restore(artifact, whole)
    return None

"""Writes a backup: every collection through any server that speaks MongoDB's protocol, while the platform goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.metadata import version
from typing import IO, Any

from pymongo import ReadPreference
from pymongo.collection import Collection
from pymongo.database import Database

from jangada.artifacts import ArtifactStore
from jangada.backup.archive import FORMAT, About, Manifest, Writer
from jangada.clock import Clock, utc_now
from jangada.errors import NotFoundError
from jangada.mongo_client import translated

Told = Callable[[str, int], None]
"""Called with a collection's name and how many documents of it are done, now and then."""


def nobody(name: str, count: int) -> None:
    """Told, and does nothing with it."""


_MEMBER_BYTES = 4 * 1024 * 1024
_BYTES = {"artifacts.files", "artifacts.chunks", "artifacts_files", "artifacts_chunks"}
"""GridFS, by its names on several servers: files' bytes are read through their store, wherever that keeps them."""


def dump(
    database: Database[dict[str, Any]],
    artifacts: ArtifactStore,
    stream: IO[bytes],
    *,
    told: Told = nobody,
    clock: Clock = utc_now,
) -> Manifest:
    """
    Write everything in *database* and the bytes of its files in *artifacts* to *stream*.

    The platform may go on. What is written meanwhile is in it or not, document by
    document; what names something else is read before what it names, so that a job
    in a backup has its files there. Raises `StoreUnavailableError` when the server
    goes away: the stream is then to be thrown away.
    """
    writer = Writer(stream)
    writer.add_record("about.json", About(FORMAT, version("jangada"), database.name, clock().isoformat()))
    counts: dict[str, int] = {}
    digests: dict[str, str] = {}
    with translated():
        for name in _ordered(database.list_collection_names()):
            counts[name], digests[name] = _dump_collection(writer, database[name], told)
        kept = _dump_artifacts(writer, database, artifacts, told)
    manifest = Manifest(counts, digests, kept, clock().isoformat())
    writer.add_record("manifest.json", manifest)
    writer.close()
    return manifest


def _ordered(names: Iterable[str]) -> list[str]:
    """Jobs first, files last."""
    return sorted((name for name in names if is_kept(name)), key=lambda name: (name == "files", name != "jobs", name))


def is_kept(collection: str) -> bool:
    """Whether a backup has the documents of *collection*."""
    return collection not in _BYTES and not collection.startswith("system.")


def _dump_collection(writer: Writer, collection: Collection[dict[str, Any]], told: Told) -> tuple[int, str]:
    # A replica set's primary has other things to do.
    reading = collection.with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)
    count, digest = 0, hashlib.sha256()
    for number, chunk in enumerate(_chunks(reading.find_raw_batches()), 1):
        count += documents_in(chunk)
        digest.update(chunk)
        writer.add(f"mongo/{collection.name}/{number:06}.bson", chunk)
        told(collection.name, count)
    indexes = [_plain(one) for one in collection.list_indexes()]
    writer.add_record(f"mongo/{collection.name}/indexes.json", indexes)
    return count, digest.hexdigest()


def _chunks(batches: Iterable[Any]) -> Iterator[bytes]:
    """The same bytes in fewer pieces; each has whole documents."""
    waiting = bytearray()
    for batch in batches:
        waiting += batch
        if len(waiting) >= _MEMBER_BYTES:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def documents_in(chunk: bytes) -> int:
    """How many BSON documents follow each other in *chunk*."""
    count = at = 0
    while at < len(chunk):
        at += int.from_bytes(chunk[at : at + 4], "little")
        count += 1
    return count


def _plain(index: Any) -> dict[str, Any]:
    """An index as the server lists it, its key as pairs: their order counts."""
    found = dict(index)
    found["key"] = [[name, direction] for name, direction in index["key"].items()]
    return found


def _dump_artifacts(writer: Writer, database: Database[dict[str, Any]], store: ArtifactStore, told: Told) -> int:
    """The bytes of every file that has not expired; how many."""
    count = 0
    for found in database["files"].find({}, {"_id": 1}):
        # What is purged in this very moment is in no backup.
        with suppress(NotFoundError):
            artifact = store.get(found["_id"])
            if artifact is None:
                continue
            with store.open(artifact) as content:
                writer.add_stream(f"artifacts/{artifact.id}", content, artifact.size_bytes)
            count += 1
            told("artifacts", count)
    return count

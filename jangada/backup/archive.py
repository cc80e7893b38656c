"""
How a backup looks: a compressed tar, written and read as a stream, never as a whole.

    about.json                    format, version of Jangada, database, when it began
    mongo/COLLECTION/000001.bson  documents, one after the other, as the server sent them
    mongo/COLLECTION/indexes.json
    artifacts/FILE_ID             the bytes of a file, wherever its store keeps them
    manifest.json                 how many documents of which collection: without it the stream was cut off

A person can open it with tar and bsondump.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, Any

from jangada.errors import JangadaError

FORMAT = 1
_LEVEL = 3  # a third of the time of 6, for a few percent of the size


class ArchiveError(JangadaError):
    """Raised when a stream is no backup, is damaged or ends too early, or does not hold what it says."""

    code, title, status = "damaged_backup", "The backup cannot be used", 500


@dataclass(frozen=True, slots=True)
class About:
    """What a backup says of itself first."""

    format: int
    jangada: str
    database: str
    began_at: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds, said at its end. *sha256* is by collection, of its documents as they follow each other."""

    collections: dict[str, int]
    sha256: dict[str, str]
    artifacts: int
    ended_at: str

    @property
    def documents(self) -> int:
        """All documents of all collections."""
        return sum(self.collections.values())


class Writer:
    """Writes members to *stream*; `close` ends the archive."""

    def __init__(self, stream: IO[bytes]) -> None:
        # No file name and no time in it: equal content gives equal bytes.
        self._gzip = gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=stream, mtime=0)
        self._tar = tarfile.open(fileobj=self._gzip, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - `close`

    def add(self, name: str, content: bytes) -> None:
        """One member."""
        self.add_stream(name, io.BytesIO(content), len(content))

    def add_stream(self, name: str, content: IO[bytes], size: int) -> None:
        """One member of *size* bytes."""
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, 0o600
        self._tar.addfile(member, content)

    def add_record(self, name: str, record: Any) -> None:
        """A dataclass, a list or a mapping, as JSON."""
        plain = record if isinstance(record, (list, dict)) else asdict(record)
        self.add(name, json.dumps(plain, indent=1).encode())

    def close(self) -> None:
        """Write the archive's end; *stream* stays open."""
        self._tar.close()
        self._gzip.close()


def members(stream: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each member in turn; a content is to be read before the next is asked for."""
    with translated(), tarfile.open(fileobj=gzip.GzipFile(fileobj=stream), mode="r|") as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None:
                raise ArchiveError(f"the backup holds {member.name}, which is no file")
            yield member.name, content


def read_about(content: IO[bytes]) -> About:
    """The first member. Raises `ArchiveError` for a format that this version does not know."""
    try:
        found = About(**json.load(content))
    except (ValueError, TypeError) as error:
        raise ArchiveError(f"the backup does not say what it is: {error}") from error
    if found.format != FORMAT:
        raise ArchiveError(f"the backup has format {found.format}, this version of Jangada reads {FORMAT}")
    return found


def read_manifest(content: IO[bytes]) -> Manifest:
    """The last member."""
    try:
        return Manifest(**json.load(content))
    except (ValueError, TypeError) as error:
        raise ArchiveError(f"the backup's manifest cannot be read: {error}") from error


@contextmanager
def translated() -> Iterator[None]:
    """What is wrong with a stream, in our words."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, tarfile.TarError, zlib.error) as error:
        raise ArchiveError(f"the backup is damaged or cut off: {error}") from error

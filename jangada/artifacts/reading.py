"""Reading a source of bytes once: counted, hashed, bounded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from jangada.artifacts.store import CHUNK_BYTES, Source
from jangada.errors import TooLargeError


class Reading:
    """Iterates over the chunks of *source*; `sha256` and `size_bytes` are those of what has passed."""

    def __init__(self, source: Source, max_bytes: int) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """In hex."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        """The chunks; raises `TooLargeError` when there is more than *max_bytes*."""
        for chunk in _chunks(self._source):
            self.size_bytes += len(chunk)
            if self.size_bytes > self._max_bytes:
                raise TooLargeError(
                    f"the file has more than {self._max_bytes} bytes", extra={"max_bytes": self._max_bytes}
                )
            self._hash.update(chunk)
            yield chunk


def _chunks(source: Source) -> Iterator[bytes]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        yield bytes(source)
    elif isinstance(source, Path):
        with source.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    elif hasattr(source, "read"):
        while chunk := source.read(CHUNK_BYTES):
            yield chunk
    else:
        yield from source

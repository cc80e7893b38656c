"""A file as the body of a multipart request, streamed: memory does not grow with the file."""

from __future__ import annotations

import io
import mimetypes
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

Source = Path | str | bytes | BinaryIO
"""A path, the bytes themselves, or an open binary stream (read from where it stands)."""

_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """What to send: *open_body* makes a fresh body for each try."""

    content_type: str
    open_body: Callable[[], MultipartBody]


class MultipartBody:
    """An iterable of chunks with a length, so that `requests` sends a Content-Length and no chunked encoding."""

    def __init__(
        self, head: bytes, open_stream: Callable[[], BinaryIO], size_bytes: int, tail: bytes, *, owned: bool
    ) -> None:
        self._head = head
        self._open_stream = open_stream
        self._size_bytes = size_bytes
        self._tail = tail
        self._owned = owned

    def __len__(self) -> int:
        return len(self._head) + self._size_bytes + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        stream = self._open_stream()
        try:
            yield self._head
            left = self._size_bytes
            while left > 0 and (chunk := stream.read(min(_CHUNK_BYTES, left))):
                left -= len(chunk)
                yield chunk
            if left:
                raise OSError(f"the file became shorter while it was read: {left} bytes are missing")
            yield self._tail
        finally:
            if self._owned:
                stream.close()


def prepare(source: Source, *, filename: str | None, media_type: str | None, purpose: str) -> Upload:
    """
    Describe the upload of *source*; nothing is read yet.

    A stream of unknown length is read into memory. Raises `OSError` when the path cannot be read.
    """
    name = filename or _name(source)
    kind = media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    boundary = secrets.token_hex(16)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_quoted(name)}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    open_stream, size_bytes, owned = _opener(source)

    def open_body() -> MultipartBody:
        return MultipartBody(head, open_stream, size_bytes, tail, owned=owned)

    return Upload(f"multipart/form-data; boundary={boundary}", open_body)


def _opener(source: Source) -> tuple[Callable[[], BinaryIO], int, bool]:
    if isinstance(source, bytes):
        return (lambda: io.BytesIO(source)), len(source), True
    if isinstance(source, str | Path):
        path = Path(source)
        with path.open("rb") as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
        return (lambda: path.open("rb")), size_bytes, True
    if not source.seekable():
        return _opener(source.read())
    start = source.tell()
    size_bytes = source.seek(0, os.SEEK_END) - start

    def rewind() -> BinaryIO:
        source.seek(start)
        return source

    return rewind, size_bytes, False


def _name(source: Source) -> str:
    if isinstance(source, str | Path):
        return Path(source).name
    name = getattr(source, "name", None)
    return Path(name).name if isinstance(name, str) else "file"


def _quoted(name: str) -> str:
    # What browsers send (HTML standard, multipart/form-data): these three cannot stand in a quoted name.
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")

"""Sending and receiving files."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import secrets
from pathlib import Path

from jangada.client.errors import DigestError
from jangada.client.paths import at
from jangada.client.records import File
from jangada.client.transport import Transport, foreign_errors
from jangada.client.upload import Source, prepare

_CHUNK_BYTES = 256 * 1024
_SLOWEST_BYTES_PER_S = 100_000
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/=]+):")


def send(transport: Transport, source: Source, *, filename: str | None, media_type: str | None, purpose: str) -> File:
    """Upload *source*; the time allowed grows with its size."""
    upload = prepare(source, filename=filename, media_type=media_type, purpose=purpose)
    size_bytes = len(upload.open_body())
    answer = transport.json(
        "POST",
        "/v1/files",
        body=upload.open_body,
        headers={"Content-Type": upload.content_type},
        safe=True,
        timeout_s=60.0 + size_bytes / _SLOWEST_BYTES_PER_S,
    )
    return File.from_json(answer)


def receive(transport: Transport, file: File, path: Path) -> None:
    """
    Write the bytes beside *path*, check size and SHA-256, then move them there.

    So *path* never holds half a file. Raises `DigestError` when they are not what the platform announced.
    """
    response = transport.call(
        "GET", at("files", file.id, "content"), headers={"Accept": "*/*"}, stream=True, read_timeout_s=60.0
    )
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    digest = hashlib.sha256()
    try:
        with contextlib.closing(response), part.open("wb") as out, foreign_errors(transport.connection.url):
            for chunk in response.iter_content(_CHUNK_BYTES):
                digest.update(chunk)
                out.write(chunk)
        expected = _announced(response.headers.get("Content-Digest"), file)
        if expected is not None and digest.digest() != expected:
            raise DigestError(f"{file.id}: the bytes that arrived do not match their SHA-256")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _announced(header: str | None, file: File) -> bytes | None:
    if file.sha256:
        return bytes.fromhex(file.sha256.removeprefix("sha256:"))
    found = _DIGEST.search(header or "")
    return base64.b64decode(found.group(1)) if found else None

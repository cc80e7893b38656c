"""A job's files over HTTPS: downloads that go on where they broke off, uploads in parts."""

from __future__ import annotations

import hashlib
import http.client
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from pydantic import TypeAdapter
from urllib3.exceptions import HTTPError

from jangada.artifacts import CHUNK_BYTES, Artifact
from jangada.errors import ForbiddenError, NotFoundError, StoreUnavailableError, TooLargeError
from jangada.jobs.queue import Lease
from jangada.remote.link import NodeLink, RefusedError
from jangada.remote.wire import PART_BYTES, receipt_of

ARTIFACT = TypeAdapter(Artifact)
_REMEMBERED = 128
_SPOOL_BYTES = 8 * 1024 * 1024
TRIES = 3
"""How often a broken download or part goes on at once; after that it is the caller's to wait and begin again."""


class RemoteFiles:
    """The files of the job of one lease: as much of an `ArtifactStore` as `JobFiles` uses."""

    def __init__(self, link: NodeLink, lease: Lease, executor_id: str) -> None:
        self._link = link
        self._us = {"queue": lease.queue, "executor_id": executor_id, "receipt": receipt_of(lease)}
        self._tickets: dict[str, str] = {}
        self._uploads: dict[tuple[str, str], str] = {}

    def get(self, artifact_id: str, tenant_id: str | None = None) -> Artifact | None:  # noqa: ARG002 - the receipt says it
        """See `ArtifactStore.get`: None also for a file that the job does not name."""
        try:
            answer = self._link.post("/files", self._us | {"file_id": artifact_id})
        except (NotFoundError, ForbiddenError):
            return None
        self._tickets[artifact_id] = answer["ticket"]
        return ARTIFACT.validate_python(answer["file"])

    def open(self, artifact: Artifact) -> BinaryIO:
        """See `ArtifactStore.open`. The bytes are those that the platform named: their digest was checked."""
        whole: BinaryIO = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # type: ignore[assignment]  # noqa: SIM115
        digest = hashlib.sha256()
        try:
            for chunk in self._chunks(artifact):
                digest.update(chunk)
                whole.write(chunk)
            if digest.hexdigest() != artifact.sha256:
                raise StoreUnavailableError(f"the bytes of {artifact.id} did not arrive as they are")
        except BaseException:
            whole.close()
            raise
        whole.seek(0)
        return whole

    def _chunks(self, artifact: Artifact) -> Iterator[bytes]:
        path = f"/files/{artifact.id}/content?ticket={quote(self._tickets[artifact.id])}"
        have, failures = 0, 0
        while have < artifact.size_bytes:
            headers = {"Range": f"bytes={have}-"} if have else {}
            reply = self._link.call("GET", path, headers=headers, stream=True)
            try:
                if have and reply.status != http.client.PARTIAL_CONTENT:
                    raise StoreUnavailableError("the platform did not go on where the download broke off")
                for chunk in reply.stream(CHUNK_BYTES):
                    have += len(chunk)
                    yield chunk
            except HTTPError as error:
                failures += 1
                if failures >= TRIES:
                    raise StoreUnavailableError(f"the download broke off: {error}") from error
            finally:
                reply.close()

    def put(
        self,
        tenant_id: str,  # noqa: ARG002 - the receipt says it
        source: Path,
        *,
        media_type: str = "application/octet-stream",
        filename: str = "file",
        purpose: str = "output",  # noqa: ARG002 - a job's files are outputs
    ) -> Artifact:
        """
        See `ArtifactStore.put`, for a local file, which may not change meanwhile.

        Raises `TooLargeError`. On `StoreUnavailableError` it may be called again, and sends what is missing.
        """
        with source.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = file.tell()
        ticket = self._uploads.get((filename, sha256)) or self._announce(
            {"filename": filename, "media_type": media_type, "size_bytes": size_bytes, "sha256": sha256}
        )
        self._uploads[filename, sha256] = ticket
        with source.open("rb") as file:
            for number in self._missing(ticket):
                file.seek(number * PART_BYTES)
                self._send(ticket, number, file.read(PART_BYTES))
        return ARTIFACT.validate_python(self._link.post("/uploads/complete", {"ticket": ticket})["file"])

    def _announce(self, facts: dict[str, Any]) -> str:
        try:
            return str(self._link.post("/uploads", self._us | facts)["ticket"])
        except RefusedError as error:
            if error.status == http.client.REQUEST_ENTITY_TOO_LARGE:
                raise TooLargeError(str(error)) from error
            raise

    def _missing(self, ticket: str) -> list[int]:
        return list(self._link.post("/uploads/missing", {"ticket": ticket})["parts"])

    def _send(self, ticket: str, number: int, part: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        for left in reversed(range(TRIES)):
            try:
                self._link.call("PUT", f"/uploads/parts/{number}?ticket={quote(ticket)}", part, headers=headers)
                return
            except StoreUnavailableError:
                if not left:
                    raise


class FilesOfLeases:
    """The `RemoteFiles` of each of the latest leases: an upload that broke off is gone on with, not begun anew."""

    def __init__(self, link: NodeLink, executor_id: str) -> None:
        self._link = link
        self._executor_id = executor_id
        self._known: dict[str, RemoteFiles] = {}
        self._lock = threading.Lock()

    def __call__(self, lease: Lease) -> RemoteFiles:
        """Those of *lease*."""
        receipt = receipt_of(lease)
        with self._lock:
            found = self._known.pop(receipt, None) or RemoteFiles(self._link, lease, self._executor_id)
            self._known[receipt] = found
            while len(self._known) > _REMEMBERED:
                self._known.pop(next(iter(self._known)))
            return found

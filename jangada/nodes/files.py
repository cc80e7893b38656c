"""
Files of jobs, to and from nodes: by tickets that hold for minutes, and in parts that may be sent again.

A ticket is part of an address: whoever has it needs no session, and can do that one
thing with that one file. It is given for a lease that still holds, and only for files
that the job names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, BinaryIO

from jangada.artifacts import CHUNK_BYTES, Artifact, ArtifactStore
from jangada.artifacts.store import Source
from jangada.clock import Clock, to_ms, utc_now
from jangada.errors import (
    ConflictError,
    FieldError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    TooLargeError,
    UnauthenticatedError,
)
from jangada.ids import new_id
from jangada.jobs.orders import parse
from jangada.jobs.queue import LeaseState
from jangada.nodes.node import JoinedNode
from jangada.nodes.seal import Seal
from jangada.nodes.work import Desk, NodeWork
from jangada.remote.wire import PART_BYTES

DOWNLOAD_S = 300.0
UPLOAD_S = 86_400.0
_DOWNLOAD, _UPLOAD = "download", "upload"


@dataclass(frozen=True, slots=True)
class Announced:
    """A file that a node is about to send, as it announced it. *until_ms*: so long its parts are taken."""

    file_id: str
    tenant_id: str
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    until_ms: int

    @property
    def parts(self) -> int:
        """Into how many it is cut; an empty file has none."""
        return -(-self.size_bytes // PART_BYTES)

    def size_of(self, number: int) -> int:
        """How many bytes that part has."""
        return min(PART_BYTES, self.size_bytes - number * PART_BYTES)


class NodeFiles:
    """Everything here raises `StoreUnavailableError` when a store is away."""

    def __init__(
        self, artifacts: ArtifactStore, work: NodeWork, seal: Seal, *, max_bytes: int, clock: Clock = utc_now
    ) -> None:
        self._artifacts = artifacts
        self._work = work
        self._seal = seal
        self._max_bytes = max_bytes
        self._clock = clock

    def offer(self, desk: Desk, receipt: str, file_id: str) -> tuple[Artifact, str]:
        """
        A file that the job of *receipt* names, and the ticket to its bytes.

        Raises `NotFoundError` when it is gone, `ForbiddenError` when the job does not name it or the lease is lost.
        """
        lease = self._work.opened(desk.node, receipt)
        orders = parse(lease.body)
        if file_id != orders.input_file and file_id not in orders.file_ids:
            raise ForbiddenError(f"the job names no file {file_id}")
        self._require_held(desk, receipt)
        artifact = self._artifacts.get(file_id, lease.tenant_id)
        if artifact is None:
            raise NotFoundError(f"there is no file {file_id}")
        return artifact, self._ticket(desk.node, _DOWNLOAD, [file_id, lease.tenant_id, self._until(DOWNLOAD_S)])

    def open(self, file_id: str, ticket: str) -> tuple[Artifact, BinaryIO]:
        """The bytes that *ticket* is for. Raises `UnauthenticatedError` and `NotFoundError`."""
        named, tenant_id, until_ms = self._read(ticket, _DOWNLOAD)
        if named != file_id or until_ms <= to_ms(self._clock()):
            raise UnauthenticatedError("the ticket has expired, or is for another file")
        artifact = self._artifacts.get(file_id, tenant_id)
        if artifact is None:
            raise NotFoundError(f"there is no file {file_id}")
        return artifact, self._artifacts.open(artifact)

    def announce(
        self, desk: Desk, receipt: str, *, filename: str, media_type: str, size_bytes: int, sha256: str
    ) -> tuple[Announced, str]:
        """Promise a file id for an output that is about to come, and the ticket to send it by."""
        if size_bytes > self._max_bytes:
            raise TooLargeError(
                f"the file has {size_bytes} bytes, at most {self._max_bytes} are kept",
                extra={"max_bytes": self._max_bytes},
            )
        lease = self._work.opened(desk.node, receipt)
        self._require_held(desk, receipt)
        made = Announced(
            new_id("file"), lease.tenant_id, filename, media_type, size_bytes, sha256.lower(), self._until(UPLOAD_S)
        )
        return made, self._ticket(desk.node, _UPLOAD, asdict(made))

    def missing(self, ticket: str) -> list[int]:
        """The parts that have not come."""
        upload = self._announced(ticket)
        if self._artifacts.get(upload.file_id, upload.tenant_id) is not None:
            return []
        return [number for number in range(upload.parts) if self._part(upload, number) is None]

    def receive(self, ticket: str, number: int, source: Source) -> None:
        """
        Take one part; one that is there already is left as it is.

        Raises `InvalidRequestError` for one that is too short, `TooLargeError` for one that is too long.
        """
        upload = self._announced(ticket)
        if not 0 <= number < upload.parts:
            raise _refused("/number", f"expected 0 to {upload.parts - 1}")
        if self._part(upload, number) is not None:
            return
        size_bytes = upload.size_of(number)
        try:
            kept = self._artifacts.put(
                _nobody(upload),
                source,
                filename=f"part {number}",
                expires_at=self._clock() + timedelta(seconds=UPLOAD_S),
                max_bytes=size_bytes,
                artifact_id=_part_id(upload, number),
            )
        except ConflictError:
            # The same part came twice at once.
            return
        if kept.size_bytes != size_bytes:
            self._artifacts.delete(kept.id, _nobody(upload))
            raise _refused("/bytes", f"expected {size_bytes} bytes, found {kept.size_bytes}")

    def complete(self, ticket: str) -> Artifact:
        """
        Put the parts together; again answers the same.

        Raises `InvalidRequestError` while parts are missing, and when they are not what
        was announced: then all of them have to be sent again.
        """
        upload = self._announced(ticket)
        done = self._artifacts.get(upload.file_id, upload.tenant_id)
        if done is not None:
            return done
        parts = [self._part(upload, number) for number in range(upload.parts)]
        there = [one for one in parts if one is not None]
        if len(there) < len(parts):
            raise _refused("/parts", f"{len(parts) - len(there)} of {len(parts)} have not come")
        try:
            made = self._artifacts.put(
                _nobody(upload),
                self._bytes(there),
                media_type=upload.media_type,
                filename=upload.filename,
                purpose="output",
                artifact_id=upload.file_id,
            )
        except ConflictError:
            made = self._made(upload)
        for one in there:
            self._artifacts.delete(one.id, _nobody(upload))
        if made.sha256 != upload.sha256:
            self._artifacts.delete(made.id, _nobody(upload))
            raise _refused("/sha256", f"announced {upload.sha256}, received {made.sha256}")
        self._artifacts.move(made.id, owner=_nobody(upload), to=upload.tenant_id)
        return self._made(upload)

    def _made(self, upload: Announced) -> Artifact:
        found = self._artifacts.get(upload.file_id)
        if found is None:
            raise NotFoundError(f"there is no file {upload.file_id}")
        return found

    def _bytes(self, parts: Sequence[Artifact]) -> Iterator[bytes]:
        for part in parts:
            with self._artifacts.open(part) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    yield chunk

    def _part(self, upload: Announced, number: int) -> Artifact | None:
        return self._artifacts.get(_part_id(upload, number), _nobody(upload))

    def _announced(self, ticket: str) -> Announced:
        upload = Announced(**self._read(ticket, _UPLOAD))
        if upload.until_ms <= to_ms(self._clock()):
            raise UnauthenticatedError("the ticket has expired")
        return upload

    def _require_held(self, desk: Desk, receipt: str) -> None:
        if self._work.renew(desk, [receipt]) == [LeaseState.LOST]:
            raise ForbiddenError("the lease is lost: others have the job by now")

    def _until(self, seconds: float) -> int:
        return to_ms(self._clock()) + int(seconds * 1000)

    def _ticket(self, node: JoinedNode, end: str, value: object) -> str:
        return f"{node.id}.{self._seal.close(value, end, node.id)}"

    def _read(self, ticket: str, end: str) -> Any:
        node_id, _, sealed = ticket.partition(".")
        try:
            return self._seal.open(sealed, end, node_id)
        except ValueError:
            raise UnauthenticatedError("the ticket is not one of ours") from None


def _nobody(upload: Announced) -> str:
    # No tenant can have this id: "~" is not allowed in one.
    return f"~{upload.tenant_id}"


def _part_id(upload: Announced, number: int) -> str:
    return f"{upload.file_id}.{number}"


def _refused(pointer: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"{pointer[1:]}: {detail}", errors=[FieldError(pointer, detail)])

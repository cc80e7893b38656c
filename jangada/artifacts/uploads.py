"""
Large uploads in three steps: announce, send the bytes (again, if the line broke), complete.

Until it is complete the file belongs to nobody that can see it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from jangada.artifacts.artifact import Artifact
from jangada.artifacts.store import ArtifactStore, Source
from jangada.clock import Clock, utc_now
from jangada.errors import FieldError, InvalidRequestError, NotFoundError, TooLargeError
from jangada.ids import new_id

UPLOAD_TTL_S = 86400.0


@dataclass(frozen=True, slots=True)
class Upload:
    """One announced upload; *id* is the id that the file will have, *sha256* in hex or None when not announced."""

    id: str
    tenant_id: str
    filename: str
    media_type: str
    purpose: str
    size_bytes: int
    sha256: str | None
    expires_at: datetime


class UploadStore(Protocol):
    """Announced uploads by id; raises `StoreUnavailableError` when its server is away."""

    def insert(self, upload: Upload) -> None:
        """Add; ids are new."""
        ...

    def get(self, upload_id: str) -> Upload | None:
        """The upload, expired or not."""
        ...

    def delete(self, upload_id: str) -> None:
        """Forget; nothing happens when it is not there."""
        ...

    def delete_expired(self, now: datetime) -> int:
        """Forget what has expired; how many."""
        ...


class MemoryUploadStore:
    """`UploadStore` of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uploads: dict[str, Upload] = {}

    def insert(self, upload: Upload) -> None:
        """See `UploadStore`."""
        with self._lock:
            self._uploads[upload.id] = upload

    def get(self, upload_id: str) -> Upload | None:
        """See `UploadStore`."""
        return self._uploads.get(upload_id)

    def delete(self, upload_id: str) -> None:
        """See `UploadStore`."""
        with self._lock:
            self._uploads.pop(upload_id, None)

    def delete_expired(self, now: datetime) -> int:
        """See `UploadStore`."""
        with self._lock:
            expired = [upload.id for upload in self._uploads.values() if upload.expires_at <= now]
            for upload_id in expired:
                del self._uploads[upload_id]
        return len(expired)


class Uploads:
    """The three steps."""

    def __init__(self, artifacts: ArtifactStore, store: UploadStore, *, max_bytes: int, clock: Clock = utc_now) -> None:
        self._artifacts = artifacts
        self._store = store
        self._max_bytes = max_bytes
        self._clock = clock

    def announce(
        self, tenant_id: str, *, filename: str, media_type: str, purpose: str, size_bytes: int, sha256: str | None
    ) -> Upload:
        """Promise a file id for bytes to come within a day. Raises `TooLargeError`."""
        if size_bytes > self._max_bytes:
            raise TooLargeError(
                f"the file has {size_bytes} bytes, at most {self._max_bytes} are kept",
                extra={"max_bytes": self._max_bytes},
            )
        upload = Upload(
            id=new_id("file"),
            tenant_id=tenant_id,
            filename=filename,
            media_type=media_type,
            purpose=purpose,
            size_bytes=size_bytes,
            sha256=sha256,
            expires_at=self._clock() + timedelta(seconds=UPLOAD_TTL_S),
        )
        self._store.insert(upload)
        return upload

    def receive(self, upload_id: str, tenant_id: str, source: Source) -> None:
        """Take the bytes; those of an earlier try are replaced. Raises `NotFoundError`, `TooLargeError`."""
        upload = self._get(upload_id, tenant_id)
        owner = _nobody(tenant_id)
        self._artifacts.delete(upload.id, owner)
        self._artifacts.put(
            owner,
            source,
            media_type=upload.media_type,
            filename=upload.filename,
            purpose=upload.purpose,
            expires_at=upload.expires_at,
            max_bytes=upload.size_bytes,
            artifact_id=upload.id,
        )

    def complete(self, upload_id: str, tenant_id: str) -> Artifact:
        """
        Check size and digest and hand the file to its tenant; again returns it again.

        Raises `NotFoundError`, and `InvalidRequestError` when the bytes are not those that
        were announced (they may then be sent again) or have not come.
        """
        done = self._artifacts.get(upload_id, tenant_id)
        if done is not None:
            return done
        upload = self._get(upload_id, tenant_id)
        owner = _nobody(tenant_id)
        received = self._artifacts.get(upload_id, owner)
        if received is None:
            raise InvalidRequestError("the bytes have not been sent yet")
        if received.size_bytes != upload.size_bytes:
            raise _differs("/bytes", f"announced {upload.size_bytes} bytes, received {received.size_bytes}")
        if upload.sha256 is not None and received.sha256 != upload.sha256:
            raise _differs("/sha256", f"announced {upload.sha256}, received {received.sha256}")
        self._artifacts.move(upload_id, owner=owner, to=tenant_id)
        self._store.delete(upload_id)
        moved = self._artifacts.get(upload_id, tenant_id)
        if moved is None:
            raise NotFoundError(f"there is no upload {upload_id}")
        return moved

    def collect_expired(self) -> int:
        """Forget uploads that were never completed; how many. Their bytes expire with them."""
        return self._store.delete_expired(self._clock())

    def _get(self, upload_id: str, tenant_id: str) -> Upload:
        upload = self._store.get(upload_id)
        if upload is None or upload.tenant_id != tenant_id or upload.expires_at <= self._clock():
            raise NotFoundError(f"there is no upload {upload_id}")
        return upload


def _nobody(tenant_id: str) -> str:
    # No tenant can have this id: "~" is not allowed in one.
    return f"~{tenant_id}"


def _differs(pointer: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"the bytes are not those announced: {detail}", errors=[FieldError(pointer, detail)])

"""The author's side of an algorithm: its context, its files and the failures it may raise."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PrivateAttr,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema

from jangada.algorithms.device import Device
from jangada.algorithms.references import FILE_MARK

_FILE_ID = r"^file_[0-9A-HJKMNP-TV-Z]{26}$"
_URL_LENGTH = 2048
_DATA_LENGTH = 360_000


class AlgorithmFailure(Exception):  # noqa: N818 — a word authors write, not an error of ours
    """
    Raise to end the attempt with ``error.code = "algorithm_error"``.

    With ``retryable=True`` the job is tried again while attempts remain,
    not before *retry_after_s* seconds when that is given.
    """

    code = "algorithm_error"

    def __init__(self, message: str, *, retryable: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class InvalidInput(AlgorithmFailure):
    """Raise when the input's content is unusable (a broken image, say): ``invalid_input``, never retried."""

    code = "invalid_input"

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


class DependencyFailure(AlgorithmFailure):
    """Raise when something outside (a model server) failed: ``dependency``, retried by default."""

    code = "dependency"

    def __init__(self, message: str, *, retryable: bool = True, retry_after_s: float | None = None) -> None:
        super().__init__(message, retryable=retryable, retry_after_s=retry_after_s)


class JobCanceled(BaseException):
    """Raised inside ``run`` when the job is canceled; let it pass (it is no `Exception` on purpose)."""


class File(BaseModel):
    """
    Bytes by reference.

    In a job's JSON exactly one of: ``{"file": "file_…"}`` (uploaded before),
    ``{"url": "https://…"}`` (fetched by the platform) or ``{"data": "data:…;base64,…"}``
    (at most 256 KiB). Inside `run` the bytes lie at `path`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str | None = Field(default=None, pattern=_FILE_ID)
    url: str | None = Field(default=None, max_length=_URL_LENGTH, pattern=r"^https?://")
    data: str | None = Field(default=None, max_length=_DATA_LENGTH, pattern=r"^data:")

    _path: Path | None = PrivateAttr(default=None)
    _media_type: str | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _exactly_one(self) -> File:
        if sum(value is not None for value in (self.file, self.url, self.data)) != 1:
            raise ValueError("expected exactly one of file, url, data")
        return self

    @model_serializer(mode="plain")
    def _as_reference(self) -> dict[str, str]:
        values = (("file", self.file), ("url", self.url), ("data", self.data))
        return {name: value for name, value in values if value is not None}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """What clients see: exactly one reference on the way in, a file id on the way out."""
        file = _reference("file", {"type": "string", "pattern": _FILE_ID}, "The id of an uploaded file")
        if handler.mode == "serialization":
            return {"title": "File", FILE_MARK: True, **file}
        url = {"type": "string", "maxLength": _URL_LENGTH, "pattern": r"^https?://"}
        data = {"type": "string", "maxLength": _DATA_LENGTH, "pattern": r"^data:[^,]*;base64,"}
        return {
            "title": "File",
            "description": "Bytes by reference: exactly one of file, url, data.",
            FILE_MARK: True,
            "oneOf": [
                file,
                _reference("url", url, "Where the platform fetches the bytes"),
                _reference("data", data, "The bytes themselves, base64, at most 256 KiB"),
            ],
        }

    @classmethod
    def at(cls, path: Path, media_type: str | None = None, *, file_id: str | None = None) -> File:
        """A file whose bytes lie at *path*: how the executor, and tests, hand one to `run`."""
        made = cls.model_construct(file=file_id, url=None, data=None)
        made._path = path
        made._media_type = media_type
        return made

    @property
    def path(self) -> Path:
        """Where the bytes lie, inside the job's working folder. Raises `RuntimeError` outside of a job."""
        if self._path is None:
            raise RuntimeError("this File has no local bytes: it was not materialised by an executor")
        return self._path

    @property
    def media_type(self) -> str | None:
        """The media type the uploader declared, if any; do not trust it."""
        return self._media_type

    def read_bytes(self) -> bytes:
        """All bytes of the file."""
        return self.path.read_bytes()


def _reference(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": {name: schema},
        "required": [name],
        "additionalProperties": False,
    }


ON_CPU = Device()

Emit = Callable[[str, dict[str, Any]], None]
"""Where a context sends what happens: ``emit("progress", {...})``, ``emit("log", {...})``, ``emit("file", {...})``."""

_SAFE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class SetupContext:
    """What ``setup(self, context)`` may know: *model* and *device* as in `Context`. A ``setup(self)`` is as good."""

    model: str | None = None
    device: Device = field(default_factory=Device)


class Context:
    """What one attempt may know and say. Made by the executor's child, or directly in a test."""

    def __init__(
        self,
        *,
        work_dir: Path,
        job_id: str = "job_local",
        attempt: int = 1,
        emit: Emit | None = None,
        canceled: Callable[[], bool] | None = None,
        model: str | None = None,
        device: Device = ON_CPU,
    ) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self.work_dir = work_dir
        self.model = model
        """The model that the deployment names, like ``invoice-types@production``; None: it names none."""
        self.device = device
        self._emit = emit or (lambda _kind, _data: None)
        self._canceled = canceled or (lambda: False)
        self._saved = 0

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Report that *fraction* (0 to 1) of the work is done. Cheap; the executor sends at most a few a second."""
        self.raise_if_canceled()
        self._emit("progress", {"progress": min(1.0, max(0.0, float(fraction))), "message": message})

    def log(self, message: str) -> None:
        """Add a line to the job's log (what is printed lands there too)."""
        self._emit("log", {"stream": "log", "text": message})

    @property
    def canceled(self) -> bool:
        """True once the job's cancel was asked for."""
        return self._canceled()

    def raise_if_canceled(self) -> None:
        """Raise `JobCanceled` when the job's cancel was asked for."""
        if self._canceled():
            raise JobCanceled

    def save(self, name: str, content: bytes | Path, media_type: str = "application/octet-stream") -> File:
        """
        Keep *content* as a file of the job and return the `File` to put into the output.

        The bytes are uploaded when the attempt succeeds; a failed attempt leaves nothing.
        """
        self._saved += 1
        safe = _SAFE_NAME.sub("_", name)[-80:] or "file"
        path = self.work_dir / f"out-{self._saved:03d}-{safe}"
        if isinstance(content, Path):
            if content != path:
                content.replace(path)
        else:
            path.write_bytes(content)
        self._emit("file", {"name": safe, "path": path.name, "media_type": media_type})
        # The reference that the executor swaps for a real file id when it has stored the bytes.
        saved = File.model_construct(file=None, url=None, data=f"data:jangada/work-file,{path.name}")
        saved._path = path
        saved._media_type = media_type
        return saved

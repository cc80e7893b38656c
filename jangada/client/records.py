"""What the platform answers, as values. Fields that this client does not know are ignored (and kept in `raw`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

JSON = Any

FINAL_STATUSES = frozenset({"succeeded", "failed", "canceled", "expired"})


@dataclass(frozen=True, slots=True)
class Job:
    """One job as the platform last told it."""

    id: str
    status: str
    algorithm: str
    algorithm_version: str | None = None
    deployment: str | None = None
    priority: str | None = None
    status_detail: str | None = None
    progress: float | None = None
    attempt: int = 0
    input: JSON = None
    output: JSON = None
    output_file: str | None = None
    error: dict[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    retry_of: str | None = None
    created_at: datetime | None = None
    claimed_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_final(self) -> bool:
        """True once the status never changes again."""
        return self.status in FINAL_STATUSES

    @property
    def succeeded(self) -> bool:
        """True when it ended well."""
        return self.status == "succeeded"

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Job:
        """Read the API's job object."""
        return cls(
            id=str(body["id"]),
            status=str(body["status"]),
            algorithm=str(body.get("algorithm", "")),
            algorithm_version=body.get("algorithm_version"),
            deployment=body.get("deployment"),
            priority=body.get("priority"),
            status_detail=body.get("status_detail"),
            progress=body.get("progress"),
            attempt=int(body.get("attempt") or 0),
            input=body.get("input"),
            output=body.get("output"),
            output_file=file_id_of(body.get("output_file")),
            error=body.get("error"),
            metadata=dict(body.get("metadata") or {}),
            metrics=dict(body.get("metrics") or {}),
            retry_of=body.get("retry_of"),
            created_at=_instant(body.get("created_at")),
            claimed_at=_instant(body.get("claimed_at")),
            started_at=_instant(body.get("started_at")),
            completed_at=_instant(body.get("completed_at")),
            expires_at=_instant(body.get("expires_at")),
            raw=dict(body),
        )


@dataclass(frozen=True, slots=True)
class File:
    """An uploaded or produced file; `reference` is how a job's input names it."""

    id: str
    size_bytes: int
    media_type: str | None = None
    filename: str | None = None
    sha256: str | None = None
    purpose: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def reference(self) -> dict[str, str]:
        """``{"file": "file_…"}``."""
        return {"file": self.id}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> File:
        """Read the API's file object."""
        return cls(
            id=str(body["id"]),
            size_bytes=int(body.get("size_bytes") or 0),
            media_type=body.get("media_type"),
            filename=body.get("filename"),
            sha256=body.get("sha256"),
            purpose=body.get("purpose"),
            created_at=_instant(body.get("created_at")),
            expires_at=_instant(body.get("expires_at")),
            raw=dict(body),
        )


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An algorithm that the platform offers, with the JSON Schemas of its input and output."""

    name: str
    version: str | None = None
    description: str | None = None
    device: str | None = None
    limits: dict[str, Any] = field(default_factory=dict)
    input_schema: dict[str, Any] = field(default_factory=dict)
    output_schema: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Algorithm:
        """Read the API's algorithm object."""
        return cls(
            name=str(body["name"]),
            version=body.get("version"),
            description=body.get("description"),
            device=body.get("device"),
            limits=dict(body.get("limits") or {}),
            input_schema=dict(body.get("input_schema") or {}),
            output_schema=dict(body.get("output_schema") or {}),
            raw=dict(body),
        )


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job. *number* counts per job from 1; 0 when we polled and there is none."""

    number: int
    type: str
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """True for the job's last event."""
        return self.type.removeprefix("job.") in FINAL_STATUSES


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that the algorithm printed or logged."""

    number: int
    stream: str
    text: str
    attempt: int = 1
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> LogLine:
        """Read the API's log line."""
        return cls(
            number=int(body.get("number") or 0),
            stream=str(body.get("stream") or "log"),
            text=str(body.get("text") or ""),
            attempt=int(body.get("attempt") or 1),
            raw=dict(body),
        )


def file_id_of(value: Any) -> str | None:
    """The id in ``"file_…"`` or ``{"file": "file_…"}``; None when there is none."""
    if isinstance(value, Mapping):
        value = value.get("file")
    return value if isinstance(value, str) and value else None


def _instant(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None

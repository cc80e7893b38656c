"""What the routes answer and read."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from jangada.http.body import RequestModel

Purpose = Literal["input", "batch", "model", "dataset"]


class FileUrls(BaseModel):
    """Where the file is found."""

    self: str
    content: str


class FileObject(BaseModel):
    """A file; what its uploader said of it is not to be trusted."""

    id: str
    object: Literal["file"]
    filename: str
    media_type: str
    size_bytes: int
    sha256: str = Field(description="hex")
    purpose: Literal["input", "output", "batch", "model", "dataset"]
    created_at: str
    expires_at: str
    urls: FileUrls


class FilePage(BaseModel):
    """Files, newest first."""

    data: list[FileObject]
    has_more: bool
    next_cursor: str | None


class UploadTarget(BaseModel):
    """Where and how to send the bytes."""

    method: Literal["PUT"]
    url: str
    headers: dict[str, str]
    expires_at: str


class UploadObject(BaseModel):
    """A promised file, and where its bytes are to go."""

    file: str
    upload: UploadTarget


class FileUpload(BaseModel):
    """A multipart form; any other body is taken as the file itself, with `filename` and `purpose` in the query."""

    file: bytes = Field(json_schema_extra={"format": "binary"})
    purpose: Purpose = "input"


class NewUpload(RequestModel):
    """Body of ``POST /v1/files/uploads``."""

    filename: str = Field(min_length=1, max_length=1024)
    bytes: int = Field(ge=0, le=2**53)
    content_type: str = Field(default="application/octet-stream", max_length=255)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$", description="hex")
    purpose: Purpose = "input"

"""``POST /v1/files``: a file in one request."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import IO, get_args

from flask import Flask, Response, request

from jangada.errors import FieldError, InvalidRequestError, MalformedRequestError, QuotaExceededError
from jangada.http.auth import caller
from jangada.http.links import href
from jangada.http.openapi import Answer, Parameter, documented
from jangada.http.render import respond
from jangada.tenants import Caller, Scope
from jangada.tenants.quota import quota_of
from jangada.wiring import Services

from .answers import FileObject, FileUpload, Purpose
from .presentation import clean_filename, clean_media_type, file_object

_MULTIPART = "multipart/form-data"
_PURPOSES = get_args(Purpose)


@dataclass(frozen=True, slots=True)
class _Sent:
    stream: IO[bytes]
    filename: str
    media_type: str
    purpose: str


def register(app: Flask, services: Services) -> None:
    """Add the route."""

    @app.post("/v1/files")
    @documented(
        "Upload a file",
        tag="files",
        scopes=["files:write"],
        body=FileUpload,
        body_media_types=[_MULTIPART, "application/octet-stream"],
        parameters=[
            Parameter("filename", "the name, when the body is the file itself"),
            Parameter("purpose", "the purpose, when the body is the file itself", {"enum": list(_PURPOSES)}),
        ],
        answers={201: Answer("kept", FileObject, headers=["Location"])},
        problems=[400, 413, 422],
    )
    def upload() -> Response:
        me = caller(Scope.FILES_WRITE)
        check_room(services, me, request.content_length or 0)
        sent = _read_form() if request.mimetype == _MULTIPART else _read_raw()
        # Closed at once: what the form spooled may be a file as large as the upload.
        with closing(sent.stream) as stream:
            artifact = services.artifacts.put(
                me.tenant_id, stream, media_type=sent.media_type, filename=sent.filename, purpose=sent.purpose
            )
        return respond(file_object(artifact), 201, {"Location": href(f"/v1/files/{artifact.id}")})


def check_room(services: Services, me: Caller, more_bytes: int) -> None:
    """Raise `QuotaExceededError` when *more_bytes* do not fit into what the tenant may keep."""
    limit = quota_of(me.tenant).file_bytes
    if limit is None:
        return
    used = services.artifacts.used_bytes(me.tenant_id)
    if used + more_bytes > limit:
        raise QuotaExceededError(
            f"Tenant {me.tenant_id} may keep {limit} bytes of files, and keeps {used}.",
            retry_after_s=60,
            extra={"limit": {"name": "file_bytes", "value": limit}},
        )


def _read_form() -> _Sent:
    if "boundary" not in request.mimetype_params:
        raise MalformedRequestError("the multipart body has no boundary")
    unknown = sorted(({*request.form} - {"purpose"}) | ({*request.files} - {"file"}))
    if unknown:
        raise _refused(unknown[0], "not a field of this form; expected file and purpose")
    files = request.files.getlist("file")
    if len(files) != 1:
        raise _refused("file", f"expected one file, found {len(files)}")
    file = files[0]
    purpose = _purpose(request.form.get("purpose"))
    return _Sent(file.stream, clean_filename(file.filename), clean_media_type(file.content_type), purpose)


def _read_raw() -> _Sent:
    if not request.mimetype and not request.content_length:
        raise MalformedRequestError(f"the body is empty; expected {_MULTIPART}, or the file itself")
    filename = clean_filename(request.args.get("filename"))
    # What an HTTP library says of bytes it knows nothing of.
    media_type = "" if request.mimetype == "application/x-www-form-urlencoded" else request.mimetype
    return _Sent(request.stream, filename, clean_media_type(media_type), _purpose(request.args.get("purpose")))


def _purpose(text: str | None) -> str:
    if text is None:
        return "input"
    if text not in _PURPOSES:
        raise _refused("purpose", f"expected one of {', '.join(_PURPOSES)}")
    return text


def _refused(name: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name}: {detail}", errors=[FieldError(f"/{name}", detail)])

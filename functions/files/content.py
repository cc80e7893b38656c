"""``GET /v1/files/{id}/content``: the bytes, whole or a range, never to be shown by a browser."""

from __future__ import annotations

import base64
import re
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import PreconditionFailed
from werkzeug.wsgi import FileWrapper

from jangada.artifacts import CHUNK_BYTES, Artifact
from jangada.errors import NotFoundError
from jangada.http.auth import caller
from jangada.http.openapi import Answer, Parameter, documented
from jangada.tenants import Scope
from jangada.wiring import Services

from .presentation import content_disposition

_ONE_RANGE = re.compile(r"\s*bytes\s*=[^,]*\Z", re.IGNORECASE)
_LAST_BYTES = re.compile(r"\s*bytes\s*=\s*-([0-9]{1,18})\s*\Z", re.IGNORECASE)


def register(app: Flask, services: Services) -> None:
    """Add the route."""

    @app.get("/v1/files/<file_id>/content")
    @documented(
        "Get a file's bytes",
        tag="files",
        scopes=["files:read"],
        parameters=[
            Parameter("Range", "one range of bytes", where="header"),
            Parameter("If-None-Match", "an ETag that the client has", where="header"),
        ],
        answers={
            200: Answer(
                "the bytes",
                media_type="application/octet-stream",
                headers=["ETag", "Content-Digest", "Repr-Digest", "Content-Disposition"],
            ),
            206: Answer("the range", media_type="application/octet-stream", headers=["Content-Range", "Repr-Digest"]),
            304: Answer("the client has them"),
        },
        problems=[404, 416],
    )
    def get_content(file_id: str) -> Response:
        artifact = services.artifacts.get(file_id, caller(Scope.FILES_READ).tenant_id)
        if artifact is None:
            raise NotFoundError(f"there is no file {file_id}")
        return _respond_bytes(services, artifact)


def _respond_bytes(services: Services, artifact: Artifact) -> Response:
    if request.method == "HEAD":
        return _complete(Response(), artifact)
    file = services.artifacts.open(artifact)
    response = Response(FileWrapper(file, CHUNK_BYTES), direct_passthrough=True)  # type: ignore[arg-type]
    response.call_on_close(file.close)
    try:
        return _complete(response, artifact)
    except BaseException:  # 412, 416
        response.close()
        raise


def _complete(response: Response, artifact: Artifact) -> Response:
    response.content_length = artifact.size_bytes
    digest = f"sha-256=:{base64.b64encode(bytes.fromhex(artifact.sha256)).decode()}:"
    response.content_type = artifact.media_type
    response.set_etag(artifact.sha256)
    headers = response.headers
    headers["Content-Disposition"] = content_disposition(artifact.filename)
    # What somebody uploaded must not become a page of this host.
    headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    headers["Cache-Control"] = "private, no-cache"
    headers["Repr-Digest"] = digest
    # RFC 9110 §14.2: an unknown unit must be ignored, and several ranges may be, which saves a multipart answer.
    one_range = _ONE_RANGE.match(request.headers.get("Range", "bytes=")) is not None
    response.make_conditional(
        _with_honest_suffix(request.environ, artifact), accept_ranges=one_range, complete_length=artifact.size_bytes
    )
    if response.status_code == HTTPStatus.PRECONDITION_FAILED:
        raise PreconditionFailed("the file's ETag is not one that If-Match names")
    headers["Accept-Ranges"] = "bytes"
    if response.status_code == 200:
        # RFC 9530 §2: of what this very message carries; for a range that is not the file's.
        headers["Content-Digest"] = digest
    return response


def _with_honest_suffix(environ: dict[str, Any], artifact: Artifact) -> dict[str, Any]:
    """RFC 9110 §14.1.2: the last N bytes of a shorter file are all of it; Werkzeug would answer 416."""
    last = _LAST_BYTES.match(environ.get("HTTP_RANGE", ""))
    if last is None or int(last.group(1)) <= artifact.size_bytes:
        return environ
    return {**environ, "HTTP_RANGE": f"bytes=-{artifact.size_bytes}"}

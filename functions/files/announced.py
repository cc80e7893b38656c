"""Large uploads: announce, PUT, complete."""

from __future__ import annotations

from flask import Flask, Response, request

from jangada.errors import ConflictError
from jangada.http.auth import caller
from jangada.http.body import read_json
from jangada.http.links import absolute, href
from jangada.http.openapi import Answer, documented
from jangada.http.render import respond
from jangada.tenants import Scope
from jangada.wiring import Services

from .answers import FileObject, NewUpload, UploadObject
from .presentation import clean_filename, clean_media_type, file_object
from .upload import check_room

_MAX_BODY_BYTES = 64 * 1024


def register(app: Flask, services: Services) -> None:
    """Add the routes."""

    @app.post("/v1/files/uploads")
    @documented(
        "Announce a large upload",
        tag="files",
        scopes=["files:write"],
        description="Send the bytes as the answer says, with the same credential, then complete it.",
        body=NewUpload,
        answers={201: Answer("where to send the bytes", UploadObject)},
        problems=[400, 413, 415, 422],
    )
    def announce() -> Response:
        me = caller(Scope.FILES_WRITE)
        request.max_content_length = _MAX_BODY_BYTES
        wanted = read_json(NewUpload)
        check_room(services, me, wanted.bytes)
        upload = services.uploads.announce(
            me.tenant_id,
            filename=clean_filename(wanted.filename),
            media_type=clean_media_type(wanted.content_type),
            purpose=wanted.purpose,
            size_bytes=wanted.bytes,
            sha256=wanted.sha256.lower() if wanted.sha256 else None,
        )
        target = {
            "method": "PUT",
            "url": absolute(f"/v1/files/uploads/{upload.id}"),
            "headers": {"Content-Type": upload.media_type},
            "expires_at": upload.expires_at,
        }
        return respond({"file": upload.id, "upload": target}, 201)

    @app.put("/v1/files/uploads/<file_id>")
    @documented(
        "Send the bytes of an announced upload",
        tag="files",
        scopes=["files:write"],
        description="The body is the file itself. Sent again, it replaces what came before.",
        answers={204: Answer("received")},
        problems=[404, 409, 413],
    )
    def receive(file_id: str) -> Response:
        tenant_id = caller(Scope.FILES_WRITE).tenant_id
        if services.artifacts.get(file_id, tenant_id) is not None:
            raise ConflictError(f"the upload {file_id} is complete already")
        services.uploads.receive(file_id, tenant_id, request.stream)
        return Response(status=204)

    @app.post("/v1/files/<file_id>/complete")
    @documented(
        "Complete an announced upload",
        tag="files",
        scopes=["files:write"],
        description="Checks size and SHA-256 against what was announced. Again answers the same.",
        answers={200: Answer("kept", FileObject, headers=["Location"])},
        problems=[404, 422],
    )
    def complete(file_id: str) -> Response:
        artifact = services.uploads.complete(file_id, caller(Scope.FILES_WRITE).tenant_id)
        return respond(file_object(artifact), headers={"Location": href(f"/v1/files/{artifact.id}")})

"""Files of jobs that run on nodes: short-lived addresses for downloads, parts for uploads."""

from __future__ import annotations

import re
from typing import Any

from flask import Flask, Response, request
from pydantic import TypeAdapter
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.wsgi import FileWrapper

from jangada.artifacts import CHUNK_BYTES, Artifact
from jangada.http.body import read_json, require_media_type
from jangada.http.openapi import Answer, Parameter, documented
from jangada.http.render import respond
from jangada.remote.wire import PART_BYTES
from jangada.wiring import Services

from .answers import Offered, Parts, Promised, Stored
from .requests import FileRequest, NewOutput, Ticket
from .session import node_of
from .work import desk_of

_TAG = "node executors"
_READ = (400, 413, 415, 422)
_ARTIFACT = TypeAdapter(Artifact)
_FROM = re.compile(r"bytes=([0-9]{1,18})-\Z")
_TICKET = Parameter("ticket", "as it was given", required=True)


def register(app: Flask, services: Services) -> None:
    """Add the routes."""
    _register_downloads(app, services)
    _register_uploads(app, services)


def _register_downloads(app: Flask, services: Services) -> None:
    @app.post("/v1/nodes/files")
    @documented(
        "Get a ticket to a file",
        tag=_TAG,
        body=FileRequest,
        description="Of a file that the job of a lease names, while the lease holds. The ticket is good for 5 minutes.",
        answers={200: Answer("the file, and the ticket", Offered)},
        problems=[*_READ, 404],
    )
    def offer() -> Response:
        node_of(services)
        said = read_json(FileRequest)
        artifact, ticket = services.nodes.files.offer(desk_of(services, said), said.receipt, said.file_id)
        return respond({"file": _values(artifact), "ticket": ticket})

    @app.get("/v1/nodes/files/<file_id>/content")
    @documented(
        "Get a file's bytes by a ticket",
        tag=_TAG,
        public=True,
        parameters=[_TICKET, Parameter("Range", "`bytes=N-`: from there on", where="header")],
        answers={
            200: Answer("the bytes", media_type="application/octet-stream"),
            206: Answer("the rest of them", media_type="application/octet-stream", headers=["Content-Range"]),
        },
        problems=[401, 404, 416],
    )
    def content(file_id: str) -> Response:
        artifact, file = services.nodes.files.open(file_id, request.args.get("ticket", ""))
        asked = _FROM.match(request.headers.get("Range", ""))
        begin = int(asked.group(1)) if asked else 0
        if begin and begin >= artifact.size_bytes:
            file.close()
            raise RequestedRangeNotSatisfiable(length=artifact.size_bytes)
        file.seek(begin)
        response = Response(
            FileWrapper(file, CHUNK_BYTES),
            206 if begin else 200,
            content_type="application/octet-stream",
            direct_passthrough=True,
        )
        response.call_on_close(file.close)
        response.content_length = artifact.size_bytes - begin
        response.headers["Cache-Control"] = "private, no-store"
        if begin:
            response.headers["Content-Range"] = f"bytes {begin}-{artifact.size_bytes - 1}/{artifact.size_bytes}"
        return response


def _register_uploads(app: Flask, services: Services) -> None:
    files = services.nodes.files

    @app.post("/v1/nodes/uploads")
    @documented(
        "Announce an output file",
        tag=_TAG,
        body=NewOutput,
        description="Of the job of a lease, while the lease holds. Parts are taken for a day.",
        answers={201: Answer("the ticket to send it by", Promised)},
        problems=_READ,
    )
    def announce() -> Response:
        node_of(services)
        said = read_json(NewOutput)
        made, ticket = files.announce(
            desk_of(services, said),
            said.receipt,
            filename=said.filename,
            media_type=said.media_type,
            size_bytes=said.size_bytes,
            sha256=said.sha256,
        )
        return respond({"file_id": made.file_id, "ticket": ticket, "part_bytes": PART_BYTES}, 201)

    @app.post("/v1/nodes/uploads/missing")
    @documented(
        "Ask which parts are missing", tag=_TAG, body=Ticket, answers={200: Answer("their numbers", Parts)},
        problems=_READ,
    )  # fmt: skip
    def missing() -> Response:
        node_of(services)
        return respond({"parts": files.missing(read_json(Ticket).ticket)})

    @app.put("/v1/nodes/uploads/parts/<int:number>")
    @documented(
        "Send a part",
        tag=_TAG,
        public=True,
        parameters=[_TICKET],
        description="The body is the part itself. One that has come already is left as it is.",
        answers={204: Answer("kept")},
        problems=[401, 413, 415, 422],
    )
    def receive(number: int) -> Response:
        require_media_type("application/octet-stream")
        files.receive(request.args.get("ticket", ""), number, request.stream)
        return Response(status=204)

    @app.post("/v1/nodes/uploads/complete")
    @documented(
        "Put a file together",
        tag=_TAG,
        body=Ticket,
        description="Checks its size and its SHA-256. Again answers the same.",
        answers={200: Answer("kept", Stored)},
        problems=_READ,
    )
    def complete() -> Response:
        node_of(services)
        return respond({"file": _values(files.complete(read_json(Ticket).ticket))})


def _values(artifact: Artifact) -> dict[str, Any]:
    """As a node sees it: whose it is, is told by a word of its own."""
    values: dict[str, Any] = _ARTIFACT.dump_python(artifact, mode="json")
    return values | {"tenant_id": ""}

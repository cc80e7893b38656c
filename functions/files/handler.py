"""Files over HTTP: up, down, and what is known of them."""

from __future__ import annotations

import os

from flask import Flask, Response, request

from jangada.artifacts.collector import EVERY_S, Collector
from jangada.errors import NotFoundError
from jangada.http.app import make_app
from jangada.http.auth import caller
from jangada.http.openapi import Answer, Parameter, documented
from jangada.http.paging import LIST_PARAMETERS, page_request, respond_page
from jangada.http.render import respond
from jangada.settings import Settings
from jangada.tenants import Scope
from jangada.wiring import Services

from . import announced, content, upload
from .answers import FileObject, FilePage
from .presentation import file_object

_BEYOND_FILE_BYTES = 1024 * 1024


def create_app(services: Services | None = None) -> Flask:
    """
    The app over *services*. Without them it is the function itself: over the servers
    of the environment, and expired files are removed.
    """
    if services is not None:
        return _make(services)
    made = Services.from_settings(Settings.from_env(os.environ))
    app = _make(made)
    collector(made).start()
    return app


def collector(services: Services) -> Collector:
    """What removes expired files; any number of processes may have one."""

    def collect() -> int:
        services.uploads.collect_expired()
        return services.artifacts.collect_expired()

    return Collector(collect, is_my_turn=lambda: services.queue.lock("collect-files", EVERY_S * 0.9))


def _make(services: Services) -> Flask:
    # A multipart body is a little larger than the file in it.
    return make_app("files", services, _register, max_body_bytes=services.settings.max_file_bytes + _BEYOND_FILE_BYTES)


def _register(app: Flask, services: Services) -> None:
    upload.register(app, services)
    announced.register(app, services)
    content.register(app, services)

    @app.get("/v1/files")
    @documented(
        "List files",
        tag="files",
        scopes=["files:read"],
        parameters=[*LIST_PARAMETERS, Parameter("purpose", "only of this purpose")],
        answers={200: Answer("newest first", FilePage, headers=["Link"])},
        problems=[422],
    )
    def list_files() -> Response:
        tenant_id = caller(Scope.FILES_READ).tenant_id
        page = page_request()
        purpose = request.args.get("purpose")
        found = services.artifacts.page(tenant_id, before=page.after, limit=page.limit + 1, purpose=purpose)
        shown = found[: page.limit]
        more = len(found) > page.limit
        return respond_page([file_object(one) for one in shown], next_position=shown[-1].id if more else None)

    @app.get("/v1/files/<file_id>")
    @documented(
        "Get a file's metadata",
        tag="files",
        scopes=["files:read"],
        answers={200: Answer("what is known of it", FileObject)},
        problems=[404],
    )
    def get_file(file_id: str) -> Response:
        found = services.artifacts.get(file_id, caller(Scope.FILES_READ).tenant_id)
        if found is None:
            raise NotFoundError(f"there is no file {file_id}")
        return respond(file_object(found))

    @app.delete("/v1/files/<file_id>")
    @documented(
        "Delete a file",
        tag="files",
        scopes=["files:write"],
        description="Also when a job still refers to it: that job then fails.",
        answers={204: Answer("gone")},
        problems=[404],
    )
    def delete_file(file_id: str) -> Response:
        if not services.artifacts.delete(file_id, caller(Scope.FILES_WRITE).tenant_id):
            raise NotFoundError(f"there is no file {file_id}")
        return Response(status=204)

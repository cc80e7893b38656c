"""
From a function's folder to a WSGI application.

The folder is the package `function`; its module `handler` has one of

    def create_app() -> WSGI application      (preferred)
    app = ...                                 (a WSGI application)
    def handle(event, context): ...           (as in OpenFaaS' python3-http)
    def handle(body: str) -> str: ...         (as in OpenFaaS' classic templates)
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = "function"

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class LoadError(Exception):
    """Raised when the folder holds no function; says what was looked for."""


def load_app(folder: Path) -> WsgiApp:
    """The application in *folder*. Raises `LoadError`; what the handler's own code raises passes through."""
    handler = _import_handler(folder.resolve())
    if callable(getattr(handler, "create_app", None)):
        return handler.create_app()
    if callable(getattr(handler, "app", None)):
        return handler.app
    if callable(getattr(handler, "handle", None)):
        return _wrap_handle(handler.handle)
    raise LoadError(f"{folder / 'handler.py'}: expected create_app(), app or handle()")


def _import_handler(folder: Path) -> Any:
    file = folder / "handler.py"
    if not file.is_file():
        raise LoadError(f"{file}: no such file")
    package = ModuleType(PACKAGE)
    package.__path__ = [str(folder)]
    sys.modules[PACKAGE] = package
    init = folder / "__init__.py"
    if init.is_file():
        spec = importlib.util.spec_from_file_location(PACKAGE, init, submodule_search_locations=[str(folder)])
        if spec is not None and spec.loader is not None:
            package = sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(package)
    # OpenFaaS' templates install a function's packages here.
    vendored = folder / "python"
    if vendored.is_dir():
        sys.path.insert(0, str(vendored))
    return importlib.import_module(f"{PACKAGE}.handler")


class Event:
    """A request as `handle(event, context)` sees it."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        from werkzeug.wrappers import Request

        request = Request(dict(environ))
        self.body = request.get_data()
        self.headers = request.headers
        self.method = request.method
        self.query = request.args
        self.path = request.path


class Context:
    """Where the function runs."""

    def __init__(self) -> None:
        import socket

        self.hostname = socket.gethostname()


def _wrap_handle(handle: Callable[..., Any]) -> WsgiApp:
    takes_two = len(inspect.signature(handle).parameters) > 1
    context = Context()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        event = Event(environ)
        answer = handle(event, context) if takes_two else handle(event.body.decode())
        status, headers, body = _read_answer(answer)
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
        start_response(f"{status} {phrase}", headers)
        return [body]

    return app


def _read_answer(answer: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    status: int = 200
    headers: dict[str, str] = {}
    body = answer
    if isinstance(answer, Mapping) and ("statusCode" in answer or "body" in answer):
        status = int(answer.get("statusCode", 200))
        headers = dict(answer.get("headers") or {})
        body = answer.get("body", b"")
    if isinstance(body, bytes):
        content, media_type = body, "application/octet-stream"
    elif body is None:
        content, media_type = b"", "text/plain; charset=utf-8"
    elif isinstance(body, str):
        content, media_type = body.encode(), "text/plain; charset=utf-8"
    else:
        content, media_type = json.dumps(body).encode(), "application/json"
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = media_type
    headers["Content-Length"] = str(len(content))
    return status, [(str(name), str(value)) for name, value in headers.items()], content

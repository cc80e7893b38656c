"""
One way to make a Flask app: ids, errors, JSON, limits and health are the same in every function.

    app = make_app("router", services, register)     # register(app, services) adds the routes
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TypeVar

from flask import Flask, Response, g, request

from jangada.errors import StoreUnavailableError
from jangada.http.problems import register_problems
from jangada.http.render import OrjsonProvider, register_error_rendering, render_error, respond
from jangada.http.services import EXTENSION, HttpServices
from jangada.http.trace import begin_trace

S = TypeVar("S", bound=HttpServices)

_READY_KEPT_S = 1.0


def make_app(
    name: str, services: S, register: Callable[[Flask, S], None], *, max_body_bytes: int | None = None
) -> Flask:
    """
    A Flask app called *name* over *services*, with the routes that *register* adds.

    Bodies over *max_body_bytes* (`Settings.max_body_bytes` unless given) are
    refused with 413. Every answer carries ``X-Request-Id`` and ``traceparent``.
    """
    app = Flask(name, static_folder=None)
    app.json = OrjsonProvider(app)
    app.extensions[EXTENSION] = services
    app.config["MAX_CONTENT_LENGTH"] = max_body_bytes or services.settings.max_body_bytes
    # Werkzeug counts file bytes that it holds back against this too: a chunk is 64 KiB, and a line break
    # near a chunk's end holds back the rest. At 64 KiB some ordinary files were refused.
    app.config["MAX_FORM_MEMORY_SIZE"] = 256 * 1024
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.url_map.strict_slashes = False
    app.before_request(_begin)
    app.after_request(_finish)
    register_error_rendering(app)
    _register_health(app, services)
    register_problems(app)
    register(app, services)
    return app


def _begin() -> None:
    headers = request.headers
    trace = begin_trace(headers.get("X-Request-Id"), headers.get("traceparent"), headers.get("X-Call-Id"))
    g.trace = trace
    request.environ["jangada.request_id"] = trace.request_id  # for the server's log line


def _finish(response: Response) -> Response:
    trace = g.trace
    headers = response.headers
    headers["X-Request-Id"] = trace.request_id
    headers["traceparent"] = trace.traceparent
    if trace.call_id:
        headers["X-Call-Id"] = trace.call_id
    headers["X-Content-Type-Options"] = "nosniff"
    if response.status_code == HTTPStatus.NO_CONTENT:
        headers.pop("Content-Type", None)
    if g.get("caller") is not None:
        headers.add("Vary", "Authorization")
        headers.setdefault("Cache-Control", "private, no-cache")
    return response


def _register_health(app: Flask, services: HttpServices) -> None:
    readiness = _Readiness(services.check_ready)

    @app.get("/healthz")
    def healthz() -> Response:
        return respond({"status": "ok"}, headers={"Cache-Control": "no-store"})

    @app.get("/readyz")
    def readyz() -> Response:
        checks = readiness.checks()
        wrong = {name: state for name, state in checks.items() if state != "ok"}
        if wrong:
            detail = "; ".join(f"{name}: {state}" for name, state in sorted(wrong.items()))
            return render_error(StoreUnavailableError(detail, retry_after_s=2, extra={"checks": dict(checks)}))
        return respond({"status": "ready", "checks": dict(checks)}, headers={"Cache-Control": "no-store"})


class _Readiness:
    """The last checks, kept for a second: the route needs no credential and must not become a load."""

    def __init__(self, check: Callable[[], Mapping[str, str]]) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._checks: Mapping[str, str] = {}
        self._checked = float("-inf")

    def checks(self) -> Mapping[str, str]:
        with self._lock:
            if time.monotonic() - self._checked > _READY_KEPT_S:
                self._checks = self._check()
                self._checked = time.monotonic()
            return self._checks

"""
What leaves the platform: JSON by orjson, and every error as problem details (RFC 9457).

The only place that turns an error into an answer. A traceback goes to the log, never out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

import orjson
from flask import Flask, Response, g, request
from flask.json.provider import JSONProvider
from werkzeug.exceptions import HTTPException

from jangada.clock import rfc3339
from jangada.errors import (
    ForbiddenError,
    InvalidRequestError,
    JangadaError,
    MalformedRequestError,
    NotFoundError,
    OverloadedError,
    StoreUnavailableError,
    TooLargeError,
    UnauthenticatedError,
    UnsupportedMediaTypeError,
)
from jangada.http.links import absolute
from jangada.http.trace import current_trace
from jangada.logs import get_logger

_log = get_logger()

_PROBLEM = "application/problem+json"
_STORE_AWAY = "A store that this needs does not answer; nothing was accepted. Try again later."
_STANDARD = {"type", "title", "status", "detail", "instance", "code", "trace_id", "errors"}
_STATUSES = frozenset(status.value for status in HTTPStatus)
_BY_STATUS: dict[int, type[JangadaError]] = {
    400: MalformedRequestError,
    401: UnauthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    413: TooLargeError,
    415: UnsupportedMediaTypeError,
    503: OverloadedError,
}


def dumps(value: Any) -> bytes:
    """*value* as JSON in UTF-8; instants as RFC 3339 with ``Z``."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


def respond(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response."""
    return Response(dumps(value), status, headers, content_type="application/json")


class OrjsonProvider(JSONProvider):
    """Flask's own JSON (a dict returned by a route) by the same rules as `respond`."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """As `dumps`, as text."""
        return dumps(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """Strict JSON."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """A JSON response of one value."""
        return respond(args[0] if args else kwargs)


def problem_name(code: str) -> str:
    """The last part of a problem's type: ``quota_exceeded`` → ``quota-exceeded``."""
    return code.replace("_", "-")


def http_code(status: HTTPStatus) -> str:
    """The code of an error that is HTTP's own: ``method_not_allowed``."""
    return re.sub(r"[^a-z]+", "_", status.phrase.lower()).strip("_")


def rate_limit_headers(name: str, quota: int, *, remaining: int, reset_s: float | None = None) -> dict[str, str]:
    """The two fields of draft-ietf-httpapi-ratelimit-headers; here alone, since the draft may still move."""
    reset = f";t={math.ceil(reset_s)}" if reset_s is not None else ""
    return {"RateLimit-Policy": f'"{name}";q={quota}', "RateLimit": f'"{name}";r={remaining}{reset}'}


def render_error(error: JangadaError) -> Response:
    """The problem details of *error*, with the headers that belong to its status."""
    headers: dict[str, str] = {}
    if error.retry_after_s is not None or error.status in (429, 503):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s or 1)))
    limit = error.extra.get("limit")
    if error.status == HTTPStatus.TOO_MANY_REQUESTS and isinstance(limit, Mapping):
        headers |= rate_limit_headers(
            str(limit.get("name", "quota")), int(limit.get("value", 0)), remaining=0, reset_s=error.retry_after_s or 1
        )
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    if isinstance(error, ForbiddenError) and "scope" in error.extra:
        headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope", scope="{error.extra["scope"]}"'
    return _problem_response(problem_object(error), error.status, headers)


def problem_object(error: JangadaError) -> dict[str, Any]:
    """The members of *error*'s problem details: the whole answer, or one item's part of it."""
    members: dict[str, Any] = {k: v for k, v in error.extra.items() if k not in _STANDARD}
    if isinstance(error, InvalidRequestError) and error.errors:
        members["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in error.errors]
    # A driver's own words name hosts and ports: they are for the log.
    detail = _STORE_AWAY if isinstance(error, StoreUnavailableError) else error.detail
    return _problem_object(error.code, error.title, error.status, detail, members)


def problem(
    code: str,
    title: str,
    status: int,
    detail: str,
    *,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An RFC 9457 answer; *members* are extensions."""
    return _problem_response(_problem_object(code, title, status, detail, members or {}), status, headers)


def _problem_object(code: str, title: str, status: int, detail: str, members: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": absolute(f"/problems/{problem_name(code)}"),
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.path,
        "code": code,
        "trace_id": current_trace().trace_id,
        **members,
    }


def _problem_response(body: Mapping[str, Any], status: int, headers: Mapping[str, str] | None) -> Response:
    response = Response(_dumps_any(body), status, headers, content_type=_PROBLEM)
    response.headers["Cache-Control"] = "no-store"
    return response


def register_error_rendering(app: Flask) -> None:
    """Let every error of *app*, of ours or not, end as problem details."""

    def jangada_error(error: JangadaError) -> Response:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.warning("http.refused", code=error.code, detail=error.detail, **_ids())
        return render_error(error)

    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        known = _BY_STATUS.get(status)
        phrase = HTTPStatus(status).phrase if status in _STATUSES else "Error"
        if known is TooLargeError:
            return render_error(TooLargeError(f"at most {request.max_content_length} bytes are read here"))
        if known is not None:
            return render_error(known(_plain_description(error, phrase)))
        if status < HTTPStatus.BAD_REQUEST:
            return Response(status=status, headers=dict(error.get_headers()))  # a redirect of the router
        headers = {k: v for k, v in error.get_headers() if k.lower() not in {"content-type", "content-length"}}
        code = http_code(HTTPStatus(status)) if status in _STATUSES else "error"
        return problem(code, phrase, status, _plain_description(error, phrase), headers=headers)

    def unknown_error(error: Exception) -> Response:
        # One of the three broad catches (with the executor loop and the child's edge).
        _log.error("http.unhandled", exc_info=error, method=request.method, **_ids())
        request_id = current_trace().request_id
        return problem("internal", JangadaError.title, 500, f"Something went wrong here; request {request_id}.")

    app.register_error_handler(JangadaError, jangada_error)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, unknown_error)


def _ids() -> dict[str, str]:
    rule = request.url_rule.rule if request.url_rule else request.path
    trace = current_trace()
    ids = {"route": rule, "request_id": trace.request_id, "trace_id": trace.trace_id}
    tenant_id = g.get("tenant_id")
    return {**ids, "tenant_id": tenant_id} if tenant_id else ids


def _plain_description(error: HTTPException, phrase: str) -> str:
    # Werkzeug's descriptions are fixed sentences; one that carries HTML or a repr is not for our callers.
    text = error.description or phrase
    return text if "<" not in text else phrase


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _dumps_any(value: Any) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS)

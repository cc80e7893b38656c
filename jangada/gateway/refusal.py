"""
The answers that the gateway makes itself.

Under ``/function/`` they are plain text with ``X-OpenFaaS-Internal: proxy``, as the
contract has it; on the public paths they are problem details like everyone else's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from aiohttp.web_request import BaseRequest

from jangada.gateway.headers import CALL_ID

_SAFE_ID = re.compile(r"^[A-Za-z0-9._:-]{1,128}$")
_TITLES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A kind of refusal; `code` is the stable word in problem details."""

    status: int
    code: str
    title: str
    retry_after_s: int | None = None


UNREADABLE = Refusal(400, "malformed_request", "The request cannot be read")
UNKNOWN_PATH = Refusal(404, "not_found", "Not found")
UNKNOWN_FUNCTION = Refusal(404, "not_found", "Unknown function")
METHOD_NOT_ALLOWED = Refusal(405, "method_not_allowed", "Method not allowed")
SLOW_REQUEST = Refusal(408, "request_timeout", "The request did not come in time")
HEADER_TOO_LARGE = Refusal(431, "request_header_fields_too_large", "Request Header Fields Too Large")
INTERNAL = Refusal(500, "internal", "Internal error")
BAD_UPSTREAM = Refusal(502, "bad_gateway", "The function broke off")
NOT_LOADED = Refusal(503, "store_unavailable", "What is deployed is not known yet", retry_after_s=1)
OVERLOADED = Refusal(503, "overloaded", "Too much at once", retry_after_s=1)
UPSTREAM_TIMEOUT = Refusal(504, "gateway_timeout", "The function did not answer in time")


def refuse(request: BaseRequest, refusal: Refusal, detail: str, *, problem: bool) -> web.Response:
    """The response for *refusal*; problem details when *problem*, plain text otherwise."""
    sent_id = request.headers.get("X-Request-Id", "")
    headers, body = _content(refusal, detail, problem=problem, call_id=request[CALL_ID], request_id=sent_id)
    return web.Response(status=refusal.status, headers=headers, body=body)


def written(
    refusal: Refusal, detail: str, *, problem: bool, call_id: str, request_id: str = "", is_head: bool, connection: str
) -> bytes:
    """The same as bytes; *connection* is what its ``Connection:`` says, when it says something."""
    headers, body = _content(refusal, detail, problem=problem, call_id=call_id, request_id=request_id)
    if connection:
        headers["Connection"] = connection
    headers["Content-Length"] = str(len(body))
    lines = [f"HTTP/1.1 {refusal.status} {_TITLES[refusal.status]}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + (b"" if is_head else body)


def _content(
    refusal: Refusal, detail: str, *, problem: bool, call_id: str, request_id: str
) -> tuple[dict[str, str], bytes]:
    headers = {"X-OpenFaaS-Internal": "proxy", "X-Call-Id": call_id, "Server": "jangada"}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    if not problem:
        return headers | {"Content-Type": "text/plain; charset=utf-8"}, (detail + "\n").encode()
    shown_id = request_id if _SAFE_ID.match(request_id) else call_id
    headers |= {"X-Request-Id": shown_id, "Content-Type": "application/problem+json"}
    body = {
        "type": f"/problems/{refusal.code.replace('_', '-')}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": detail,
        "code": refusal.code,
        "request_id": shown_id,
    }
    return headers, json.dumps(body).encode()

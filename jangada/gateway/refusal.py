"""
The answers that the gateway makes itself.

Under ``/function/`` they are plain text with ``X-OpenFaaS-Internal: proxy``, as the
contract has it; on the public paths they are problem details like everyone else's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from aiohttp import web
from aiohttp.web_request import BaseRequest

from jangada.gateway.headers import CALL_ID

_SAFE_ID = re.compile(r"^[A-Za-z0-9._:-]{1,128}$")


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
SLOW_REQUEST = Refusal(408, "request_timeout", "The request body did not come in time")
HEADER_TOO_LARGE = Refusal(431, "request_header_fields_too_large", "Request Header Fields Too Large")
INTERNAL = Refusal(500, "internal", "Internal error")
BAD_UPSTREAM = Refusal(502, "bad_gateway", "The function broke off")
NOT_LOADED = Refusal(503, "store_unavailable", "What is deployed is not known yet", retry_after_s=1)
OVERLOADED = Refusal(503, "overloaded", "Too much at once", retry_after_s=1)
UPSTREAM_TIMEOUT = Refusal(504, "gateway_timeout", "The function did not answer in time")


def refuse(request: BaseRequest, refusal: Refusal, detail: str, *, problem: bool) -> web.Response:
    """The response for *refusal*; problem details when *problem*, plain text otherwise."""
    headers = {"X-OpenFaaS-Internal": "proxy", "X-Call-Id": request[CALL_ID], "Server": "jangada"}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    if not problem:
        return web.Response(status=refusal.status, text=detail + "\n", headers=headers)
    sent_id = request.headers.get("X-Request-Id", "")
    request_id = sent_id if _SAFE_ID.match(sent_id) else request[CALL_ID]
    headers |= {"X-Request-Id": request_id, "Content-Type": "application/problem+json"}
    body = {
        "type": f"/problems/{refusal.code.replace('_', '-')}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": detail,
        "code": refusal.code,
        "request_id": request_id,
    }
    return web.Response(status=refusal.status, body=json.dumps(body).encode(), headers=headers)

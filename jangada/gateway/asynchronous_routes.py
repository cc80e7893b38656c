"""
The paths of asynchronous invocation [contract §2].

    POST   /async-function/<name>[.<namespace>][/rest]   202, empty; X-Call-Id, Location
    GET    /async-function/<call id>                     the function's answer; 202 and its state while there is none
    GET    /async-function/<call id>/status              its state as JSON
    DELETE /async-function/<call id>                     cancel

No name clashes with a call id: only POST invokes.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from jangada.clock import from_ms, rfc3339
from jangada.errors import NotFoundError, QueueFullError, StoreUnavailableError, TooLargeError
from jangada.gateway import refusal as refusals
from jangada.gateway.asynchronous import Asynchronous
from jangada.gateway.asynchronous_call import AsyncCall
from jangada.gateway.asynchronous_callbacks import callback_headers
from jangada.gateway.headers import START_TIME
from jangada.gateway.refusal import Refusal, refuse
from jangada.webhooks.guard import OutboundError

if TYPE_CHECKING:
    from jangada.gateway.route import Call

_SILENCE_S = 60.0
_BAD_CALLBACK = Refusal(400, "invalid_request", "Invalid callback URL")
_TOO_LARGE = Refusal(413, "too_large", "Too large")
_NO_CALL = Refusal(404, "not_found", "Unknown call")
_GONE = Refusal(410, "expired", "Removed by retention")


async def submit(call: Call) -> web.StreamResponse:
    """Accept an invocation."""
    request, name = call.request, call.match["name"]
    function = await call.gateway.resolver.lookup(name)
    if function is None:
        detail = f"error finding function {name}: not found"
        return refuse(request, refusals.UNKNOWN_FUNCTION, detail, problem=False)
    _, mark, query = request.raw_path.partition("?")
    target = (call.match["rest"] or "/") + mark + query
    asynchronous = _of(call)
    if asynchronous is None:
        return _off(request)
    try:
        accepted = await asynchronous.accept(request, name, target, function.annotations, _chunks(request))
    except OutboundError as error:
        return refuse(request, _BAD_CALLBACK, f"X-Callback-Url: {error}", problem=False)
    except TooLargeError as error:
        response = refuse(request, _TOO_LARGE, error.detail, problem=False)
        response.force_close()
        return response
    except TimeoutError:
        detail = f"no byte of the body came for {_SILENCE_S:.0f} s"
        return refuse(request, refusals.SLOW_REQUEST, detail, problem=False)
    except (QueueFullError, StoreUnavailableError) as error:
        return refuse(request, refusals.OVERLOADED, f"not accepted: {error.detail}", problem=False)
    headers = {
        "X-Call-Id": accepted.call_id,
        "X-Start-Time": request[START_TIME],
        "X-Served-By": f"jangada/{call.gateway.version}",
        "Location": f"/async-function/{accepted.id}",
    }
    return web.Response(status=202, headers=headers)


async def result(call: Call) -> web.StreamResponse:
    """The function's answer as its callback tells it; 202 with the state until it is there."""
    found, refused = await _find(call)
    if found is None:
        return refused
    if found.answer is None or not found.is_final:
        return _state(found, status=200 if found.is_final else 202)
    response = web.StreamResponse(headers=callback_headers(found))
    response.content_length = found.answer.body.size_bytes
    asynchronous = _of(call)
    if asynchronous is None:
        return _off(call.request)
    blocks = asynchronous.bodies.read(found.answer.body)
    try:
        # The first block before the status: a body that is gone is told, not sent as nothing.
        first = await anext(blocks, b"")
    except NotFoundError as error:
        return refuse(call.request, _GONE, error.detail, problem=True)
    await response.prepare(call.request)
    await response.write(first)
    async for block in blocks:
        await response.write(block)
    await response.write_eof()
    return response


async def state(call: Call) -> web.StreamResponse:
    """How far the call is, as JSON."""
    found, refused = await _find(call)
    return refused if found is None else _state(found, status=200)


async def cancel(call: Call) -> web.StreamResponse:
    """End it: 202 when it was being made, 200 when it waited or was over."""
    asynchronous = _of(call)
    if asynchronous is None:
        return _off(call.request)
    try:
        before = await asynchronous.cancel(call.match["id"].lower())
        after = await asynchronous.find(call.match["id"].lower())
    except StoreUnavailableError as error:
        return refuse(call.request, refusals.OVERLOADED, error.detail, problem=True)
    if before is None or after is None:
        return _unknown(call.request)
    return _state(after, status=202 if before.status == "running" else 200)


async def _find(call: Call) -> tuple[AsyncCall | None, web.Response]:
    asynchronous = _of(call)
    if asynchronous is None:
        return None, _off(call.request)
    try:
        found = await asynchronous.find(call.match["id"].lower())
    except StoreUnavailableError as error:
        return None, refuse(call.request, refusals.OVERLOADED, error.detail, problem=True)
    return found, _unknown(call.request)


def _of(call: Call) -> Asynchronous | None:
    return call.gateway.asynchronous


def _off(request: BaseRequest) -> web.Response:
    return refuse(request, refusals.UNKNOWN_PATH, "asynchronous invocation is off in this gateway", problem=False)


def _unknown(request: BaseRequest) -> web.Response:
    return refuse(request, _NO_CALL, "no call has that id, or its result is no longer kept", problem=True)


def _state(found: AsyncCall, *, status: int) -> web.Response:
    body: dict[str, Any] = {
        "id": found.id,
        "object": "async_call",
        "call_id": found.call_id,
        "function": found.function,
        "status": found.status,
        "attempt": len(found.attempts) + (1 if found.status == "running" else 0),
        "attempts": list(found.attempts),
        "function_status": None if found.answer is None else found.answer.status,
        "created_at": rfc3339(from_ms(found.created_ms)),
        "completed_at": None if found.completed_ms is None else rfc3339(from_ms(found.completed_ms)),
        "callback": None
        if found.callback_url is None
        else {"state": found.callback, "attempts": found.callback_attempts},
    }
    headers = {"X-Call-Id": found.call_id, "Cache-Control": "no-store"}
    if not found.is_final:
        headers["Retry-After"] = "1"
    return web.Response(status=status, body=json.dumps(body).encode(), headers=headers, content_type="application/json")


async def _chunks(request: BaseRequest) -> AsyncIterator[bytes]:
    """The body as it comes; raises `TimeoutError` when it stops coming."""
    if not request.body_exists:
        return
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    while True:
        async with asyncio.timeout(_SILENCE_S):
            chunk = await request.content.readany()
        if not chunk:
            return
        yield chunk


_ID = r"(?P<id>[-0-9a-fA-F]{36})"
_READ = frozenset({"GET", "HEAD"})

ASYNC_ROUTES: tuple[tuple[frozenset[str], re.Pattern[str], Callable[[Call], Awaitable[web.StreamResponse]]], ...] = (
    (
        frozenset({"POST"}),
        re.compile(r"/async-function/(?P<name>[-a-zA-Z_0-9.]+)(?P<rest>/.*)?", re.DOTALL),
        submit,
    ),
    (_READ, re.compile(rf"/async-function/{_ID}"), result),
    (_READ, re.compile(rf"/async-function/{_ID}/status"), state),
    (frozenset({"DELETE"}), re.compile(rf"/async-function/{_ID}"), cancel),
)
"""Methods, pattern, handler: `routes` makes its own of them."""

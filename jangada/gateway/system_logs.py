"""``/system/logs``: a function's lines as NDJSON, also as they come [contract §1.4]."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiohttp import web

from jangada.gateway.errors import BadQueryError, UnknownFunctionError
from jangada.gateway.provider import LogMessage
from jangada.gateway.resolver import split_name
from jangada.gateway.system_api import TRUE_WORDS, read_query

if TYPE_CHECKING:
    from jangada.gateway.route import Call
    from jangada.gateway.server import Gateway

_LOOK_EVERY_S = 2.0


async def logs(call: Call) -> web.StreamResponse:
    """``GET /system/logs``: one JSON object per line, as they come when they are followed."""
    query = read_query(call.request)
    name = query.get("name", "")
    if not name:
        raise BadQueryError("name is required")
    namespace = query.get("namespace", "")
    key = (name, namespace) if namespace else split_name(name)
    tail, since = _tail(query.get("tail", "")), _instant(query.get("since", ""))
    follow = query.get("follow", "").lower() in TRUE_WORDS
    if await call.gateway.control.lookup(*key) is None:
        raise UnknownFunctionError(f"unable to find function: {key[0]}.{key[1]}")
    messages = call.gateway.provider.logs(
        *key, tail=tail, follow=follow, since=since, instance=query.get("instance") or None
    )
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
    await response.prepare(call.request)
    async for message in _while_there(call.gateway, key, messages):
        await response.write(json.dumps(message.to_json()).encode() + b"\n")
    await response.write_eof()
    return response


async def _while_there(
    gateway: Gateway, key: tuple[str, str], messages: AsyncIterator[LogMessage]
) -> AsyncIterator[LogMessage]:
    """*messages* until the gateway stops or the function is removed."""
    coming = asyncio.ensure_future(anext(messages))
    stopping = asyncio.ensure_future(gateway.stopping.wait())
    try:
        while not stopping.done():
            await asyncio.wait({coming, stopping}, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                try:
                    message = coming.result()
                except StopAsyncIteration:
                    return
                yield message
                coming = asyncio.ensure_future(anext(messages))
            elif gateway.control.get(*key) is None:
                return
    finally:
        for task in (coming, stopping):
            task.cancel()
        await asyncio.gather(coming, stopping, return_exceptions=True)
        with contextlib.suppress(AttributeError):
            await messages.aclose()  # type: ignore[attr-defined]


def _tail(text: str) -> int | None:
    try:
        lines = int(text or "-1")
    except ValueError as error:
        raise BadQueryError(f"tail must be a number, found {text[:40]!r}") from error
    return lines if lines > 0 else None


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    try:
        # A plus sign that nobody encoded has become a space.
        at = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as error:
        raise BadQueryError(f"since must be an RFC 3339 time, found {text[:40]!r}") from error
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)

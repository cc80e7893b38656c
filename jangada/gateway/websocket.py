"""A WebSocket through the gateway: two connections, message by message in both directions."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
from aiohttp import WSMsgType, web
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict
from yarl import URL

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_CLOSE_WITHIN_S = 5.0
# The handshake on either side is its own.
_HANDSHAKE = ("Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol")


def wants_websocket(request: BaseRequest) -> bool:
    """Whether the client asks for one."""
    return (
        request.method == "GET"
        and request.headers.get("Upgrade", "").lower() == "websocket"
        and "upgrade" in request.headers.get("Connection", "").lower()
    )


async def bridge(
    session: aiohttp.ClientSession, request: BaseRequest, url: URL, headers: CIMultiDict[str]
) -> web.StreamResponse:
    """
    Connect to the function first, then accept the client, and pass messages until either side closes.

    Raises `aiohttp.WSServerHandshakeError` where the function does not speak
    WebSocket, and what any call raises that finds nobody.
    """
    offered = [
        word.strip()
        for value in request.headers.getall("Sec-WebSocket-Protocol", ())
        for word in value.split(",")
        if word.strip()
    ]
    for name in _HANDSHAKE:
        headers.popall(name, None)
    async with session.ws_connect(
        url, headers=headers, protocols=offered, max_msg_size=MAX_MESSAGE_BYTES, autoping=True
    ) as function:
        protocols = (function.protocol,) if function.protocol else ()
        client = web.WebSocketResponse(
            protocols=protocols, max_msg_size=MAX_MESSAGE_BYTES, timeout=_CLOSE_WITHIN_S, compress=False
        )
        await client.prepare(request)
        directions = [asyncio.create_task(_pass(client, function)), asyncio.create_task(_pass(function, client))]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in directions:
                task.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
        with contextlib.suppress(ConnectionError, TimeoutError):
            await client.close(code=function.close_code or client.close_code or 1000)
        return client


_Side = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _pass(source: _Side, target: _Side) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)
        else:
            return
    if source.close_code is not None and not target.closed:
        await target.close(code=source.close_code)

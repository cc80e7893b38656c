"""WebSockets pass: text and bytes both ways, sub-protocols, closing codes, and functions that speak none."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import aiohttp
import pytest
from aiohttp import web

from jangada.gateway.provider import Replica
from jangada.gateway.server import Gateway
from tests.fixed_provider import FixedProvider, function

CLOSED = web.AppKey("closed", list)


async def _echo(request: web.Request) -> web.StreamResponse:
    if request.path == "/plain":
        return web.Response(text="no")
    if request.path == "/guarded":
        return web.Response(status=401, text="who?")
    here = web.WebSocketResponse(protocols=("chat.v2",))
    await here.prepare(request)
    await here.send_str(
        f"{request.path_qs} {request.headers['X-Call-Id'] != ''} {request.headers.get('Authorization')}"
    )
    async for message in here:
        if message.type is aiohttp.WSMsgType.BINARY:
            await here.send_bytes(message.data)
        elif message.data == "bye":
            await here.close(code=4001)
        else:
            await here.send_str(message.data.upper())
    request.app[CLOSED].append(here.close_code)
    return here


@contextlib.asynccontextmanager
async def staged():
    app = web.Application()
    app[CLOSED] = []
    app.router.add_get("/{rest:.*}", _echo)
    runner = web.AppRunner(app)
    await runner.setup()
    behind, front = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, behind).start()
    address = f"http://127.0.0.1:{behind.getsockname()[1]}"
    provider = FixedProvider([function()], [Replica("echo", address)])
    gateway = Gateway(provider, version="9.9.9", stack=provider.stack)
    await gateway.start(front)
    try:
        async with aiohttp.ClientSession() as session:
            yield gateway, session, f"http://127.0.0.1:{front.getsockname()[1]}/function/echo", app[CLOSED]
    finally:
        await gateway.stop()
        await runner.cleanup()


def test_messages_pass_both_ways_and_in_order():
    async def story():
        async with staged() as (gateway, session, url, closed):
            async with session.ws_connect(
                url + "/a%2Fb?q=1", protocols=("chat.v1", "chat.v2"), headers={"Authorization": "Bearer k"}
            ) as here:
                assert here.protocol == "chat.v2"
                assert await here.receive_str() == "/a%2Fb?q=1 True Bearer k"
                for number in range(50):
                    await here.send_str(f"m{number}")
                assert [await here.receive_str() for _ in range(50)] == [f"M{number}" for number in range(50)]
                big = bytes(range(256)) * 4096
                await here.send_bytes(big)
                assert await here.receive_bytes() == big
                assert gateway.accounting.of("echo.openfaas-fn").in_flight == 1
            async with asyncio.timeout(5):
                while gateway.accounting.of("echo.openfaas-fn").in_flight or not closed:
                    await asyncio.sleep(0.01)
            # 499 where the client's connection was gone before the closing had been told on.
            assert set(gateway.accounting.of("echo.openfaas-fn").codes) <= {101, 499}

    asyncio.run(story())


def test_the_functions_closing_code_reaches_the_client():
    async def story():
        async with staged() as (_, session, url, _closed), session.ws_connect(url) as here:
            await here.receive_str()
            await here.send_str("bye")
            message = await here.receive(timeout=5)
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert message.data == 4001

    asyncio.run(story())


def test_a_function_that_speaks_none_is_a_502():
    async def story():
        async with staged() as (_, session, url, _closed):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(url + "/plain")
            assert caught.value.status == 502

    asyncio.run(story())


def test_a_function_that_refuses_a_websocket_tells_why_itself():
    async def story():
        async with staged() as (_, session, url, _closed):
            headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
            async with session.get(url + "/guarded", headers=headers) as answer:
                assert (answer.status, await answer.text()) == (401, "who?")

    asyncio.run(story())


def test_what_is_sent_with_the_handshake_and_after_it_is_no_http_to_the_gateway():
    """Bytes that look like a request are the function's, as all others: nothing is read, nothing is added."""

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def story():
        behind, front = await asyncio.start_server(tunnel, "127.0.0.1", 0), socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{behind.sockets[0].getsockname()[1]}"
        provider = FixedProvider([function()], [Replica("echo", address)])
        gateway = Gateway(provider, version="9.9.9", stack=provider.stack)
        await gateway.start(front)
        reader, writer = await asyncio.open_connection(*front.getsockname())
        request = b"GET /system/functions HTTP/1.1\r\nHost: x\r\n\r\n"
        try:
            writer.write(
                b"GET /function/echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + request
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 ")
            assert b"upgrade: websocket\r\n" in head.lower()
            assert await reader.readexactly(5 + len(request)) == b"first" + request
            large = bytes(range(256)) * 40_000
            writer.write(large)
            assert await reader.readexactly(len(large)) == large
        finally:
            writer.close()
            await writer.wait_closed()
            await gateway.stop()
            behind.close()
            await behind.wait_closed()

    asyncio.run(story())


def test_a_client_that_vanishes_closes_the_function_s_side():
    async def story():
        async with staged() as (_, session, url, closed):
            here = await session.ws_connect(url)
            await here.receive_str()
            here._response.connection.transport.abort()
            async with asyncio.timeout(5):
                while not closed:
                    await asyncio.sleep(0.01)

    asyncio.run(story())

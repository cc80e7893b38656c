"""One hop: the request goes to a replica as it came, the answer comes back as it flows."""

from __future__ import annotations

import time

import aiohttp
from aiohttp import web
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict
from yarl import URL

from jangada.gateway import refusal as refusals
from jangada.gateway.accounting import Accounting
from jangada.gateway.body import RequestBody
from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.headers import request_headers, response_headers
from jangada.gateway.provider import Replica
from jangada.gateway.refusal import Refusal, refuse
from jangada.gateway.resolver import NoReplicaError, Resolver
from jangada.gateway.websocket import bridge, wants_websocket

CLIENT_LEFT = 499
"""Accounted when the client closed the connection before its answer; never sent."""

_SMALL_BYTES = 64 * 1024
_CONNECT_TRIES = 3
_WITHOUT_BODY = frozenset({204, 304})


class Proxy:
    """
    Forwards requests over kept-alive connections.

    *idle_s* bounds the silence on either side, not the length of a call: an
    event stream may last as long as it says something that often.
    """

    def __init__(self, resolver: Resolver, accounting: Accounting, *, version: str, idle_s: float = 300.0) -> None:
        self._resolver = resolver
        self._accounting = accounting
        self._idle_s = idle_s
        self._agent = f"jangada-gateway/{version}"
        self._served_by = f"jangada/{version}"
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the connection pool; to be called on the event loop that will use it."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30, use_dns_cache=False),
            # One client's cookies must never travel with another's request.
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=self._idle_s),
        )

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    async def forward(
        self, request: BaseRequest, function: FunctionDeployment, target: str, *, prefix: str | None
    ) -> web.StreamResponse:
        """
        Send *request* to a replica of *function* as *target* (raw path and query) and stream the answer.

        *prefix* is what was taken from the path, None when nothing was. Where the
        function cannot answer, the answer is a `refuse` one: 502, 503 or 504.
        """
        account = self._accounting.begin(function.qualified_name)
        started = time.monotonic()
        code = CLIENT_LEFT
        try:
            response = await self._with_replica(request, function, target, prefix)
            code = response.status
            return response
        finally:
            self._accounting.end(account, code, time.monotonic() - started)

    async def _with_replica(
        self, request: BaseRequest, function: FunctionDeployment, target: str, prefix: str | None
    ) -> web.StreamResponse:
        problem = prefix is None

        def no(kind: Refusal, detail: str) -> web.StreamResponse:
            return refuse(request, kind, detail, problem=problem)

        headers = request_headers(request, prefix, self._agent)
        body = RequestBody(request, self._idle_s)
        for _ in range(_CONNECT_TRIES):
            try:
                replica = await self._resolver.choose(function)
            except NoReplicaError as error:
                return no(refusals.OVERLOADED, f"{error}; try again")
            try:
                return await self._call(request, replica, target, headers, body)
            except aiohttp.ClientConnectorError:
                # Nothing was sent, so another replica may have it whatever the method is.
                self._resolver.suspect(replica)
            except aiohttp.WSServerHandshakeError as error:
                return no(refusals.BAD_UPSTREAM, f"{function.service} opens no WebSocket: it answered {error.status}")
            except (aiohttp.ClientError, TimeoutError) as error:
                if body.is_stalled:
                    return no(refusals.SLOW_REQUEST, f"no byte of the body came for {self._idle_s:.0f} s")
                if not isinstance(error, TimeoutError):
                    return no(refusals.BAD_UPSTREAM, f"{function.service} closed the connection without an answer")
                return no(refusals.UPSTREAM_TIMEOUT, f"{function.service} said nothing for {self._idle_s:.0f} s")
        return no(refusals.OVERLOADED, f"can't reach {function.service}; try again")

    async def _call(
        self, request: BaseRequest, replica: Replica, target: str, headers: CIMultiDict[str], body: RequestBody
    ) -> web.StreamResponse:
        if self._session is None:
            raise RuntimeError("the proxy is not open")
        replica.in_flight += 1
        try:
            if wants_websocket(request):
                return await bridge(self._session, request, URL(replica.address + target, encoded=True), headers)
            async with self._session.request(
                request.method,
                # `encoded`: %2F stays %2F, dots and doubled slashes stay.
                URL(replica.address + target, encoded=True),
                headers=headers,
                data=body.send(),
                allow_redirects=False,
            ) as upstream:
                return await self._answer(request, upstream)
        finally:
            replica.in_flight -= 1

    async def _answer(self, request: BaseRequest, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        headers = response_headers(request, upstream.headers, self._served_by)
        length = upstream.content_length
        if upstream.status not in _WITHOUT_BODY and length != 0:
            # As OpenFaaS has it: a body that the function gave no type has the request's.
            headers.setdefault("Content-Type", request.headers.get("Content-Type") or "text/plain")
        if length is not None and length <= _SMALL_BYTES and request.method != "HEAD":
            # Read whole before a byte is sent: a function that dies here still gives a clean 502.
            body = await upstream.read()
            return web.Response(status=upstream.status, reason=upstream.reason, headers=headers, body=body)
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=headers)
        try:
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            # The status is out already. An aborted connection is the one way left to say "incomplete".
            if request.transport is not None:
                request.transport.abort()
        return response

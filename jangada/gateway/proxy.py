"""
The hop: listens, and passes each request to a replica as it came, and the answer back as it flows.

What is not an invocation is handed to the server of the gateway's own routes, with
its connection: that one answers it and closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable

from jangada.gateway.accounting import Accounting
from jangada.gateway.http1 import RequestHead
from jangada.gateway.proxy_client import Client
from jangada.gateway.proxy_upstream import Pool
from jangada.gateway.resolver import Resolver

_SWEEP_S = 1.0
_BACKLOG = 1024
_OF_THE_CONNECTION = frozenset({b"connection", b"keep-alive", b"upgrade"})


class Proxy:
    """
    What all connections share.

    *idle_s* bounds the silence on either side, not the length of a call: an
    event stream may last as long as it says something that often.
    """

    def __init__(
        self,
        resolver: Resolver,
        accounting: Accounting,
        *,
        version: str,
        idle_s: float = 300.0,
    ) -> None:
        self.resolver = resolver
        self.accounting = accounting
        self.idle_s = idle_s
        self.agent = f"jangada-gateway/{version}".encode()
        self.served_by = f"jangada/{version}".encode()
        self.clock = time.monotonic
        self.pool = Pool(self.clock)
        self.clients: set[Client] = set()
        self.is_draining = False
        self._own_routes: Callable[[], asyncio.Protocol] | None = None
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self, listening: socket.socket, own_routes: Callable[[], asyncio.Protocol]) -> None:
        """
        Serve on *listening*, on the event loop that runs.

        *own_routes* makes the protocol that a connection gets for a request that is none of ours.
        """
        self._own_routes = own_routes
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Client(self), sock=listening, backlog=_BACKLOG)
        self._sweeping = loop.create_task(self._sweep())

    async def drain(self, grace_s: float) -> None:
        """Stop listening, and wait at most *grace_s* for the requests in hand."""
        self.is_draining = True
        if self._server is not None:
            self._server.close()
        for client in list(self.clients):
            client.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while any(client.is_busy for client in self.clients):
                    await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Break off what is left and close all connections."""
        for client in list(self.clients):
            client.end()
        self.pool.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        # Once more through the event loop, which closes what was told to close.
        await asyncio.sleep(0)

    def hand_over(self, transport: asyncio.Transport, head: RequestHead, following: bytes) -> None:
        """
        Give the connection away with the request that came on it.

        Its connection headers are replaced by ``close``: who comes back for a function gets a new connection.
        """
        fields = b"".join(b"%b: %b\r\n" % field for field in head.fields if field[0].lower() not in _OF_THE_CONNECTION)
        version = b"1" if head.is_11 else b"0"
        line = b"%b %b HTTP/1.%b\r\n" % (head.method, head.target, version)
        if self._own_routes is None:
            raise RuntimeError("the proxy is not started")
        protocol = self._own_routes()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(b"%b%bConnection: close\r\n\r\n%b" % (line, fields, following))

    async def _sweep(self) -> None:
        every_s = max(0.05, min(_SWEEP_S, self.idle_s / 4))
        while True:
            await asyncio.sleep(every_s)
            now = self.clock()
            for client in list(self.clients):
                client.sweep(now)
            self.pool.sweep(now)

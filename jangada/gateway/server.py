"""The gateway put together: a listening socket, the routes, the proxy, and the provider it owns."""

from __future__ import annotations

import socket
from collections.abc import Awaitable

from aiohttp import web
from aiohttp.web_request import BaseRequest

from jangada.gateway import refusal as refusals
from jangada.gateway.accounting import Accounting
from jangada.gateway.asynchronous import Asynchronous
from jangada.gateway.headers import CALL_ID, mark
from jangada.gateway.listening import MAX_LINE_BYTES, HttpServer
from jangada.gateway.provider import StackProvider
from jangada.gateway.proxy import Proxy
from jangada.gateway.refusal import refuse
from jangada.gateway.resolver import Resolver
from jangada.gateway.routes import ROUTES, Call, raw_path
from jangada.gateway.stack import StackFunction
from jangada.logs import get_logger

log = get_logger(part="gateway")


class Gateway:
    """What the routes work with. `start` and `stop` run on one event loop."""

    def __init__(
        self,
        provider: StackProvider,
        *,
        version: str,
        asynchronous: Asynchronous | None = None,
        idle_s: float = 300.0,
        wait_s: float = 5.0,
        drain_s: float = 10.0,
    ) -> None:
        self.provider = provider
        self.version = version
        self.asynchronous = asynchronous
        self.accounting = Accounting()
        self.resolver = Resolver(provider, wait_s=wait_s)
        self.proxy = Proxy(self.resolver, self.accounting, version=version, idle_s=idle_s)
        self._drain_s = drain_s
        self._runner: web.ServerRunner | None = None

    async def start(self, listening: socket.socket) -> None:
        """Serve on *listening* and let the provider bring the functions up; returns at once."""
        await self.proxy.open()
        # A request body stays as it was sent, also when it is compressed; a client that leaves ends its handler.
        server = HttpServer(
            self._handle,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            keepalive_timeout=75,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
        )
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=self._drain_s)
        await self._runner.setup()
        await web.SockSite(self._runner, listening, backlog=1024).start()
        await self.provider.start()
        if self.asynchronous is not None:
            await self.asynchronous.start(_own_address(listening))

    async def stop(self) -> None:
        """Make no more calls, stop listening, let what is in flight end within the grace, then stop the functions."""
        if self.asynchronous is not None:
            await self.asynchronous.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        await self.provider.stop()
        await self.proxy.close()

    def owner(self, path: str) -> StackFunction | None:
        """The function whose public route *path* lies under: the longest of ``/a/b`` and ``/a`` that is claimed."""
        segments = path.split("/", 3)
        for depth in (3, 2):
            route = "/".join(segments[:depth])
            if len(segments) < depth:
                continue
            for function in self.provider.functions():
                if route in function.routes:
                    return function
        return None

    async def _handle(self, request: BaseRequest) -> web.StreamResponse:
        mark(request)
        path = raw_path(request)
        allowed: set[str] = set()
        for route in ROUTES:
            match = route.pattern.fullmatch(path)
            if match is None:
                continue
            if request.method in route.methods:
                return await self._answer(route.handler(Call(self, request, match)), request)
            allowed |= route.methods
        kind = refusals.METHOD_NOT_ALLOWED if allowed else refusals.UNKNOWN_PATH
        response = refuse(request, kind, f"{request.method} {path}: {kind.title.lower()}", problem=True)
        if allowed:
            response.headers["Allow"] = ", ".join(sorted(allowed))
        return response

    async def _answer(self, handling: Awaitable[web.StreamResponse], request: BaseRequest) -> web.StreamResponse:
        try:
            return await handling
        except Exception:
            log.exception("gateway.unhandled", path=raw_path(request), call_id=request[CALL_ID])
            return refuse(request, refusals.INTERNAL, "the gateway failed; its log says more", problem=True)


def _own_address(listening: socket.socket) -> str:
    """Where the gateway reaches itself."""
    host, port = listening.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

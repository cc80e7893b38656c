"""The gateway put together: listening sockets, routes, proxy, and the provider, state and scaler behind them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path

from aiohttp import web
from aiohttp.web_request import BaseRequest

from jangada.gateway import refusal as refusals
from jangada.gateway import system_api
from jangada.gateway.accounting import Accounting
from jangada.gateway.asynchronous import Asynchronous
from jangada.gateway.autoscaler import Autoscaler
from jangada.gateway.basic_auth import Credentials
from jangada.gateway.control import Control
from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.headers import CALL_ID, mark
from jangada.gateway.http1 import MAX_HEAD_BYTES
from jangada.gateway.listening import HttpServer
from jangada.gateway.metrics import ControlCalls, MetricsServer, render
from jangada.gateway.provider import Provider
from jangada.gateway.proxy import Proxy
from jangada.gateway.refusal import refuse
from jangada.gateway.resolver import Resolver
from jangada.gateway.route import Call, Route
from jangada.gateway.routes import GUARDED_ROUTES, ROUTES, clean_path, invocation_methods, is_guarded, raw_path
from jangada.gateway.state import GatewayState
from jangada.gateway.state_memory import MemoryState
from jangada.logs import get_logger

log = get_logger(part="gateway")


class Gateway:
    """
    What the routes work with. `start` and `stop` run on one event loop.

    *stack* is deployed from the start; its functions may use the secrets that lie
    in *secrets_dir*. Without *credentials* ``/system`` is open to everyone.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        version: str,
        state: GatewayState | None = None,
        stack: Sequence[FunctionDeployment] = (),
        secrets_dir: Path | None = None,
        credentials: Credentials | None = None,
        asynchronous: Asynchronous | None = None,
        idle_s: float = 300.0,
        wait_s: float = 5.0,
        drain_s: float = 10.0,
    ) -> None:
        self.provider = provider
        self.version = version
        self.asynchronous = asynchronous
        self.stopping = asyncio.Event()
        self.accounting = Accounting()
        self._state = state if state is not None else MemoryState()
        self.control = Control(self._state, provider, stack=stack, secrets_dir=secrets_dir)
        self.resolver = Resolver(self.control, provider, wait_s=wait_s)
        self.proxy = Proxy(self.resolver, self.accounting, version=version, idle_s=idle_s)
        self._own_routes: HttpServer | None = None
        self._autoscaler = Autoscaler(self.control, provider, self.accounting)
        self._calls = ControlCalls()
        self._metrics = MetricsServer(self._metrics_page)
        self._credentials = credentials
        self._drain_s = drain_s

    async def start(self, listening: socket.socket, metrics: socket.socket | None = None) -> None:
        """
        Serve on *listening*, Prometheus on *metrics*, and bring the functions up; returns before they are ready.

        Raises what the provider's start raises.
        """
        await self.provider.start()
        await self.control.start()
        await self._autoscaler.start()
        # A request body stays as it was sent, also when it is compressed; a client that leaves ends its handler.
        self._own_routes = HttpServer(
            self._handle,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            # The proxy had its say on sizes before.
            max_line_size=MAX_HEAD_BYTES,
            max_field_size=MAX_HEAD_BYTES,
        )
        await self.proxy.start(listening, self._own_routes)
        if metrics is not None:
            await self._metrics.start(metrics)
        if self.asynchronous is not None:
            await self.asynchronous.start(_own_address(listening))

    async def stop(self) -> None:
        """Make no more calls, stop listening, let what is in flight end within the grace, then let the functions go."""
        self.stopping.set()
        if self.asynchronous is not None:
            await self.asynchronous.stop()
        await self._drain()
        await self._metrics.stop()
        await self._autoscaler.stop()
        await self.control.stop()
        await self.provider.stop()
        await self.proxy.close()
        await self._state.close()

    async def _drain(self) -> None:
        draining = [self.proxy.drain(self._drain_s)]
        if self._own_routes is not None:
            self._own_routes.pre_shutdown()
            draining.append(self._own_routes.shutdown(self._drain_s))
        await asyncio.gather(*draining)

    async def _handle(self, request: BaseRequest) -> web.StreamResponse:
        mark(request)
        path = raw_path(request)
        if is_guarded(path) or (path.startswith("//") and is_guarded(clean_path(path))):
            return await self._answer(self._guarded(request, path), request)
        for route in ROUTES:
            if (match := route.pattern.fullmatch(path)) is not None and request.method in route.methods:
                return await self._answer(route.handler(Call(self, request, match)), request)
        allowed = _allowed(ROUTES, path) | invocation_methods(path)
        if path.startswith(("/function/", "/async-function/")):
            return _router_says(allowed)
        kind = refusals.METHOD_NOT_ALLOWED if allowed else refusals.UNKNOWN_PATH
        response = refuse(request, kind, f"{request.method} {path}: {kind.title.lower()}", problem=True)
        if allowed:
            response.headers["Allow"] = ", ".join(sorted(allowed))
        return response

    async def _guarded(self, request: BaseRequest, path: str) -> web.StreamResponse:
        cleaned = clean_path(path)
        if cleaned != path:
            _, sign, query = request.raw_path.partition("?")
            return web.Response(status=301, headers={"Location": cleaned + sign + query})
        for route in GUARDED_ROUTES:
            match = route.pattern.fullmatch(path)
            if match is None or request.method not in route.methods:
                continue
            if self._credentials is not None and not self._credentials.accept(request.headers.get("Authorization")):
                return system_api.unauthorized()
            began, response = time.monotonic(), None
            try:
                response = await route.handler(Call(self, request, match))
            except Exception as error:  # noqa: BLE001 - what nobody expects is raised again
                response = system_api.failure(error)
            finally:
                code = response.status if response is not None else 500
                self._calls.observe(request.method, route.pattern.pattern, code, time.monotonic() - began)
            return response
        return _router_says(_allowed(GUARDED_ROUTES, path))

    async def _answer(self, handling: Awaitable[web.StreamResponse], request: BaseRequest) -> web.StreamResponse:
        try:
            return await handling
        except Exception:
            log.exception("gateway.unhandled", path=raw_path(request), call_id=request[CALL_ID])
            problem = not raw_path(request).startswith("/system/")
            return refuse(request, refusals.INTERNAL, "the gateway failed; its log says more", problem=problem)

    def _metrics_page(self) -> str:
        replicas = {one.deployment.qualified_name: one.replicas for one in self.control.all()}
        return render(self.accounting, replicas, self._calls)


def _allowed(routes: Sequence[Route], path: str) -> set[str]:
    return {method for route in routes if route.pattern.fullmatch(path) for method in route.methods}


def _router_says(allowed: set[str]) -> web.Response:
    """To a path that OpenFaaS would know, or to one that it would not, in its words [contract §1.1]."""
    if not allowed:
        return web.Response(status=404, text="404 page not found\n")
    return web.Response(status=405, headers={"Allow": ", ".join(sorted(allowed))})


def _own_address(listening: socket.socket) -> str:
    """Where the gateway reaches itself."""
    host, port = listening.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

"""``/metrics`` in Prometheus' text format, with OpenFaaS' names and labels [contract §3], on a port of its own."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator

from aiohttp import web
from aiohttp.web_request import BaseRequest

from jangada.gateway.accounting import BUCKETS_S, Accounting, CodeAccount

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ControlCalls:
    """Counts the requests to ``/system``: OpenFaaS' gateway passes them to its provider, which counts them so."""

    def __init__(self) -> None:
        self._calls: dict[tuple[int, str, str], CodeAccount] = {}

    def observe(self, method: str, pattern: str, code: int, seconds: float) -> None:
        """One request that the route with *pattern* answered."""
        path = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", pattern).removesuffix("/?")
        self._calls.setdefault((code, method, path), CodeAccount()).observe(seconds)

    def lines(self) -> Iterator[str]:
        """Their part of the page."""
        yield "# HELP provider_http_requests_total Requests for the control of functions that were answered."
        yield "# TYPE provider_http_requests_total counter"
        for (code, method, path), ended in sorted(self._calls.items()):
            yield f'provider_http_requests_total{{code="{code}",method="{method}",path="{path}"}} {ended.count}'
        yield "# HELP provider_http_request_duration_seconds Seconds that requests for control took."
        yield "# TYPE provider_http_request_duration_seconds histogram"
        for (code, method, path), ended in sorted(self._calls.items()):
            labels = f'code="{code}",method="{method}",path="{path}"'
            yield from _histogram("provider_http_request_duration_seconds", labels, ended)


def render(accounting: Accounting, replicas: dict[str, int], calls: ControlCalls) -> str:
    """The whole page; *replicas* by ``name.namespace``."""
    return "\n".join((*_lines(accounting, replicas), *calls.lines())) + "\n"


def _lines(accounting: Accounting, replicas: dict[str, int]) -> Iterator[str]:
    accounts = sorted(accounting.accounts.items())
    yield "# HELP gateway_function_invocation_total Function invocations that ended."
    yield "# TYPE gateway_function_invocation_total counter"
    for function, account in accounts:
        for code, ended in sorted(account.codes.items()):
            yield f'gateway_function_invocation_total{{code="{code}",function_name="{function}"}} {ended.count}'
    yield "# HELP gateway_function_invocation_started Function invocations that began."
    yield "# TYPE gateway_function_invocation_started counter"
    for function, account in accounts:
        yield f'gateway_function_invocation_started{{function_name="{function}"}} {account.started}'
    yield "# HELP gateway_functions_seconds Seconds that function invocations took."
    yield "# TYPE gateway_functions_seconds histogram"
    for function, account in accounts:
        for code, ended in sorted(account.codes.items()):
            yield from _histogram("gateway_functions_seconds", f'code="{code}",function_name="{function}"', ended)
    yield "# HELP gateway_service_count Replicas that a function shall have."
    yield "# TYPE gateway_service_count gauge"
    for function, count in sorted(replicas.items()):
        yield f'gateway_service_count{{function_name="{function}"}} {count}'


def _histogram(name: str, labels: str, ended: CodeAccount) -> Iterator[str]:
    below = 0
    for bound, count in zip(BUCKETS_S, ended.buckets, strict=False):
        below += count
        yield f'{name}_bucket{{{labels},le="{bound:g}"}} {below}'
    yield f'{name}_bucket{{{labels},le="+Inf"}} {ended.count}'
    yield f"{name}_sum{{{labels}}} {ended.seconds:.6f}"
    yield f"{name}_count{{{labels}}} {ended.count}"


class MetricsServer:
    """Serves ``/metrics``, as *page* says it, and ``/healthz`` on a port of its own. No credential is asked for."""

    def __init__(self, page: Callable[[], str]) -> None:
        self._page = page
        self._runner: web.ServerRunner | None = None

    async def start(self, listening: socket.socket) -> None:
        """Serve on *listening*."""
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), handle_signals=False)
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: BaseRequest) -> web.StreamResponse:
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405)
        if request.path == "/metrics":
            return web.Response(body=self._page().encode(), headers={"Content-Type": CONTENT_TYPE})
        if request.path == "/healthz":
            return web.Response(text="OK")
        return web.Response(status=404, text="404 page not found\n")

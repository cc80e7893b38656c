"""Every path that the gateway answers, in one list, first match wins."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web
from aiohttp.web_request import BaseRequest

from jangada.gateway import refusal as refusals
from jangada.gateway.asynchronous_routes import ASYNC_ROUTES
from jangada.gateway.refusal import refuse

if TYPE_CHECKING:
    from jangada.gateway.server import Gateway


class Call(NamedTuple):
    """One request on its way to a handler; *match* is its route's."""

    gateway: Gateway
    request: BaseRequest
    match: re.Match[str]


Handler = Callable[[Call], Awaitable[web.StreamResponse]]

_READ = frozenset({"GET", "HEAD"})
_INVOKE = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Route:
    """*pattern* is matched against the whole raw path, query left out."""

    methods: frozenset[str]
    pattern: re.Pattern[str]
    handler: Handler


async def healthz(_: Call) -> web.StreamResponse:
    """The gateway itself lives."""
    return web.Response()


async def readyz(call: Call) -> web.StreamResponse:
    """200 when every function has a ready replica, else 503 naming those that have none."""
    provider = call.gateway.provider
    missing = [function.name for function in provider.functions() if not provider.ready(function)]
    body = json.dumps({"status": "starting" if missing else "ready", "missing": missing}).encode()
    headers = {"Content-Type": "application/json"} | ({"Retry-After": "1"} if missing else {})
    return web.Response(status=503 if missing else 200, body=body, headers=headers)


async def index(call: Call) -> web.StreamResponse:
    """What is here: JSON, or a page for who asks for HTML."""
    functions = {
        function.name: {"routes": list(function.routes), "ready": bool(call.gateway.provider.ready(function))}
        for function in call.gateway.provider.functions()
    }
    here = {"name": "jangada", "version": call.gateway.version, "openapi": "/v1/openapi.json", "functions": functions}
    if "text/html" not in call.request.headers.get("Accept", ""):
        return web.Response(body=json.dumps(here, indent=2).encode() + b"\n", content_type="application/json")
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(', '.join(facts['routes']))}</td>"  # type: ignore[arg-type]
        f"<td>{'ready' if facts['ready'] else 'starting'}</td></tr>"
        for name, facts in functions.items()
    )
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Jangada</title>"
        "<style>body{font:16px system-ui;margin:3rem auto;max-width:44rem}td{padding:.2rem 1rem .2rem 0}</style>"
        f"<h1>Jangada {html.escape(call.gateway.version)}</h1><p>The API is described in "
        f"<a href=/v1/openapi.json>/v1/openapi.json</a>.</p><table>{rows}</table></html>"
    )
    return web.Response(text=page, content_type="text/html")


async def invoke(call: Call) -> web.StreamResponse:
    """``/function/<name>[.<namespace>][/rest]``: the rest goes to the function, byte for byte."""
    function = call.gateway.resolver.function(call.match["name"])
    if function is None:
        detail = f"error finding function {call.match['name']}: not found"
        return refuse(call.request, refusals.UNKNOWN_FUNCTION, detail, problem=False)
    target = (call.match["rest"] or "/") + _query(call.request)
    return await call.gateway.proxy.forward(call.request, function, target, prefix=f"/function/{call.match['name']}")


async def public(call: Call) -> web.StreamResponse:
    """``/v1/<resource>…`` and other paths that a function claims in ``stack.yml``; the path is passed on whole."""
    path = call.match.group()
    function = call.gateway.owner(path)
    if function is None:
        return refuse(call.request, refusals.UNKNOWN_PATH, f"nothing is at {path}", problem=True)
    return await call.gateway.proxy.forward(call.request, function, path + _query(call.request), prefix=None)


ROUTES: tuple[Route, ...] = (
    Route(_READ, re.compile(r"/healthz"), healthz),
    Route(_READ, re.compile(r"/readyz"), readyz),
    Route(_READ, re.compile(r"/"), index),
    Route(_INVOKE, re.compile(r"/function/(?P<name>[-a-zA-Z_0-9.]+)(?P<rest>/.*)?", re.DOTALL), invoke),
    *(Route(methods, pattern, handler) for methods, pattern, handler in ASYNC_ROUTES),
    Route(_INVOKE, re.compile(r"/.*", re.DOTALL), public),
)


def raw_path(request: BaseRequest) -> str:
    """The path as the client wrote it, without query; of an absolute-form target, what follows the authority."""
    target = request.raw_path.partition("?")[0]
    if target.startswith(("http://", "https://")):
        target = "/" + target.split("/", 3)[3] if target.count("/") >= 3 else "/"
    return target


def _query(request: BaseRequest) -> str:
    _, mark, query = request.raw_path.partition("?")
    return mark + query

"""Every path that the gateway answers, in one list, first match wins."""

from __future__ import annotations

import html
import json
import re

from aiohttp import web
from aiohttp.web_request import BaseRequest

from jangada.gateway import system_api, system_logs
from jangada.gateway.asynchronous_routes import ASYNC_ROUTES
from jangada.gateway.http1 import RequestHead
from jangada.gateway.route import Call, Handler, Invocation, Route

_READ = frozenset({"GET", "HEAD"})
_INVOKE = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_INVOKE_BYTES = frozenset(method.encode() for method in _INVOKE)


async def healthz(_: Call) -> web.StreamResponse:
    """The gateway itself lives."""
    return web.Response()


async def readyz(call: Call) -> web.StreamResponse:
    """200 when every function of the stack has a ready replica, else 503 naming those that have none."""
    provider, control = call.gateway.provider, call.gateway.control
    missing = [one.service for one in control.needed() if not provider.replicas(*one.key)]
    if not control.needed() and not control.is_loaded:
        missing = ["state"]
    body = json.dumps({"status": "starting" if missing else "ready", "missing": missing}).encode()
    headers = {"Content-Type": "application/json"} | ({"Retry-After": "1"} if missing else {})
    return web.Response(status=503 if missing else 200, body=body, headers=headers)


async def index(call: Call) -> web.StreamResponse:
    """What is here: JSON, or a page for who asks for HTML."""
    functions = {
        one.deployment.service: {
            "routes": list(one.deployment.routes),
            "ready": bool(call.gateway.provider.replicas(*one.deployment.key)),
        }
        for one in call.gateway.control.all()
        if one.deployment.routes
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


async def console(call: Call) -> web.StreamResponse:
    """``/ui``: to the console, when a function claims it, else to the index."""
    location = "/console" if call.gateway.control.owner("/console") is not None else "/"
    return web.Response(status=307, headers={"Location": location})


_NAME = r"(?P<name>[-a-zA-Z_0-9.]+)"


def _guarded(methods: str, pattern: str, handler: Handler) -> Route:
    return Route(frozenset({methods}), re.compile(pattern), handler)


GUARDED_ROUTES: tuple[Route, ...] = (
    _guarded("GET", r"/system/functions", system_api.list_functions),
    _guarded("POST", r"/system/functions", system_api.deploy_function),
    _guarded("PUT", r"/system/functions", system_api.update_function),
    _guarded("DELETE", r"/system/functions", system_api.remove_function),
    _guarded("GET", rf"/system/function/{_NAME}", system_api.describe_function),
    _guarded("POST", rf"/system/scale-function/{_NAME}", system_api.scale_function),
    _guarded("GET", r"/system/secrets", system_api.list_secrets),
    _guarded("POST", r"/system/secrets", system_api.create_secret),
    _guarded("PUT", r"/system/secrets", system_api.update_secret),
    _guarded("DELETE", r"/system/secrets", system_api.remove_secret),
    _guarded("GET", r"/system/namespaces", system_api.list_namespaces),
    _guarded("POST", r"/system/namespace/?", system_api.create_namespace),
    _guarded("GET", rf"/system/namespace/{_NAME}", system_api.get_namespace),
    _guarded("PUT", rf"/system/namespace/{_NAME}", system_api.update_namespace),
    _guarded("DELETE", rf"/system/namespace/{_NAME}", system_api.remove_namespace),
    _guarded("GET", r"/system/info", system_api.info),
    _guarded("GET", r"/system/telemetry", system_api.telemetry),
    _guarded("GET", r"/system/logs", system_logs.logs),
    _guarded("POST", r"/system/alert", system_api.alert),
    _guarded("GET", r"/ui(/.*)?", console),
)
"""For who knows the password, when there is one."""

ROUTES: tuple[Route, ...] = (
    *(Route(methods, pattern, handler) for methods, pattern, handler in ASYNC_ROUTES),
    Route(_READ, re.compile(r"/healthz"), healthz),
    Route(_READ, re.compile(r"/readyz"), readyz),
    Route(_READ, re.compile(r"/"), index),
)
"""For everyone."""

_FUNCTION = re.compile(rf"/function/{_NAME}(?P<rest>/.*)?", re.DOTALL)
_OWN = frozenset({"/", "/healthz", "/readyz"})


def invocation_of(head: RequestHead) -> Invocation | None:
    """The call of a function that *head* is, if it is one; functions have their own guards."""
    if head.method not in _INVOKE_BYTES:
        return None
    target = head.target.decode("latin-1")
    path, mark, query = path_of(target).partition("?")
    if path.startswith("/function/"):
        found = _FUNCTION.fullmatch(path)
        if found is None:
            return None
        name = found["name"]
        rest = (found["rest"] or "/") + mark + query
        return Invocation(name, rest.encode("latin-1"), f"/function/{name}", is_public=False)
    if not _is_public(path):
        return None
    return Invocation(path, (path + mark + query).encode("latin-1"), None, is_public=True)


def invocation_methods(path: str) -> frozenset[str]:
    """The methods by which *path* is an invocation; none when it is not one."""
    return _INVOKE if _FUNCTION.fullmatch(path) or _is_public(path) else frozenset()


def _is_public(path: str) -> bool:
    return (
        path.startswith("/")
        and path not in _OWN
        and not path.startswith(("/function/", "/async-function/"))
        and not is_guarded(path)
        and not (path.startswith("//") and is_guarded(clean_path(path)))
    )


def is_guarded(path: str) -> bool:
    """Whether *path* is `GUARDED_ROUTES`' to answer."""
    return path.startswith(("/system/", "/ui/")) or path in {"/system", "/ui"}


def clean_path(path: str) -> str:
    """*path* without doubled slashes and dot segments; a slash at its end stays."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def raw_path(request: BaseRequest) -> str:
    """The path as the client wrote it, without query."""
    return path_of(request.raw_path).partition("?")[0]


def path_of(target: str) -> str:
    """Of a request's *target* in absolute form what follows the authority, else *target* itself."""
    if not target.startswith(("http://", "https://")):
        return target
    authority, slash, path = target.partition("://")[2].partition("/")
    sign, query = authority.partition("?")[1:]
    return slash + path if slash and not sign else "/" + sign + query + slash + path

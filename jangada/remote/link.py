"""
HTTPS calls of a joined node: one kept connection per thread at work, and a session that is renewed by signature.

A call is made once. Who calls has to live with a platform that is away anyway, and
repeats in its own time: `StoreUnavailableError` says that it should.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson
import urllib3
from urllib3.exceptions import HTTPError

from jangada.errors import (
    ConfigurationError,
    ForbiddenError,
    NotFoundError,
    StoreUnavailableError,
    UnauthenticatedError,
)
from jangada.remote.identity import NodeIdentity

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

CONNECT_S = 10.0
SILENCE_S = 20.0
"""How long an answer may take beyond what was asked for."""
_RENEW_BEFORE_S = 60.0
_AWAY = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONNECTIONS = 16

Reply = dict[str, Any]


class RefusedError(Exception):
    """Raised when the platform will not take what was sent, however often it is sent."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class NodeLink:
    """Calls of one node to its platform. Safe to use from several threads."""

    def __init__(self, identity: NodeIdentity, *, pool: urllib3.PoolManager | None = None) -> None:
        """Raises `ConfigurationError` for a `ca_file` that holds no certificates. *pool* makes the connections."""
        self.identity = identity
        self._pool = pool or _pool(identity)
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0

    def post(self, path: str, body: Mapping[str, Any], *, wait_s: float = 0.0) -> Reply:
        """Send JSON to ``/v1/nodes`` + *path* and read JSON; the answer may be *wait_s* late. Raises as `call`."""
        reply = self.call("POST", path, orjson.dumps(body), wait_s=wait_s)
        return {} if reply.status == 204 else _read(reply.data)

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
        stream: bool = False,
    ) -> BaseHTTPResponse:
        """
        One request as this node; its answer, below 400.

        With *stream* its bytes are to be read, and the answer closed, by the caller.
        Raises `StoreUnavailableError` when the platform is away or overloaded,
        `UnauthenticatedError` when it does not know this node (any more),
        `NotFoundError`, `ForbiddenError`, and `RefusedError` for all else.
        """
        reply = self._send(method, path, body, headers, wait_s, stream)
        if reply.status == 401:
            # The session may have ended early, as when the platform's secret was changed.
            self._forget_session()
            reply = self._send(method, path, body, headers, wait_s, stream)
        if reply.status < 400:
            return reply
        raise _error(reply)

    def join(self, body: Mapping[str, Any]) -> Reply:
        """Enrol with a join token, which this node has instead of a session. Raises as `call`."""
        reply = self._request("POST", "/join", orjson.dumps(body), {}, 0.0, stream=False)
        if reply.status >= 400:
            raise _error(reply)
        return _read(reply.data)

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.clear()

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None, wait_s: float, stream: bool
    ) -> BaseHTTPResponse:
        sent = {"Authorization": f"Bearer {self._session()}", **(headers or {})}
        return self._request(method, path, body, sent, wait_s, stream=stream)

    def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], wait_s: float, *, stream: bool
    ) -> BaseHTTPResponse:
        sent = {"Content-Type": "application/json", "User-Agent": "jangada-node", **headers}
        try:
            return self._pool.request(
                method,
                f"{self.identity.url}/v1/nodes{path}",
                body=body,
                headers=sent,
                timeout=urllib3.Timeout(connect=CONNECT_S, read=wait_s + SILENCE_S),
                retries=False,
                redirect=False,
                preload_content=not stream,
            )
        except HTTPError as error:
            raise StoreUnavailableError(f"the platform does not answer: {_why(error)}") from error

    def _session(self) -> str:
        with self._lock:
            if time.monotonic() < self._renew_at:
                return self._token
            path = f"/{self.identity.node_id}"
            asked = self._request("POST", f"{path}/challenges", b"{}", {}, 0.0, stream=False)
            if asked.status >= 400:
                raise _error(asked)
            challenge = str(_read(asked.data)["challenge"])
            answer = orjson.dumps({"challenge": challenge, "signature": self.identity.sign(challenge)})
            given = self._request("POST", f"{path}/sessions", answer, {}, 0.0, stream=False)
            if given.status >= 400:
                raise _error(given)
            session = _read(given.data)
            self._token = str(session["access_token"])
            self._renew_at = time.monotonic() + float(session["expires_in"]) - _RENEW_BEFORE_S
            return self._token

    def _forget_session(self) -> None:
        with self._lock:
            self._renew_at = 0.0


def _pool(identity: NodeIdentity) -> urllib3.PoolManager:
    options: dict[str, Any] = {"maxsize": _CONNECTIONS, "block": False}
    if identity.url.startswith("https:"):
        try:
            context = ssl.create_default_context(cafile=identity.ca_file)
        except OSError as error:
            raise ConfigurationError(f"{identity.ca_file}: not certificates in PEM ({error})") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        options["ssl_context"] = context
    proxy = _proxy(identity.url)
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for *url*, as curl reads it."""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    if urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(scheme)


def _read(data: bytes) -> Reply:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        # A sign-in page of somebody's network, or a proxy that lost its upstream.
        raise StoreUnavailableError("the platform does not answer: expected JSON")
    return found


def _error(reply: BaseHTTPResponse) -> Exception:
    data = b""
    with contextlib.suppress(HTTPError):
        data = reply.data
    reply.release_conn()
    detail = _detail(data) or f"the platform answered {reply.status}"
    if reply.status in _AWAY:
        return StoreUnavailableError(detail)
    known: dict[int, Callable[[str], Exception]] = {401: UnauthenticatedError, 403: ForbiddenError, 404: NotFoundError}
    return known[reply.status](detail) if reply.status in known else RefusedError(reply.status, detail)


def _detail(data: bytes) -> str:
    with contextlib.suppress(orjson.JSONDecodeError):
        found = orjson.loads(data)
        if isinstance(found, dict):
            fields = [f"{one['pointer']}: {one['detail']}" for one in found.get("errors") or ()]
            return "; ".join([str(found.get("detail") or ""), *fields])
    return ""


def _why(error: HTTPError) -> str:
    reason = getattr(error, "reason", None) or error
    return f"{type(error).__name__}: {reason}"[:300]

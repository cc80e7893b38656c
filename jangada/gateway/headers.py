"""Which headers pass, which stay, which the gateway adds. Contract §1.5 and RFC 9110 §7.6.1."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping

from aiohttp import web
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict

CALL_ID = web.RequestKey("call_id", str)
START_TIME = web.RequestKey("start_time", str)
CALL_ID_IS_OURS = web.RequestKey("call_id_is_ours", bool)

HOP_BY_HOP = (
    "Connection",
    "Proxy-Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
)
# What a request may not strip by naming it in `Connection:`, else a client could take away what we vouch for.
_ALWAYS_FORWARDED = frozenset({"host", "content-length", "content-type", "authorization"})


def request_headers(request: BaseRequest, prefix: str | None, agent: str) -> CIMultiDict[str]:
    """
    What the function receives.

    *prefix* is the part of the path that was taken away; ours alone to say, so
    a client's own ``X-Forwarded-Prefix`` never passes.
    """
    headers = CIMultiDict(request.headers)
    _drop_hop_by_hop(headers)
    # The gateway answers `100-continue` itself: it is what the client is connected to.
    headers.popall("Expect", None)
    headers.popall("X-Forwarded-Prefix", None)
    if prefix is not None:
        headers["X-Forwarded-Prefix"] = prefix
    headers.setdefault("X-Call-Id", request[CALL_ID])
    headers.add("X-Start-Time", request[START_TIME])
    headers.setdefault("X-Forwarded-Host", request.headers.get("Host", ""))
    headers.setdefault("X-Forwarded-Proto", "http")
    headers.setdefault("X-Forwarded-For", peer_address(request))
    headers.setdefault("User-Agent", agent)
    return headers


def response_headers(request: BaseRequest, upstream: Mapping[str, str], served_by: str) -> CIMultiDict[str]:
    """What the client receives: the gateway's own headers, each replaced by a same-named one of the function."""
    headers: CIMultiDict[str] = CIMultiDict(upstream)
    _drop_hop_by_hop(headers)
    if request[CALL_ID_IS_OURS]:
        headers.setdefault("X-Call-Id", request[CALL_ID])
    headers.setdefault("X-Start-Time", request[START_TIME])
    headers.setdefault("X-Served-By", served_by)
    headers.setdefault("Server", "jangada")
    return headers


def mark(request: BaseRequest) -> None:
    """Give *request* its call id (a UUIDv4 unless the client sent one) and its start in nanoseconds since 1970."""
    sent = request.headers.get("X-Call-Id")
    request[CALL_ID] = sent or str(uuid.uuid4())
    request[CALL_ID_IS_OURS] = not sent
    request[START_TIME] = str(time.time_ns())


def peer_address(request: BaseRequest) -> str:
    """``ip:port`` of who is connected, an IPv6 address in brackets; empty when unknown."""
    peer = request.get_extra_info("peername")
    if not isinstance(peer, tuple):
        return ""
    host, port = peer[0], peer[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _drop_hop_by_hop(headers: CIMultiDict[str]) -> None:
    for value in headers.popall("Connection", ()):
        for named in value.split(","):
            name = named.strip()
            if name.lower() not in _ALWAYS_FORWARDED:
                headers.popall(name, None)
    for name in HOP_BY_HOP:
        headers.popall(name, None)

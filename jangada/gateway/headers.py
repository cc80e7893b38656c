"""Which headers pass, which stay, which the gateway adds. Contract §1.5 and RFC 9110 §7.6.1."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple

from aiohttp import web
from aiohttp.web_request import BaseRequest

from jangada.gateway.http1 import AnswerHead, Fields, RequestHead

CALL_ID = web.RequestKey("call_id", str)
START_TIME = web.RequestKey("start_time", str)

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
_HOP_BY_HOP = frozenset(name.lower().encode() for name in HOP_BY_HOP)
# The length is written anew from what was read. `100-continue` the gateway answers itself, being what the client is
# connected to. The prefix is ours alone to say.
_NOT_SENT = _HOP_BY_HOP | {b"content-length", b"expect", b"x-forwarded-prefix"}
_NOT_ANSWERED = _HOP_BY_HOP | {b"content-length"}
# What a request may not strip by naming it in `Connection:`, else a client could take away what we vouch for.
_ALWAYS_FORWARDED = frozenset({b"host", b"content-length", b"content-type", b"authorization"})
_OF_THE_CONNECTION = frozenset({b"close", b"keep-alive", b""})


class Marks(NamedTuple):
    """What a request is known by: a UUIDv4 unless the client sent an id, and nanoseconds since 1970."""

    call_id: str
    is_ours: bool
    start_time: str


def new_marks(sent: str | None) -> Marks:
    """*sent* is the client's ``X-Call-Id``."""
    return Marks(sent or _new_id(next(_ENTROPY)), not sent, str(time.time_ns()))


def mark(request: BaseRequest) -> None:
    """Give *request* its marks."""
    marks = new_marks(request.headers.get("X-Call-Id"))
    request[CALL_ID], request[START_TIME] = marks.call_id, marks.start_time


def request_head(
    request: RequestHead, target: bytes, marks: Marks, *, prefix: str | None, agent: bytes, peer: bytes, upgrade: bytes
) -> bytes:
    """
    What the function receives, up to its body.

    *prefix* is the part of the path that was taken away, *upgrade* the protocol
    that the connection shall turn to.
    """
    lines = [b"%b %b HTTP/1.1\r\n" % (request.method, target)]
    present = _copy(request.fields, _dropped(_NOT_SENT, request.connection), lines)
    host = request.first(b"host")
    if not host:
        lines.append(b"Host: localhost\r\n" if host is None else b"")
    if marks.is_ours:
        lines.append(b"X-Call-Id: %b\r\n" % marks.call_id.encode("latin-1"))
    lines.append(b"X-Start-Time: %b\r\n" % marks.start_time.encode())
    if prefix is not None:
        lines.append(b"X-Forwarded-Prefix: %b\r\n" % prefix.encode("latin-1"))
    if b"x-forwarded-host" not in present:
        lines.append(b"X-Forwarded-Host: %b\r\n" % (host or b""))
    if b"x-forwarded-proto" not in present:
        lines.append(b"X-Forwarded-Proto: http\r\n")
    if b"x-forwarded-for" not in present:
        lines.append(b"X-Forwarded-For: %b\r\n" % peer)
    if b"user-agent" not in present:
        lines.append(b"User-Agent: %b\r\n" % agent)
    if upgrade:
        lines.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade)
    if request.chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    elif request.length is not None:
        lines.append(b"Content-Length: %d\r\n" % request.length)
    lines.append(b"\r\n")
    return b"".join(lines)


def answer_head(
    answer: AnswerHead, marks: Marks, *, served_by: bytes, content_type: bytes, framing: bytes, upgrade: bytes = b""
) -> bytes:
    """
    What the client receives: the gateway's own headers, each replaced by a same-named one of the function.

    *content_type* is for a body that the function gave none, *framing* the lines
    that say where body and connection end.
    """
    lines = [b"HTTP/1.1 %d %b\r\n" % (answer.status, answer.reason)]
    present = _copy(answer.fields, _dropped(_NOT_ANSWERED, answer.connection), lines)
    if marks.is_ours and b"x-call-id" not in present:
        lines.append(b"X-Call-Id: %b\r\n" % marks.call_id.encode())
    if b"x-start-time" not in present:
        lines.append(b"X-Start-Time: %b\r\n" % marks.start_time.encode())
    if b"x-served-by" not in present:
        lines.append(b"X-Served-By: %b\r\n" % served_by)
    if b"server" not in present:
        lines.append(b"Server: jangada\r\n")
    if b"date" not in present:
        lines.append(b"Date: %b\r\n" % _date(int(time.time())))
    if content_type and b"content-type" not in present:
        lines.append(b"Content-Type: %b\r\n" % content_type)
    if upgrade:
        lines.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade)
    lines.append(framing)
    lines.append(b"\r\n")
    return b"".join(lines)


def peer_address(request: BaseRequest) -> str:
    """``ip:port`` of who is connected, an IPv6 address in brackets; empty when unknown."""
    return written_address(request.get_extra_info("peername"))


def written_address(peer: object) -> str:
    """As `peer_address`, of what a socket says."""
    if not isinstance(peer, tuple):
        return ""
    host, port = peer[0], peer[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


def _entropy() -> Iterator[str]:
    """16 random bytes at a time, fetched by the page: an id costs no call to the system."""
    while True:
        page = os.urandom(4096).hex()
        for at in range(0, len(page), 32):
            yield page[at : at + 32]


_ENTROPY = _entropy()


def _new_id(digits: str) -> str:
    """A UUID of version 4 [RFC 9562 §5.4]; a quarter as long as the standard library takes."""
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _dropped(always: frozenset[bytes], connection: frozenset[bytes]) -> frozenset[bytes]:
    named = connection - _OF_THE_CONNECTION
    return always | (named - _ALWAYS_FORWARDED) if named else always


def _copy(fields: Fields, dropped: frozenset[bytes], lines: list[bytes]) -> set[bytes]:
    """Append what passes to *lines*; the names that did, in lower case."""
    present = set()
    for name, value in fields:
        lower = name.lower()
        # An empty call id counts as none, and ours takes its place.
        if lower in dropped or (lower == b"x-call-id" and not value):
            continue
        present.add(lower)
        lines.append(b"%b: %b\r\n" % (name, value))
    return present

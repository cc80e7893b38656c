"""Raw HTTP requests that are wrong, each in its own way; the same seed makes the same ones."""

from __future__ import annotations

import random
from collections.abc import Iterator

METHODS = (
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "get",
    "G E T",
    "",
    "\x00",
    "P" * 300,
)
PATHS = (
    "/", "/healthz", "/readyz", "/function/worker", "/function/worker/a/b?c=d", "/function/nobody", "/function/",
    "/async-function/worker", "/async-function/nobody", "/async-function/00000000-0000-4000-8000-000000000000",
    "/async-function/00000000-0000-4000-8000-000000000000/status", "/system/functions", "/system/function/worker",
    "/system/function/worker?usage=1&namespace=", "/system/scale-function/worker", "/system/secrets",
    "/system/namespaces", "/system/namespace/", "/system/namespace/x", "/system/info", "/system/telemetry",
    "/system/logs?name=worker&tail=1", "/system/alert", "/ui/", "/metrics", "/v1/jobs", "/problems/x",
    "http://host/function/worker", "*", "//", "/..", "/%", "/%00", "/%2e%2e/%2f", "/function/worker/\xff", "/a b",
    "/function/.", "/function/..", "/function/worker.", "/function/.openfaas-fn", "?", "", "/" * 3000,
    "/" + "x" * 20_000,
)  # fmt: skip
HEADERS = (
    "Host: x", "Host: x\r\nHost: y", "Host:", "Host: \x00", "Content-Length: 5", "Content-Length: -1",
    "Content-Length: 5\r\nContent-Length: 6", "Content-Length: 99999999999999999999", "Content-Length: +5",
    "Content-Length: 0x5", "Content-Length: 5, 5", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: gzip", "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "Connection: close", "Connection: upgrade\r\nUpgrade: websocket", "Connection: " + ",".join("abc" * 50),
    "Upgrade: h2c", "Expect: 100-continue", "Expect: nonsense", "Authorization: Basic", "Authorization: Basic !!!!",
    "Authorization: Basic YTpi", "Authorization: Bearer", "Authorization: Bearer \xff", "Accept: text/event-stream",
    "X-Callback-Url: http://[::1", "X-Callback-Url: \xff", "X-Callback-Url: http://127.0.0.1:1/", "X-Call-Id: \x01",
    "X-Call-Id: " + "i" * 5000, "X-Request-Id: a b", "Cookie: " + "c=d; " * 500, "X" * 9000 + ": 1",
    "X: " + "y" * 17_000,
    ": novalue", "No colon", " leading: space", "Folded: a\r\n b", "Bad Name: x", "X-\xe9: x", "Range: bytes=9-1",
    "Content-Encoding: gzip", "Content-Type: \xff", "Traceparent: 00-zz", "Keep-Alive: timeout=-1", "Te: trailers",
    "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13", "\r", "\x00: \x00",
)  # fmt: skip
BODIES = (
    b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhel", b"zz\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffff\r\n",
    b"5;ext=\"\r\nhello\r\n0\r\n\r\n", b"0\r\nTrailer: x\r\n\r\n", b"-5\r\nhello\r\n", b"{}", b"[", b"\xff\xfe",
    b"\x00" * 100,
    b"GET / HTTP/1.1\r\n\r\n", b"x" * 70_000,
)  # fmt: skip
VERSIONS = (
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/0.9",
    "HTTP/2.0",
    "HTTP/9.9",
    "HTTP/1",
    "HTP/1.1",
    "",
    "http/1.1",
)
LINE_ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\n\r")


def requests(seed: int, count: int) -> Iterator[bytes]:
    """*count* of them."""
    dice = random.Random(seed)
    for _ in range(count):
        yield _one(dice)


def _one(dice: random.Random) -> bytes:
    shape = dice.random()
    if shape < 0.04:
        return dice.randbytes(dice.randrange(1, 600))
    if shape < 0.06:
        # The first bytes of TLS, of HTTP/2, of Redis.
        return dice.choice(
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"*1\r\n$4\r\nPING\r\n")
        )
    # Mostly right in each of its parts, or nothing would get past the first of them.
    end = dice.choice(LINE_ENDS) if dice.random() < 0.1 else b"\r\n"
    method = dice.choice(METHODS if dice.random() < 0.15 else METHODS[:5])
    version = dice.choice(VERSIONS) if dice.random() < 0.1 else "HTTP/1.1"
    headers = [] if dice.random() < 0.05 else ["Host: x"]
    headers += [dice.choice(HEADERS) for _ in range(dice.choice((0, 0, 0, 1, 1, 1, 2, 3, 6)))]
    body = dice.choice(BODIES)
    # A parser refuses a whole packet for what follows the first request in it: often the body ends where it says.
    if dice.random() < 0.6:
        headers.append(f"Content-Length: {len(body)}")
    whole = end.join(line.encode("latin-1") for line in (f"{method} {dice.choice(PATHS)} {version}", *headers))
    whole += end * 2 + body
    if shape < 0.20:
        whole = _mutated(dice, whole)
    if shape < 0.27:
        whole = whole[: dice.randrange(1, len(whole) + 1)]
    elif shape < 0.32:
        whole += _one(dice)
    return whole


def _mutated(dice: random.Random, whole: bytes) -> bytes:
    changed = bytearray(whole)
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(changed))
        match dice.randrange(3):
            case 0:
                changed[at] = dice.randrange(256)
            case 1:
                del changed[at : at + dice.randrange(1, 9)]
                if not changed:
                    return b"\r\n"
            case _:
                changed[at:at] = dice.randbytes(dice.randrange(1, 9))
    return bytes(changed)

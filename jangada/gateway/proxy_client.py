"""The connections of clients: one request after the other, each to a function or to the gateway's own routes."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, cast

from jangada.gateway import refusal as refusals
from jangada.gateway.headers import new_marks, written_address
from jangada.gateway.http1 import (
    MAX_HEAD_BYTES,
    MAX_LINE_BYTES,
    Body,
    HeadTooLargeError,
    RequestHead,
    UnreadableError,
    find_head,
    parse_request,
)
from jangada.gateway.proxy_exchange import Exchange
from jangada.gateway.refusal import Refusal, written
from jangada.gateway.routes import invocation_of
from jangada.logs import get_logger

if TYPE_CHECKING:
    from jangada.gateway.proxy import Proxy

HEAD_WITHIN_S = 15.0
"""From the first byte of a head to its last."""

KEPT_S = 75.0
"""How long a connection stays on which nothing is asked."""

LINGER_S = 2.0
"""How long what a client still sends is taken and thrown away, so that it can read why nobody wants it."""

log = get_logger(part="gateway")


class Client(asyncio.Protocol):
    """
    Reads heads and takes bodies off their frames; an `Exchange` does the rest.

    A client that closes its half of the connection has left: its answer has no
    reader that could be told from one who is gone.
    """

    __slots__ = (
        "_body",
        "_exchange",
        "_head_since",
        "_is_full",
        "_is_held",
        "_linger_until",
        "_proxy",
        "_received",
        "_transport",
        "_waits_since",
        "peer",
    )

    def __init__(self, proxy: Proxy) -> None:
        self.peer = b""
        self._proxy = proxy
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._exchange: Exchange | None = None
        self._body: Body | None = None
        self._is_held = self._is_full = False
        self._waits_since = 0.0
        self._head_since: float | None = None
        self._linger_until: float | None = None

    # What the exchange asks for

    @property
    def has_whole_body(self) -> bool:
        """Whether the whole request came."""
        return self._body is None or self._body.done

    @property
    def is_held(self) -> bool:
        """Whether we are the ones who read no more."""
        return self._is_held

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered."""
        return self._exchange is not None

    def write(self, data: bytes) -> None:
        """Send *data* as it is."""
        if self._transport is not None:
            self._transport.write(data)

    def hold(self, held: bool) -> None:
        """Read no more for now, or again."""
        self._is_held = held
        if self._transport is None or self._transport.is_closing():
            return
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def turn_raw(self) -> None:
        """From now on every byte is the function's."""
        self._body = None
        received, self._received = self._received, b""
        if received and self._exchange is not None:
            self._exchange.raw(received)

    def finish(self, *, keep: bool) -> None:
        """The answer is written. Without *keep* there is no next request."""
        self._exchange = None
        whole, self._body = self.has_whole_body, None
        if self._transport is None or self._transport.is_closing():
            return
        self.hold(False)
        if keep:
            self._waits_since = self._proxy.clock()
            if self._received:
                asyncio.get_running_loop().call_soon(self._next)
        elif whole and not self._received:
            self._transport.close()
        else:
            self._linger()

    def abort(self) -> None:
        """Close at once, so that the client sees that its answer is not whole."""
        if self._transport is not None:
            self._transport.abort()

    # What the proxy asks for

    def sweep(self, now: float) -> None:
        """End what takes too long."""
        if self._linger_until is not None:
            if now > self._linger_until:
                self.abort()
        elif self._exchange is not None:
            self._exchange.sweep(now)
        elif self._head_since is not None and self._received:
            if now - self._head_since > HEAD_WITHIN_S:
                self._refuse(refusals.SLOW_REQUEST, f"its head did not come within {HEAD_WITHIN_S:.0f} s")
        elif now - self._waits_since > KEPT_S:
            self.abort()

    def drain(self) -> None:
        """Take no more requests; one that is being answered goes on."""
        if self._exchange is None and self._transport is not None and self._linger_until is None:
            self._transport.close()

    def end(self) -> None:
        """Break off."""
        if self._exchange is not None:
            self._exchange.abort()
        else:
            self.abort()

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        # Uvloop's stream is one in all but its ancestors.
        stream = self._transport = cast(asyncio.Transport, transport)
        self.peer = written_address(stream.get_extra_info("peername")).encode()
        # Half of the clients of a tunnel vanish without a word.
        stream.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._waits_since = self._proxy.clock()
        self._proxy.clients.add(self)
        if self._proxy.is_draining:
            stream.close()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._linger_until is not None:
            return
        exchange = self._exchange
        if exchange is None:
            self._received = self._received + data if self._received else data
            self._next()
        elif exchange.is_raw:
            exchange.raw(data)
        elif self._body is not None and not self._body.done:
            self._take(exchange, self._body, data)
        else:
            # Asked before the answer was there: it waits its turn.
            self._received += data
            if len(self._received) > MAX_HEAD_BYTES:
                self.hold(True)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
        """Called by the event loop."""
        self._proxy.clients.discard(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_left()

    def pause_writing(self) -> None:
        """Called by the event loop."""
        self._is_full = True
        if self._exchange is not None:
            self._exchange.client_is_full(True)

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self._is_full = False
        if self._exchange is not None:
            self._exchange.client_is_full(False)
        elif self._received:
            self._next()

    # Within

    def _next(self) -> None:
        """Begin the next request, when its head is there."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._exchange is not None or self._is_full:
            return
        received = self._received
        # An empty line too many after a body is forgiven [RFC 9112 §2.2].
        while received.startswith(b"\r\n"):
            received = received[2:]
        self._received = received
        if not received:
            return
        try:
            end = find_head(received)
            if not end:
                self._head_since = self._head_since or self._proxy.clock()
                return
            head = parse_request(received[:end])
        except UnreadableError as error:
            self._unreadable(error)
            return
        self._head_since = None
        self._begin(head, received[end:])

    def _begin(self, head: RequestHead, following: bytes) -> None:
        transport = self._transport
        assert transport is not None  # noqa: S101 - it was just read from
        invocation = invocation_of(head)
        if invocation is None:
            self._received = b""
            self._proxy.clients.discard(self)
            self._proxy.hand_over(transport, head, following)
            return
        exchange = self._exchange = Exchange(self._proxy, self, head, invocation)
        body = self._body = Body(head.length or 0, chunked=head.chunked)
        self._received = b"" if head.has_body else following
        if head.has_body and following:
            self._take(exchange, body, following)
        if self._exchange is exchange:
            exchange.start()

    def _take(self, exchange: Exchange, body: Body, data: bytes) -> None:
        try:
            content = body.feed(data)
        except UnreadableError as error:
            log.info("gateway.unreadable", peer=self.peer.decode(), why=str(error))
            exchange.client_erred()
            return
        if content:
            exchange.content(content)
        if body.done:
            exchange.content(b"")
            self._received = body.rest

    def _unreadable(self, error: UnreadableError) -> None:
        # Neither answer nor log repeats what was sent: there may be a credential in it.
        log.info("gateway.unreadable", peer=self.peer.decode(), why=str(error))
        if isinstance(error, HeadTooLargeError):
            detail = f"at most {MAX_LINE_BYTES} bytes are read in the request line and in each header field"
            self._refuse(refusals.HEADER_TOO_LARGE, detail)
        else:
            self._refuse(refusals.UNREADABLE, "this is not HTTP as RFC 9112 has it")

    def _refuse(self, kind: Refusal, detail: str) -> None:
        marks = new_marks(None)
        self.write(written(kind, detail, problem=True, call_id=marks.call_id, is_head=False, connection="close"))
        self._received = b""
        self._linger()

    def _linger(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._received = b""
        self._linger_until = self._proxy.clock() + LINGER_S
        self._transport.write_eof()

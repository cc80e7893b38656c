"""The connections to functions: one answer at a time on each, kept and used again."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from typing import Protocol, cast
from urllib.parse import urlsplit

from jangada.gateway.http1 import MAX_HEAD_BYTES, AnswerHead, Body, UnreadableError, parse_answer

CONNECT_WITHIN_S = 5.0
KEPT_S = 30.0
"""How long a connection that nobody uses stays; a function that announces less gets less."""

_TIMEOUT = re.compile(rb"(?:^|[,; ])timeout=([0-9]{1,6})")
_WITHOUT_BODY = frozenset({204, 304})
_SWITCHING = 101
_FINAL = 200
_ESTABLISHED = 1
_TCP_INFO = getattr(socket, "TCP_INFO", None)


class Listener(Protocol):
    """Who asked: what a connection tells of the answer, in this order."""

    def informed(self, head: AnswerHead) -> None:
        """A preliminary answer (1xx) came."""

    def answered(self, head: AnswerHead) -> None:
        """The head of the answer came."""

    def answer_content(self, content: bytes) -> None:
        """Some of its body; after 101, whatever came."""

    def completed(self) -> None:
        """The answer is whole. The connection no longer knows its listener."""

    def broke(self, why: str) -> None:
        """The answer ends here, before its end. The connection is closed, and no longer knows its listener."""

    def upstream_is_full(self, full: bool) -> None:
        """More should not be written for now, or can be again."""


class Upstream(asyncio.Protocol):
    """One connection to *address*."""

    def __init__(self, address: str, pool: Pool) -> None:
        self.address = address
        self.idle_since = 0.0
        self.kept_s = KEPT_S
        self.is_spent = False
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        # The transport's own, borrowed: what the event loop hands out makes a new one for each question.
        self._socket: socket.socket | None = None
        self._listener: Listener | None = None
        self._is_head = False
        self._is_raw = False
        self._head: AnswerHead | None = None
        self._body: Body | None = None
        self._received = b""

    @property
    def is_open(self) -> bool:
        """
        Whether the function has not closed it, as far as this side can know.

        Asked of the socket too: the event loop may not have been told yet, and a
        request that was sent is never sent again.
        """
        if self._transport is None or self._transport.is_closing():
            return False
        if _TCP_INFO is None or self._socket is None:
            return True
        return self._socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0] == _ESTABLISHED

    @property
    def is_flushed(self) -> bool:
        """Whether the function's side took all that was written."""
        return self._transport is not None and self._transport.get_write_buffer_size() == 0

    def use(self, listener: Listener, *, is_head: bool) -> None:
        """Tell *listener* of the next answer; *is_head* when it is one to HEAD, which has no body."""
        self._listener = listener
        self._is_head = is_head
        self._head = self._body = None

    def write(self, data: bytes) -> None:
        """Send *data* as it is."""
        if self._transport is not None:
            self._transport.write(data)

    def hold(self, held: bool) -> None:
        """Read no more for now, or again."""
        if self._transport is None or self._transport.is_closing():
            return
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def close(self) -> None:
        """Send what was written, then close."""
        self._listener = None
        self._give_socket_back()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, also when it is not open yet; its listener hears nothing more."""
        self._listener = None
        self.is_spent = True
        self._give_socket_back()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        # Uvloop's stream is one in all but its ancestors.
        stream = self._transport = cast(asyncio.Transport, transport)
        if self.is_spent:
            stream.abort()
        else:
            number = stream.get_extra_info("socket").fileno()
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=number)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._listener is None:
            # Nobody asked: what follows could be taken for the answer to somebody's request.
            self.abort()
        elif self._is_raw:
            self._listener.answer_content(data)
        else:
            try:
                self._read(data)
            except UnreadableError as error:
                self._break(f"answered what is no HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self.is_spent = True
        self._give_socket_back()
        self._pool.forget(self)
        if self._listener is None:
            return
        ends_so = self._is_raw or (self._body is not None and self._body.ends_with_connection)
        if exc is None and ends_so:
            self._complete()
        else:
            self._break("closed the connection without an answer" if self._head is None else "broke off its answer")

    def pause_writing(self) -> None:
        """Called by the event loop."""
        if self._listener is not None:
            self._listener.upstream_is_full(True)

    def resume_writing(self) -> None:
        """Called by the event loop."""
        if self._listener is not None:
            self._listener.upstream_is_full(False)

    def _give_socket_back(self) -> None:
        if self._socket is not None:
            self._socket.detach()
            self._socket = None

    def _read(self, data: bytes) -> None:
        if self._body is None:
            data = self._read_heads(self._received + data if self._received else data)
        # Each call may end the exchange, and with it the listening.
        if self._body is None or self._listener is None:
            return
        content = self._body.feed(data)
        if content:
            self._listener.answer_content(content)
        if self._body.done and self._listener is not None:
            self.is_spent = self.is_spent or bool(self._body.rest)
            self._complete()

    def _read_heads(self, data: bytes) -> bytes:
        """Read up to the head that counts; what follows it."""
        while self._listener is not None:
            end = data.find(b"\r\n\r\n") + 4
            if end <= 3:
                if len(data) > MAX_HEAD_BYTES or not data.startswith(b"HTTP/1."[: len(data)]):
                    raise UnreadableError("no head, or one without end")
                break
            head = parse_answer(data[:end])
            data = data[end:]
            if head.status >= _FINAL or head.status == _SWITCHING:
                self._begin(head, data)
                self._received = b""
                return b"" if self._is_raw else data
            self._listener.informed(head)
        self._received = data
        return b""

    def _begin(self, head: AnswerHead, following: bytes) -> None:
        listener = self._listener
        assert listener is not None  # noqa: S101 - just seen
        self._head = head
        if head.status == _SWITCHING:
            self._is_raw = self.is_spent = True
        elif self._is_head or head.status in _WITHOUT_BODY:
            self._body = Body(0, chunked=False)
        else:
            self._body = Body(head.length, chunked=head.chunked)
        announced = _TIMEOUT.search(head.keep_alive) if head.keep_alive else None
        # Closed a little before the function does it, so that no request meets a closing connection.
        self.kept_s = KEPT_S if announced is None else min(KEPT_S, int(announced[1]) - 1.0)
        ends = self._body is not None and self._body.ends_with_connection
        self.is_spent = self.is_spent or ends or not head.keeps_alive
        listener.answered(head)
        if self._is_raw and following and self._listener is not None:
            self._listener.answer_content(following)

    def _complete(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.completed()

    def _break(self, why: str) -> None:
        listener = self._listener
        self.abort()
        if listener is not None:
            listener.broke(why)


class Pool:
    """The connections that wait for their next request, by address."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: dict[str, list[Upstream]] = {}
        self._open: set[Upstream] = set()

    def take(self, address: str) -> Upstream | None:
        """A connection to *address* that is open now, the one used last; None when there is none."""
        waiting = self._waiting.get(address)
        while waiting:
            found = waiting.pop()
            if found.is_open:
                return found
            found.abort()
        return None

    async def connect(self, address: str) -> Upstream:
        """A new one. Raises `OSError`, `TimeoutError` among them."""
        split = urlsplit(address)
        made = Upstream(address, self)
        self._open.add(made)
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await asyncio.get_running_loop().create_connection(lambda: made, split.hostname or "", split.port or 80)
        except BaseException:
            # Who gave up waiting must not leave a connection behind that comes later.
            made.abort()
            self._open.discard(made)
            raise
        return made

    def put(self, upstream: Upstream) -> None:
        """It can have its next request, unless it is spent."""
        if upstream.is_spent or upstream.kept_s <= 0 or not upstream.is_flushed:
            upstream.close()
            return
        upstream.idle_since = self._clock()
        self._waiting.setdefault(upstream.address, []).append(upstream)

    def forget(self, upstream: Upstream) -> None:
        """It was closed."""
        self._open.discard(upstream)
        waiting = self._waiting.get(upstream.address)
        if waiting is not None and upstream in waiting:
            waiting.remove(upstream)

    def sweep(self, now: float) -> None:
        """Close those that nobody used for long."""
        for address, waiting in list(self._waiting.items()):
            for one in [one for one in waiting if now - one.idle_since > one.kept_s]:
                waiting.remove(one)
                one.close()
            if not waiting:
                del self._waiting[address]

    def close(self) -> None:
        """Close all of them, those in use too."""
        for one in list(self._open):
            one.abort()
        self._waiting.clear()

"""One invocation: from its head, through the function, to the last byte of the answer."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from jangada.gateway import refusal as refusals
from jangada.gateway.accounting import FunctionAccount
from jangada.gateway.headers import new_marks, request_head
from jangada.gateway.http1 import AnswerHead, RequestHead
from jangada.gateway.provider import Replica
from jangada.gateway.proxy_answer import Answer
from jangada.gateway.proxy_upstream import Upstream
from jangada.gateway.refusal import Refusal
from jangada.gateway.resolver import NoReplicaError
from jangada.gateway.route import Invocation
from jangada.logs import get_logger

if TYPE_CHECKING:
    from jangada.gateway.proxy import Proxy
    from jangada.gateway.proxy_client import Client

CLIENT_LEFT = 499
"""Accounted when the client closed the connection before its answer; never sent."""

_MOST_HELD_BYTES = 64 * 1024
_CONNECT_TRIES = 3
_SWITCHING = 101
_CONTINUE = 100
_ERRORS = 400

log = get_logger(part="gateway")


class Exchange:
    """
    The call-backs of both connections meet here.

    A request is sent once: it is tried on another replica only where no connection
    could be made, and never after a byte of it was written, whatever its method is.
    """

    __slots__ = (
        "_account",
        "_answer",
        "_client",
        "_content",
        "_held_bytes",
        "_invocation",
        "_is_over",
        "_is_raw",
        "_marks",
        "_moved_at",
        "_proxy",
        "_replica",
        "_request",
        "_started_at",
        "_task",
        "_upgrade",
        "_upstream",
        "_upstream_held",
    )

    def __init__(self, proxy: Proxy, client: Client, request: RequestHead, invocation: Invocation) -> None:
        self._proxy = proxy
        self._client = client
        self._request = request
        self._invocation = invocation
        sent_id = request.first(b"x-call-id")
        self._marks = new_marks(sent_id.decode("latin-1") if sent_id else None)
        self._upgrade = request.upgrade if _wants_websocket(request) else b""
        self._started_at = self._moved_at = time.monotonic()
        self._account: FunctionAccount | None = None
        self._replica: Replica | None = None
        self._upstream: Upstream | None = None
        self._upstream_held = False
        self._task: asyncio.Task[None] | None = None
        # The request's body until there is a connection.
        self._content: list[bytes] = []
        self._held_bytes = 0
        self._is_over = self._is_raw = False
        self._answer = Answer(request, self._marks, proxy.served_by, client.write)

    @property
    def is_raw(self) -> bool:
        """Whether both sides have turned to another protocol."""
        return self._is_raw

    def start(self) -> None:
        """Send the request at once where all that it needs is there, else when it is."""
        proxy = self._proxy
        function = proxy.resolver.find_now(self._invocation)
        replica = proxy.resolver.ready(function) if function is not None else None
        upstream = proxy.pool.take(replica.address) if replica is not None else None
        if function is None or replica is None or upstream is None:
            self._task = asyncio.get_running_loop().create_task(self._arrange(replica))
            return
        self._account = proxy.accounting.begin(function.qualified_name)
        replica.in_flight += 1
        self._send(replica, upstream)

    def content(self, data: bytes) -> None:
        """Some of the request's body came; empty at its end."""
        if self._is_over:
            return
        self._moved_at = time.monotonic()
        if self._request.chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b"0\r\n\r\n"
        if self._upstream is not None:
            self._upstream.write(data)
            return
        self._content.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > _MOST_HELD_BYTES:
            self._client.hold(True)

    def raw(self, data: bytes) -> None:
        """Pass on what the client sent after both sides changed their protocol."""
        if self._upstream is not None:
            self._upstream.write(data)

    def client_is_full(self, full: bool) -> None:
        """The client takes no more for now, or does again."""
        self._moved_at = time.monotonic()
        self._upstream_held = full
        if self._upstream is not None:
            self._upstream.hold(full)

    def client_left(self) -> None:
        """The client closed its connection: the function is told by the same."""
        self._end(_SWITCHING if self._is_raw else CLIENT_LEFT, reuse=False)

    def client_erred(self) -> None:
        """What the client sent is no body."""
        if self._answer.has_begun:
            self._client.abort()
            self._end(CLIENT_LEFT, reuse=False)
        else:
            self._refuse(refusals.UNREADABLE, "the body is not as RFC 9112 has it")

    def sweep(self, now: float) -> None:
        """End what was silent for longer than is allowed."""
        idle_s = self._proxy.idle_s
        if self._upstream is None or self._is_raw or now - self._moved_at <= idle_s:
            return
        if self._answer.has_begun:
            self._client.abort()
            self._end(CLIENT_LEFT if self._upstream_held else refusals.UPSTREAM_TIMEOUT.status, reuse=False)
        elif not self._client.has_whole_body and not self._client.is_held:
            self._refuse(refusals.SLOW_REQUEST, f"no byte of the body came for {idle_s:.0f} s")
        else:
            self._refuse(refusals.UPSTREAM_TIMEOUT, f"{self._invocation.shown} said nothing for {idle_s:.0f} s")

    def abort(self) -> None:
        """End it at once: the gateway stops."""
        self._client.abort()
        self.client_left()

    # What the upstream tells

    def informed(self, head: AnswerHead) -> None:
        """See `proxy_upstream.Listener`."""
        # Its `100-continue` was answered by the gateway.
        if head.status != _CONTINUE:
            self._answer.inform(head)

    def answered(self, head: AnswerHead) -> None:
        """See `proxy_upstream.Listener`."""
        self._moved_at = time.monotonic()
        if head.status == _SWITCHING:
            self._switch(head)
        elif self._upgrade and head.status < _ERRORS:
            detail = f"{self._invocation.shown} opens no WebSocket: it answered {head.status}"
            self._refuse(refusals.BAD_UPSTREAM, detail)
        else:
            self._answer.begin(head, keep=self._keeps_alive())

    def answer_content(self, content: bytes) -> None:
        """See `proxy_upstream.Listener`."""
        self._moved_at = time.monotonic()
        self._answer.content(content)

    def completed(self) -> None:
        """See `proxy_upstream.Listener`."""
        if self._is_raw:
            self._client.finish(keep=False)
            self._end(_SWITCHING, reuse=False)
            return
        self._answer.complete()
        self._end(self._answer.status, reuse=self._client.has_whole_body)
        self._client.finish(keep=self._answer.keeps)

    def broke(self, why: str) -> None:
        """See `proxy_upstream.Listener`."""
        if self._is_raw:
            self._client.finish(keep=False)
            self._end(_SWITCHING, reuse=False)
        elif self._answer.has_begun:
            # The status is out already. An aborted connection is the one way left to say "incomplete".
            self._client.abort()
            self._end(refusals.BAD_UPSTREAM.status, reuse=False)
        else:
            self._refuse(refusals.BAD_UPSTREAM, f"{self._invocation.shown} {why}")

    def upstream_is_full(self, full: bool) -> None:
        """See `proxy_upstream.Listener`."""
        self._moved_at = time.monotonic()
        self._client.hold(full)

    # Within

    async def _arrange(self, replica: Replica | None) -> None:
        """Find function and replica, waiting where that helps, and send; *replica* is the first to be tried."""
        try:
            resolver = self._proxy.resolver
            function = await resolver.find(self._invocation)
            if function is None:
                self._refuse(*self._unknown())
                return
            self._account = self._proxy.accounting.begin(function.qualified_name)
            for _ in range(_CONNECT_TRIES):
                if await self._try(replica or await resolver.choose(function)):
                    return
                replica = None
            self._refuse(refusals.OVERLOADED, f"can't reach {function.service}; try again")
        except NoReplicaError as error:
            self._refuse(refusals.OVERLOADED, f"{error}; try again")
        except Exception:
            log.exception("gateway.unhandled", call_id=self._marks.call_id)
            self._refuse(refusals.INTERNAL, "the gateway failed; its log says more")

    async def _try(self, replica: Replica) -> bool:
        """Whether there is a connection to *replica*, and the request on it."""
        # Counted while the connection is made, so that the next request sees it.
        replica.in_flight += 1
        try:
            upstream = self._proxy.pool.take(replica.address) or await self._proxy.pool.connect(replica.address)
        except OSError:
            replica.in_flight -= 1
            # Nothing was sent, so another replica may have it whatever the method is.
            self._proxy.resolver.suspect(replica)
            return False
        except BaseException:
            replica.in_flight -= 1
            raise
        self._send(replica, upstream)
        return True

    def _send(self, replica: Replica, upstream: Upstream) -> None:
        self._replica, self._upstream = replica, upstream
        self._moved_at = time.monotonic()
        upstream.use(self, is_head=self._request.method == b"HEAD")
        if self._upstream_held:
            upstream.hold(True)
        head = request_head(
            self._request,
            self._invocation.target,
            self._marks,
            prefix=self._invocation.prefix,
            agent=self._proxy.agent,
            peer=self._client.peer,
            upgrade=self._upgrade,
        )
        if self._held_bytes > _MOST_HELD_BYTES:
            self._client.hold(False)
        upstream.write(b"".join((head, *self._content)) if self._content else head)
        self._content.clear()
        if self._request.expects_continue and not self._client.has_whole_body:
            self._client.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _keeps_alive(self) -> bool:
        return self._request.keeps_alive and self._client.has_whole_body and not self._proxy.is_draining

    def _switch(self, head: AnswerHead) -> None:
        if not self._upgrade:
            self._refuse(refusals.BAD_UPSTREAM, f"{self._invocation.shown} changed a protocol that nobody asked it to")
            return
        self._is_raw = True
        self._answer.switch(head, self._upgrade)
        self._client.turn_raw()

    def _unknown(self) -> tuple[Refusal, str]:
        invocation = self._invocation
        if not invocation.is_public:
            return refusals.UNKNOWN_FUNCTION, f"error finding function {invocation.name}: not found"
        if not self._proxy.resolver.is_loaded:
            return refusals.NOT_LOADED, "the store does not answer"
        return refusals.UNKNOWN_PATH, f"nothing is at {invocation.name}"

    def _refuse(self, kind: Refusal, detail: str) -> None:
        if self._is_over:
            return
        keep = self._keeps_alive()
        self._answer.refuse(kind, detail, problem=self._invocation.is_public, keep=keep)
        self._end(kind.status, reuse=False)
        self._client.finish(keep=keep)

    def _end(self, code: int, *, reuse: bool) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            if self._is_raw:
                upstream.close()
            elif reuse:
                upstream.hold(False)
                self._proxy.pool.put(upstream)
            else:
                upstream.abort()
        if self._replica is not None:
            self._replica.in_flight -= 1
        if self._account is not None:
            self._proxy.accounting.end(self._account, code, time.monotonic() - self._started_at)


def _wants_websocket(request: RequestHead) -> bool:
    return (
        request.upgrade == b"websocket"
        and request.method == b"GET"
        and b"upgrade" in request.connection
        and request.is_11
        and not request.has_body
    )

"""Callbacks: the function's answer, POSTed to the `X-Callback-Url` of its call, until somebody takes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from jangada.errors import NotFoundError
from jangada.gateway.asynchronous_bodies import Bodies, Threads
from jangada.gateway.asynchronous_call import CALLBACKS, UNREACHABLE, AsyncCall, storable
from jangada.gateway.asynchronous_serving import Closed, Dropped, PutBack, Verdict
from jangada.gateway.asynchronous_store import AsyncCallStore
from jangada.gateway.headers import HOP_BY_HOP
from jangada.jobs.queue import JobQueue, Lease, QueueEntry
from jangada.logs import get_logger
from jangada.webhooks.delivery import next_delay_s
from jangada.webhooks.guard import OutboundError, OutboundGuard, Reply

log = get_logger(part="async")

ANY_HOST = "*"
_TIMEOUT_S = 15.0
_PER_HOST = 4
_ENTRY_ATTEMPTS = 100_000
"""The queue's own; the schedule is that of webhooks."""
_GONE = 410
_HELD_BACK_S = 1.0
_NOT_PASSED = frozenset(
    name.lower() for name in (*HOP_BY_HOP, "Content-Length", "Host", "Date", "Server", "Accept-Encoding")
)


class CallbackGuard(OutboundGuard):
    """An `OutboundGuard` that `*` among the allowed hosts opens to every address."""

    def __init__(self, allowed_hosts: Iterable[str], **options: Any) -> None:
        hosts = tuple(allowed_hosts)
        super().__init__(allow_http=True, allowed_hosts=hosts, **options)
        self._any = ANY_HOST in hosts

    def _is_allowed(self, host: str) -> bool:
        return self._any or super()._is_allowed(host)


def callback_headers(call: AsyncCall) -> dict[str, str]:
    """The function's own headers and the four of the contract; a repeated one is joined as RFC 9110 §5.3 has it."""
    headers: dict[str, str] = {}
    names: dict[str, str] = {}
    answer = call.answer
    for name, value in answer.headers if answer is not None else ():
        if name.lower() in _NOT_PASSED:
            continue
        known = names.setdefault(name.lower(), name)
        headers[known] = f"{headers[known]}, {value}" if known in headers else value
    ours = {
        "X-Call-Id": call.call_id,
        "X-Duration-Seconds": f"{answer.duration_s if answer else 0.0:.6f}",
        "X-Function-Name": call.function,
        "X-Function-Status": str(answer.status if answer is not None else UNREACHABLE),
    }
    for name, value in ours.items():
        headers.pop(names.get(name.lower(), ""), None)
        headers[name] = value
    return headers


class Callbacks:
    """Queues callbacks and makes them."""

    def __init__(
        self, queue: JobQueue, store: AsyncCallStore, bodies: Bodies, guard: OutboundGuard, threads: Threads
    ) -> None:
        self._queue = queue
        self._store = store
        self._bodies = bodies
        self._guard = guard
        self._threads = threads
        self._in_flight: Counter[str] = Counter()

    def check(self, url: str) -> None:
        """Judge *url* by itself. Raises `OutboundError`."""
        if storable(url) != url:
            raise OutboundError("refused", "a URL is UTF-8")
        self._guard.check(url)

    def enqueue(self, call: AsyncCall) -> None:
        """Have the callback of *call* made; again changes nothing. Blocks."""
        if call.callback_url is None:
            return
        entry = QueueEntry(
            job_id=call.id,
            # Receivers take turns, so that one with a long backlog does not hold up the others.
            tenant_id=urlsplit(call.callback_url).netloc.lower()[:200],
            body=b"{}",
            max_attempts=_ENTRY_ATTEMPTS,
        )
        self._queue.enqueue_many(CALLBACKS, [entry])

    async def serve(self, lease: Lease) -> Verdict:
        """Make one attempt."""
        call = await self._threads.run(self._store.get, lease.job_id)
        if call is None or call.callback != "pending" or call.callback_url is None:
            return Dropped(forget=True)
        host = lease.tenant_id
        if self._in_flight[host] >= _PER_HOST:
            return PutBack(_HELD_BACK_S)
        self._in_flight[host] += 1
        try:
            return await self._threads.run(self._attempt, call, call.callback_url)
        finally:
            self._in_flight[host] -= 1
            if not self._in_flight[host]:
                del self._in_flight[host]

    def _attempt(self, call: AsyncCall, url: str) -> Verdict:
        made = call.callback_attempts + 1
        reply: Reply | None = None
        reason = ""
        is_permanent = False
        try:
            reply = self._post(call, url)
        except OutboundError as error:
            reason, is_permanent = str(error), error.reason == "refused"
        except NotFoundError as error:
            reason, is_permanent = error.detail, True
        status = reply.status if reply is not None else None
        log.info("callback.attempted", call_id=call.call_id, attempt=made, status=status, reason=reason or None)
        if status is not None and 200 <= status < 300:
            self._store.callback(call.id, "delivered", made)
            return Closed("succeeded")
        delay_s = next_delay_s(made, _retry_after_s(reply))
        if is_permanent or status == _GONE or delay_s is None:
            self._store.callback(call.id, "failed", made)
            return Closed("failed")
        self._store.callback(call.id, "pending", made)
        return PutBack(delay_s)

    def _post(self, call: AsyncCall, url: str) -> Reply:
        headers = callback_headers(call)
        size = call.answer.body.size_bytes if call.answer is not None else 0
        headers["Content-Length"] = str(size)
        body: BinaryIO | bytes = b"" if call.answer is None else self._bodies.open(call.answer.body)
        try:
            return self._guard.request("POST", url, headers=headers, body=body, timeout_s=_timeout_s(size), max_bytes=0)
        finally:
            if not isinstance(body, bytes):
                body.close()


def _timeout_s(size_bytes: int) -> float:
    """The time a receiver gets: longer for large bodies, at a megabyte per second."""
    return _TIMEOUT_S + size_bytes / 1_000_000


def _retry_after_s(reply: Reply | None) -> float | None:
    text = reply.headers.get("retry-after", "") if reply is not None and reply.status in {429, 503} else ""
    return float(text) if text.isdecimal() and len(text) < 10 else None

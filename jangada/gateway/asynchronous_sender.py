"""
Makes the calls: each goes to this gateway's own address, as a client's would.

So it is counted, waits for a function that scales from zero, and is refused where
a client's would be; the one hop more costs a fraction of a millisecond.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from jangada.clock import Clock, to_ms, utc_now
from jangada.errors import NotFoundError, StoreUnavailableError, TooLargeError
from jangada.gateway.asynchronous_bodies import Bodies, Threads
from jangada.gateway.asynchronous_call import UNREACHABLE, Answer, AsyncCall, Body, storable
from jangada.gateway.asynchronous_callbacks import Callbacks
from jangada.gateway.asynchronous_serving import Closed, Dropped, PutBack, Verdict
from jangada.gateway.asynchronous_store import AsyncCallStore, outcome_status
from jangada.gateway.headers import HOP_BY_HOP
from jangada.jobs.job import fence
from jangada.jobs.queue import Lease, LeaseAction
from jangada.logs import get_logger

log = get_logger(part="async")

_STORE_AGAIN_S = 1.0
_NOT_KEPT = frozenset(name.lower() for name in (*HOP_BY_HOP, "Content-Length"))


class Sender:
    """Serves the queues of calls: `serve` is one attempt of one call."""

    def __init__(
        self,
        store: AsyncCallStore,
        bodies: Bodies,
        callbacks: Callbacks,
        threads: Threads,
        *,
        address: str,
        idle_s: float = 310.0,
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._bodies = bodies
        self._callbacks = callbacks
        self._threads = threads
        self._address = address
        self._clock = clock
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            # The gateway's own patience is a little shorter, and its 504 tells more.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=idle_s),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def serve(self, lease: Lease) -> Verdict:
        """One attempt: its answer becomes the result, unless the call is to be tried again."""
        call = await self._threads.run(self._store.begin, lease.job_id, fence(lease.epoch, lease.attempt))
        if call is None:
            return await self._not_ours(lease)
        if lease.action is not LeaseAction.RUN:
            return await self._complete(call, None, None)
        answer = await self._invoke(call)
        attempt = {"status": answer.status, "duration_s": answer.duration_s, "ended_ms": to_ms(self._clock())}
        delay_s = call.retry.delay_s(answer.status, internal=answer.is_internal, made=len(call.attempts) + 1)
        log.info(
            "async.attempted",
            call_id=call.call_id,
            function=call.function,
            attempt=len(call.attempts) + 1,
            status=answer.status,
            again_in_s=None if delay_s is None else round(delay_s, 1),
        )
        if delay_s is None:
            return await self._complete(call, answer, attempt)
        await self._threads.run(self._bodies.drop, answer.body)
        if not await self._threads.run(self._store.again, call, attempt):
            return await self._not_ours(lease)
        return PutBack(delay_s)

    async def _not_ours(self, lease: Lease) -> Verdict:
        """The store refused the attempt: the call is final or gone, or a newer attempt has it."""
        call = await self._threads.run(self._store.get, lease.job_id)
        if call is not None and call.callback == "pending":
            # Whoever wrote the result may have died before the callback was queued.
            await self._threads.run(self._callbacks.enqueue, call)
        return Dropped(forget=call is None or call.is_final)

    async def _complete(self, call: AsyncCall, answer: Answer | None, attempt: dict[str, float] | None) -> Verdict:
        while True:
            try:
                won = await self._threads.run(self._store.complete, call, answer, attempt, to_ms(self._clock()))
                break
            except StoreUnavailableError:
                # The function has done its work: its answer is worth waiting for, as long as the lease is kept.
                await asyncio.sleep(_STORE_AGAIN_S)
        if not won:
            await self._threads.run(self._bodies.drop, answer.body if answer is not None else None)
            return Dropped(forget=True)
        await self._threads.run(self._callbacks.enqueue, call)
        await self._threads.run(self._bodies.drop, call.body)
        return Closed(outcome_status(answer))

    async def _invoke(self, call: AsyncCall) -> Answer:
        began = time.monotonic()

        def told(status: int, text: str, headers: Mapping[str, str] | None = None) -> Answer:
            body = Body(inline=text.encode(), size_bytes=len(text.encode()))
            return Answer(status, tuple((headers or {}).items()), body, time.monotonic() - began)

        # `encoded`: the path goes out to the byte as it came.
        url = URL(f"{self._address}/function/{call.function}{call.target}", encoded=True)
        headers = CIMultiDict(call.headers)
        if call.body.size_bytes:
            headers["Content-Length"] = str(call.body.size_bytes)
        data: AsyncIterator[bytes] | bytes = self._bodies.read(call.body) if call.body.file else call.body.inline
        try:
            async with self._session.request(
                call.method, url, headers=headers, data=data or None, allow_redirects=False
            ) as response:
                body = await self._bodies.keep(response.content.iter_any())
                kept = tuple(
                    (storable(name), storable(value))
                    for name, value in response.headers.items()
                    if name.lower() not in _NOT_KEPT
                )
                return Answer(response.status, kept, body, time.monotonic() - began)
        except TooLargeError as error:
            return told(UNREACHABLE, f"the answer cannot be kept: {error.detail}\n")
        except NotFoundError as error:
            return told(UNREACHABLE, f"{error.detail}\n")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = f"{call.function} cannot be reached: {error or type(error).__name__}\n"
            return told(UNREACHABLE, reason, {"X-OpenFaaS-Internal": "proxy", "Content-Type": "text/plain"})

"""
Asynchronous invocations: accepted durably, made from a queue, their result kept.

    accept  → store (the truth) → queue → 202
    sender  ← queue: lease; store: fence raised → function → result, once → callback

A killed gateway loses nothing that it answered with 202: its leases end after 15 s and
whoever serves the queue makes the calls again. So a function may see a call twice, and
a call has one result.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from aiohttp.web_request import BaseRequest

from jangada.clock import Clock, to_ms, utc_now
from jangada.errors import JangadaError, QueueFullError, StoreUnavailableError
from jangada.gateway.asynchronous_bodies import Bodies, Threads
from jangada.gateway.asynchronous_call import CALLBACKS, AsyncCall, RetryPolicy, as_ascii, queue_of, storable
from jangada.gateway.asynchronous_callbacks import Callbacks
from jangada.gateway.asynchronous_sender import Sender
from jangada.gateway.asynchronous_serving import QueueServer
from jangada.gateway.asynchronous_store import AsyncCallStore
from jangada.gateway.asynchronous_sweep import INTERVAL_S, AsyncSweep, entry
from jangada.gateway.headers import CALL_ID, HOP_BY_HOP, peer_address
from jangada.jobs.queue import Admission, CancelResult, JobQueue, QueueLimits
from jangada.logs import get_logger
from jangada.webhooks.guard import OutboundGuard

log = get_logger(part="async")

_CALLBACKS_AT_ONCE = 16
_GRACE_S = 5.0
_BATCH = 64
_RANDOM = 4
"""The version of a UUID whose bits are dice."""
_NOT_KEPT = frozenset(name.lower() for name in (*HOP_BY_HOP, "Content-Length", "Expect"))


@dataclass(frozen=True, slots=True)
class AsyncLimits:
    """*at_once*: calls of one queue that one gateway makes at the same time; *keep_s*: how long results stay."""

    at_once: int = 32
    keep_s: float = 7 * 86400.0
    inline_bytes: int = 256 * 1024
    max_bytes: int = 256 * 1024 * 1024
    queue_jobs: int = 1_000_000


def _nothing() -> None:
    """What has to be made ready where nothing has."""


class Asynchronous:
    """
    What the routes work with. *annotations* are those of all functions deployed now.

    *prepare* makes the stores ready (indexes); it blocks, and is called again while they are away.
    """

    def __init__(
        self,
        queue: JobQueue,
        store: AsyncCallStore,
        bodies: Bodies,
        guard: OutboundGuard,
        threads: Threads,
        *,
        annotations: Callable[[], Iterable[Mapping[str, str]]],
        limits: AsyncLimits | None = None,
        prepare: Callable[[], None] = _nothing,
        clock: Clock = utc_now,
    ) -> None:
        self.bodies = bodies
        self._prepare: Callable[[], None] | None = prepare
        self._queue = queue
        self._store = store
        self._threads = threads
        self._bells = Threads(64, "async-bell")
        self._annotations = annotations
        self._limits = limits or AsyncLimits()
        self._clock = clock
        self._callbacks = Callbacks(queue, store, bodies, guard, threads)
        self._sweep = AsyncSweep(queue, store, bodies, self._callbacks, keep_s=self._limits.keep_s, clock=clock)
        self._id = f"gateway_{uuid.uuid4().hex[:16]}"
        self._servers: dict[str, QueueServer] = {}
        self._sender: Sender | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._accepting: list[tuple[AsyncCall, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def start(self, address: str) -> None:
        """Begin to make calls, through the gateway at *address* (``http://host:port``)."""
        self._sender = Sender(
            self._store, self.bodies, self._callbacks, self._threads, address=address, clock=self._clock
        )
        self._serve(CALLBACKS)
        self._sweeping = asyncio.create_task(self._keep_sweeping())

    async def stop(self) -> None:
        """Make no new calls; those that are being made get a moment, then they are handed back."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        await asyncio.gather(*(server.stop(_GRACE_S) for server in self._servers.values()))
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._sender is not None:
            await self._sender.close()
        self._bells.close()
        self._threads.close()

    async def accept(
        self,
        request: BaseRequest,
        function: str,
        target: str,
        annotations: Mapping[str, str],
        body: AsyncIterator[bytes],
    ) -> AsyncCall:
        """
        Keep the invocation of *function* with *target*; durable when this returns.

        Raises `OutboundError` for a callback URL that will not be called,
        `TooLargeError`, `QueueFullError`, `StoreUnavailableError`.
        """
        callback_url = request.headers.get("X-Callback-Url") or None
        if callback_url is not None:
            self._callbacks.check(callback_url)
        call_id = storable(request[CALL_ID]) or str(uuid.uuid4())
        call = AsyncCall(
            id=_own_id(call_id),
            call_id=call_id,
            function=function,
            method="POST",
            target=as_ascii(target),
            headers=_kept_headers(request, call_id),
            body=await self.bodies.keep(body),
            queue=queue_of(annotations),
            created_ms=to_ms(self._clock()),
            retry=RetryPolicy.from_annotations(annotations),
            callback_url=callback_url,
        )
        try:
            return await self._write(call)
        except BaseException:
            with contextlib.suppress(JangadaError):
                await self._threads.run(self.bodies.drop, call.body)
            raise

    async def find(self, call_id: str) -> AsyncCall | None:
        """The call whose id that is."""
        return await self._threads.run(self._store.get, call_id)

    async def cancel(self, call_id: str) -> AsyncCall | None:
        """
        End the call unless it is final; how it was before, None when there is none.

        One that is being made is broken off within a second or so.
        """
        before = await self._threads.run(self._store.cancel, call_id, to_ms(self._clock()))
        if before is not None and not before.is_final:
            with contextlib.suppress(StoreUnavailableError):
                await self._threads.run(self._take_out, before)
        return before

    def _take_out(self, call: AsyncCall) -> None:
        result, _ = self._queue.cancel(call.queue, call.id, executor_id=self._id)
        if result is not CancelResult.UNKNOWN:
            # The store has the outcome: nobody needs to settle it, and a lease on it turns stale.
            self._queue.drop(call.queue, [call.id])
        self.bodies.drop(call.body)

    async def _write(self, call: AsyncCall) -> AsyncCall:
        """Concurrent callers share one write to the store and one to the queue."""
        while True:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._accepting.append((call, done))
            if self._writing is None or self._writing.done():
                self._writing = asyncio.create_task(self._write_all())
            try:
                await done
            except _TakenError:
                call = replace(call, id=str(uuid.uuid4()))
                continue
            self._serve(call.queue)
            return call

    async def _write_all(self) -> None:
        while self._accepting:
            batch, self._accepting = self._accepting[:_BATCH], self._accepting[_BATCH:]
            try:
                outcomes = await self._threads.run(self._write_batch, [call for call, _ in batch])
            except Exception as error:  # noqa: BLE001 - told to each caller, who raises it
                outcomes = [error] * len(batch)
            for (_, done), outcome in zip(batch, outcomes, strict=True):
                if done.cancelled():
                    continue
                if outcome is None:
                    done.set_result(None)
                else:
                    done.set_exception(outcome)

    def _write_batch(self, calls: list[AsyncCall]) -> list[Exception | None]:
        # The store before the queue: dying between the two leaves a call that the sweep finds.
        inserted = self._store.insert(calls)
        outcomes: dict[str, Exception | None] = {}
        by_queue: dict[str, list[AsyncCall]] = {}
        limits = QueueLimits(queue_jobs=self._limits.queue_jobs, queue_bytes=None)
        for call, new in zip(calls, inserted, strict=True):
            if new:
                by_queue.setdefault(call.queue, []).append(call)
        refused: list[str] = []
        for name, members in by_queue.items():
            try:
                admissions = self._queue.enqueue_many(name, [entry(call) for call in members], limits)
            except StoreUnavailableError as error:
                outcomes |= {call.id: error for call in members}
                refused += [call.id for call in members]
                continue
            for call, admission in zip(members, admissions, strict=True):
                if admission not in {Admission.ACCEPTED, Admission.DUPLICATE}:
                    outcomes[call.id] = QueueFullError(f"the queue {name} is full", retry_after_s=5)
                    refused.append(call.id)
        if refused:
            self._store.delete(refused)
        return [outcomes.get(call.id) if new else _TakenError() for call, new in zip(calls, inserted, strict=True)]

    def _serve(self, name: str) -> None:
        if name in self._servers or self._sender is None:
            return
        is_callbacks = name == CALLBACKS
        server = self._servers[name] = QueueServer(
            self._queue,
            name,
            self._callbacks.serve if is_callbacks else self._sender.serve,
            server_id=self._id,
            most=_CALLBACKS_AT_ONCE if is_callbacks else self._limits.at_once,
            threads=self._threads,
            bells=self._bells,
        )
        server.start()

    async def _keep_sweeping(self) -> None:
        is_away = False
        while True:
            for name in self._sweep.queues | {queue_of(one) for one in self._annotations()}:
                self._serve(name)
            try:
                if self._prepare is not None:
                    await self._threads.run(self._prepare)
                    self._prepare = None
                await self._threads.run(self._sweep.once)
                is_away = False
            except StoreUnavailableError as error:
                if not is_away:
                    log.warning("async.not_swept", reason=error.detail)
                is_away = True
            except Exception:
                # The edge of this task: the next sweep may go better.
                log.exception("async.sweep_failed")
            await asyncio.sleep(INTERVAL_S)


class _TakenError(Exception):
    """Another call has that id."""


def _own_id(call_id: str) -> str:
    """*call_id* where nobody can guess it, else a new one: who knows a call's id may read its result."""
    with contextlib.suppress(ValueError):
        if uuid.UUID(call_id).version == _RANDOM:
            return str(uuid.UUID(call_id))
    return str(uuid.uuid4())


def _kept_headers(request: BaseRequest, call_id: str) -> tuple[tuple[str, str], ...]:
    """The client's headers, and those that a call from here would get wrong."""
    headers = [
        (storable(name), storable(value)) for name, value in request.headers.items() if name.lower() not in _NOT_KEPT
    ]
    names = {name.lower() for name, _ in headers}
    for name, value in (
        ("X-Call-Id", call_id),
        ("X-Forwarded-For", peer_address(request)),
        ("X-Forwarded-Host", storable(request.headers.get("Host", ""))),
    ):
        if name.lower() not in names:
            headers.append((name, value))
    return tuple(headers)

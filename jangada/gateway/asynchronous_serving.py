"""One queue, served on the event loop: claim, keep the leases, do the work side by side, close or put back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from jangada.clock import to_ms, utc_now
from jangada.errors import StoreUnavailableError
from jangada.gateway.asynchronous_bodies import Threads
from jangada.jobs.claims import Claims
from jangada.jobs.queue import Claimed, Finish, JobQueue, Lease, LeaseState
from jangada.logs import get_logger

log = get_logger(part="async")

LEASE_S = 15.0
_RENEW_EVERY_S = 1.0
_BELL_S = 1.0
_LOOK_AGAIN_S = 1.0
_FULL_WAIT_S = 0.5


@dataclass(frozen=True, slots=True)
class Closed:
    """It is over: the entry leaves the queue."""

    status: str


@dataclass(frozen=True, slots=True)
class PutBack:
    """It comes again after *delay_s*."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Dropped:
    """There is nothing to do for it, or somebody else does it: its lease is left alone, or *forget* the entry."""

    forget: bool = False


Verdict = Closed | PutBack | Dropped
Serve = Callable[[Lease], Awaitable[Verdict]]


class QueueServer:
    """
    Serves *name* with at most *most* entries at once.

    A process that dies loses its leases after `LEASE_S`, and whoever serves the
    queue then gets the entries again. *serve* is canceled when its lease is lost.
    """

    def __init__(
        self, queue: JobQueue, name: str, serve: Serve, *, server_id: str, most: int, threads: Threads, bells: Threads
    ) -> None:
        self._queue = queue
        self._name = name
        self._serve = serve
        self._id = server_id
        self._claims = Claims(queue, name, server_id)
        self._most = most
        self._threads = threads
        self._bells = bells
        self._running: dict[str, tuple[Lease, asyncio.Task[None]]] = {}
        self._room = asyncio.Event()
        self._stopping = False
        self._is_away = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def running(self) -> int:
        """Entries being served now."""
        return len(self._running)

    def start(self) -> None:
        """Begin; to be called on the event loop."""
        self._tasks = [asyncio.create_task(self._claim()), asyncio.create_task(self._renew())]

    async def stop(self, grace_s: float) -> None:
        """Claim nothing more; what is not done after *grace_s* is handed back, to be done again elsewhere."""
        self._stopping = True
        self._tasks[0].cancel()
        tasks = [task for _, task in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        left = [lease for lease, _ in self._running.values()]
        for task in tasks:
            task.cancel()
        self._tasks[1].cancel()
        await asyncio.gather(*tasks, *self._tasks, return_exceptions=True)
        if left:
            with contextlib.suppress(StoreUnavailableError):
                await self._threads.run(self._queue.release, self._name, left)

    async def _claim(self) -> None:
        while True:
            try:
                await self._turn()
            except StoreUnavailableError as error:
                self._away(error)
                await asyncio.sleep(_LOOK_AGAIN_S)
            except Exception:
                # The edge of this task: a fault of ours must not end the serving.
                log.exception("async.claim_failed", queue=self._name)
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def _turn(self) -> None:
        room = self._most - len(self._running)
        if room <= 0:
            self._room.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FULL_WAIT_S):
                    await self._room.wait()
            return
        # Shielded: a claim whose answer nobody takes would rest until its leases end.
        claiming = asyncio.ensure_future(
            self._threads.run(self._claims.claim, min(room, 64), settle=16, lease_s=LEASE_S)
        )
        try:
            claimed = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await self._give_back(claiming)
            raise
        self._is_away = False
        for lease in claimed.leases:
            self._running[lease.job_id] = (lease, asyncio.create_task(self._one(lease)))
        if not claimed.leases:
            due_s = _BELL_S
            if claimed.next_due_ms is not None:
                due_s = min(_BELL_S, max(0.02, (claimed.next_due_ms - claimed.now_ms) / 1000))
            await self._bells.run(self._queue.wait_for_bell, self._name, due_s)

    async def _give_back(self, claiming: asyncio.Future[Claimed]) -> None:
        with contextlib.suppress(StoreUnavailableError):
            leases = (await claiming).leases
            if leases:
                await self._threads.run(self._queue.release, self._name, leases)

    async def _one(self, lease: Lease) -> None:
        try:
            verdict = await self._serve(lease)
            await self._settle(lease, verdict)
        except StoreUnavailableError as error:
            # The lease runs out, and it is done again.
            self._away(error)
        except Exception:
            log.exception("async.failed", queue=self._name, call_id=lease.job_id)
            with contextlib.suppress(StoreUnavailableError):
                await self._settle(lease, PutBack(60.0))
        finally:
            if self._running.get(lease.job_id, (None,))[0] is lease:
                del self._running[lease.job_id]
            self._room.set()

    async def _settle(self, lease: Lease, verdict: Verdict) -> None:
        if isinstance(verdict, Closed):
            finish = Finish(lease, verdict.status)
            await self._threads.run(self._queue.finish_and_claim, self._name, self._id, finished=[finish], settle=0)
        elif isinstance(verdict, PutBack):
            attempt = {"number": lease.attempt, "outcome": "failed", "error": None, "executor_id": self._id}
            attempt["ended_ms"] = to_ms(utc_now())
            await self._threads.run(self._queue.retry, self._name, lease, delay_s=verdict.delay_s, attempt=attempt)
        elif verdict.forget:
            await self._threads.run(self._queue.drop, self._name, [lease.job_id])

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_EVERY_S)
            held = list(self._running.values())
            if not held:
                continue
            try:
                states = await self._threads.run(
                    self._queue.renew, self._name, self._id, [lease for lease, _ in held], LEASE_S
                )
            except StoreUnavailableError as error:
                self._away(error)
                continue
            for (_, task), state in zip(held, states, strict=True):
                if state is not LeaseState.HELD:
                    task.cancel()

    def _away(self, error: StoreUnavailableError) -> None:
        """Say it once, not each second."""
        if not self._is_away and not self._stopping:
            log.warning("async.store_unavailable", queue=self._name, reason=error.detail)
        self._is_away = True

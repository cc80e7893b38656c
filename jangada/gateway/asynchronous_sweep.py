"""
Makes queue and store of asynchronous calls agree again, and forgets old results.

What the store holds open and the queue does not know (Redis came back empty; a
gateway died between the two writes) is queued again, in a new epoch, so that an
attempt from before can no longer write.
"""

from __future__ import annotations

from collections import defaultdict

from jangada.clock import Clock, to_ms, utc_now
from jangada.errors import StoreUnavailableError
from jangada.gateway.asynchronous_bodies import Bodies
from jangada.gateway.asynchronous_call import CALLBACKS, QUEUE, AsyncCall
from jangada.gateway.asynchronous_callbacks import Callbacks
from jangada.gateway.asynchronous_store import AsyncCallStore
from jangada.jobs.job import EPOCH_SHIFT
from jangada.jobs.queue import JobQueue, QueueEntry

INTERVAL_S = 5.0
_FULL_WALK_S = 300.0
_RECENT_MS = 60_000
_GRACE_MS = 5_000
"""Younger calls may still be on their way from the store to the queue."""
_PAGE = 200
_LOST_ATTEMPTS = 20
"""How often, beyond its own attempts, a call may be lost with the gateway that made it."""


def entry(call: AsyncCall) -> QueueEntry:
    """*call* as its queue takes it. Functions take turns: each is its own tenant there."""
    return QueueEntry(
        job_id=call.id,
        tenant_id=call.function,
        body=b"{}",
        epoch=call.fence >> EPOCH_SHIFT,
        max_attempts=call.retry.attempts + _LOST_ATTEMPTS,
    )


class AsyncSweep:
    """`once` may be run by anybody at any time; of several gateways one does it."""

    def __init__(
        self,
        queue: JobQueue,
        store: AsyncCallStore,
        bodies: Bodies,
        callbacks: Callbacks,
        *,
        keep_s: float,
        clock: Clock = utc_now,
    ) -> None:
        self._queue = queue
        self._store = store
        self._bodies = bodies
        self._callbacks = callbacks
        self._keep_s = keep_s
        self._clock = clock
        self.queues = frozenset({QUEUE})
        """The queues that open calls were seen in."""

    def once(self, *, full: bool | None = None) -> int:
        """
        Sweep; how many entries were queued again. Blocks.

        *full*: look at all open calls, not at those of the last minute only. Left
        open, that is decided by a mark that lives in Redis as long as a full walk is good for.
        """
        if full is None:
            if not self._queue.lock("async-sweep", INTERVAL_S - 0.5):
                return 0
            full = self._queue.lock("async-walk", _FULL_WALK_S)
        now_ms = to_ms(self._clock())
        queued = 0
        seen = {QUEUE}
        after = None if full else (now_ms - _RECENT_MS, "")
        while page := self._store.unfinished(after, now_ms - _GRACE_MS, _PAGE):
            queued += self._requeue(page)
            seen |= {call.queue for call in page if not call.is_final}
            after = (page[-1].created_ms, page[-1].id)
        self.queues = frozenset(seen) if full else self.queues | seen
        self._forget(now_ms)
        return queued

    def _requeue(self, page: list[AsyncCall]) -> int:
        by_queue: dict[str, list[AsyncCall]] = defaultdict(list)
        for call in page:
            by_queue[CALLBACKS if call.is_final else call.queue].append(call)
        queued = 0
        for name, calls in by_queue.items():
            held = self._queue.holds(name, [call.id for call in calls])
            for call in (call for call, known in zip(calls, held, strict=True) if not known):
                if name == CALLBACKS:
                    self._callbacks.enqueue(call)
                else:
                    epoch = self._store.next_epoch(call)
                    if epoch is None:
                        continue
                    current = self._store.get(call.id)
                    if current is not None:
                        self._queue.enqueue_many(name, [entry(current)])
                queued += 1
        return queued

    def _forget(self, now_ms: int) -> None:
        old = self._store.expired(now_ms - round(self._keep_s * 1000), _PAGE)
        for call in old:
            try:
                self._bodies.drop(call.body, call.answer.body if call.answer is not None else None)
            except StoreUnavailableError:
                return
        self._store.delete([call.id for call in old])

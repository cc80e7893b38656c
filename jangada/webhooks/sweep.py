"""
What makes `completed` certain: the store remembers that it is due until it is in the delivery log.

One process at a time does it (`JobQueue.lock`); any may.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from jangada.clock import Clock, from_ms
from jangada.errors import StoreUnavailableError
from jangada.jobs.job import Job
from jangada.jobs.queue import JobQueue
from jangada.jobs.store import JobStore
from jangada.webhooks.delivery import KEPT_S, Delivery, delivery_id
from jangada.webhooks.message import QUEUE, entry
from jangada.webhooks.store import WebhookStore

_log = structlog.get_logger()

OVERDUE_S = 120.0
"""A pending delivery that nobody tried for this long may have lost its place in the queue."""
_AT_ONCE = 500
_PURGE_EVERY_ROUNDS = 200


class WebhookSweep:
    """Hands due webhooks to the queue, brings back lost ones, and empties the log of old ones."""

    def __init__(
        self,
        queue: JobQueue,
        jobs: JobStore,
        store: WebhookStore,
        *,
        every_s: float = 5.0,
        also_purge: Callable[[], int] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._queue = queue
        self._jobs = jobs
        self._store = store
        self._every_s = every_s
        self._also_purge = also_purge
        # The queue's, as in the jobs' sweep: that of this machine may be wrong.
        self._clock = clock or (lambda: from_ms(queue.now_ms()))
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Sweep each *every_s* seconds in a thread, until `stop`."""
        self._thread = threading.Thread(target=self._run, name="webhook-sweep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the present round."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(10)

    def sweep_once(self) -> int:
        """One round, whoever else sweeps: how many deliveries were put into the queue. Idempotent."""
        count = self._hand_over(self._jobs.webhooks_due(_AT_ONCE))
        return count + self._bring_back()

    def purge(self) -> int:
        """Remove deliveries older than `KEPT_S`, and what *also_purge* removes; how many."""
        removed = self._store.purge(self._clock() - timedelta(seconds=KEPT_S))
        return removed + (self._also_purge() if self._also_purge is not None else 0)

    def _hand_over(self, jobs: Sequence[Job]) -> int:
        deliveries = [self._completed(job) for job in jobs if job.webhook is not None]
        fresh = [delivery for delivery, added in zip(deliveries, self._store.add(deliveries), strict=True) if added]
        # Log before queue before mark: dying in between repeats this, and every step is idempotent. What was in
        # the log already is on its way or over; if its queue entry was lost, `_bring_back` sees it.
        if fresh:
            self._queue.enqueue_many(QUEUE, [entry(delivery) for delivery in fresh])
        if jobs:
            self._jobs.webhooks_sent([job.id for job in jobs])
        return len(fresh)

    def _completed(self, job: Job) -> Delivery:
        assert job.webhook is not None  # noqa: S101 - the caller filtered
        now = self._clock()
        return Delivery(
            id=delivery_id(job.id, "completed"),
            tenant_id=job.tenant_id,
            job_id=job.id,
            event="completed",
            type=f"job.{job.status.value}",
            url=job.webhook.url,
            format=job.webhook.format,
            created_at=now,
            next_at=now,
        )

    def _bring_back(self) -> int:
        overdue = self._store.overdue(self._clock() - timedelta(seconds=OVERDUE_S), _AT_ONCE)
        if not overdue:
            return 0
        known = self._queue.holds(QUEUE, [delivery.id for delivery in overdue])
        lost = [delivery for delivery, there in zip(overdue, known, strict=True) if not there]
        if lost:
            self._queue.enqueue_many(QUEUE, [entry(delivery) for delivery in lost])
        return len(lost)

    def _run(self) -> None:
        rounds = 0
        while not self._stopping.wait(self._every_s):
            try:
                if not self._queue.lock("webhook-sweep", self._every_s * 0.9):
                    continue
                self.sweep_once()
                if rounds % _PURGE_EVERY_ROUNDS == 0:
                    self.purge()
                rounds += 1
            except StoreUnavailableError as error:
                _log.warning("webhook.sweep_postponed", reason=error.detail)

"""
The queues' depths and ages, on the page of one executor at a time.

Every executor could tell them all; whoever holds a short lock does, so that a
hundred executors do not ask a hundred times. Which queues there are is read from
the registered algorithms: no scan of Redis' keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

from jangada.algorithms.store import AlgorithmStore
from jangada.errors import JangadaError
from jangada.executor.metrics_text import Gauge, Labels
from jangada.jobs.queue import JobQueue, QueueStats

TURN_S = 20.0
"""How long one executor tells of the queues; at most so long they go untold when it vanishes."""
NAMES_S = 60.0

Samples = list[tuple[Labels, float]]


class QueueGauges:
    """What is known of all queues, read when the page is."""

    def __init__(
        self,
        queue: JobQueue,
        algorithms: AlgorithmStore,
        own: Iterable[str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._algorithms = algorithms
        self._own = frozenset(own)
        self._clock = clock
        self._names: frozenset[str] = frozenset()
        self._names_at = float("-inf")
        self._turn_ends = float("-inf")
        self._stats: list[QueueStats] = []

    def refresh(self) -> None:
        """Read the queues, if it is this executor's turn; while a server is away there is nothing to tell."""
        self._stats = []
        try:
            if self._is_our_turn():
                self._stats = [self._queue.stats(name) for name in sorted(self._known())]
        except JangadaError:
            return

    @property
    def families(self) -> tuple[Gauge, ...]:
        """What is told of each queue."""

        def each(value: Callable[[QueueStats], float]) -> Callable[[], Samples]:
            return lambda: [((one.queue,), value(one)) for one in self._stats]

        gauge = partial(Gauge, labels=("queue",))
        return (
            Gauge("jangada_queue_ready_jobs", "Jobs that may be claimed.", self._ready, ("queue", "priority")),
            gauge("jangada_queue_delayed_jobs", "Jobs that wait for their time.", each(lambda one: one.delayed)),
            gauge("jangada_queue_leased_jobs", "Jobs that executors hold.", each(lambda one: one.leased)),
            gauge("jangada_queue_settling_jobs", "Jobs that wait for an outcome.", each(lambda one: one.settling)),
            gauge("jangada_queue_paused", "1 while it hands out nothing.", each(lambda one: one.control.paused)),
            gauge("jangada_queue_draining", "1 while it accepts nothing.", each(lambda one: one.control.draining)),
            gauge("jangada_queue_dead_jobs", "Dead letters: jobs that failed for good.", each(lambda one: one.dead)),
            gauge("jangada_queue_bytes", "Bytes of unfinished jobs.", each(lambda one: one.bytes)),
            gauge("jangada_queue_oldest_seconds", "How long the oldest waits.", each(lambda one: one.oldest_s or 0.0)),
        )  # fmt: skip

    def _ready(self) -> Samples:
        return [((one.queue, band), count) for one in self._stats for band, count in one.ready.items()]

    def _is_our_turn(self) -> bool:
        now = self._clock()
        if now < self._turn_ends:
            return True
        if not self._queue.lock("queue-gauges", TURN_S):
            return False
        self._turn_ends = now + TURN_S
        return True

    def _known(self) -> frozenset[str]:
        now = self._clock()
        if now >= self._names_at + NAMES_S:
            self._names = frozenset(record.queue for record in self._algorithms.page()) | self._own
            self._names_at = now
        return self._names

"""Dispatcher and sweep together: what a process starts to send webhooks."""

from __future__ import annotations

from collections.abc import Callable

from jangada.clock import Clock, utc_now
from jangada.jobs.queue import JobQueue
from jangada.jobs.store import JobStore
from jangada.webhooks.dispatcher import WebhookDispatcher
from jangada.webhooks.guard import OutboundGuard
from jangada.webhooks.sender import WebhookSender
from jangada.webhooks.store import WebhookStore
from jangada.webhooks.sweep import WebhookSweep


class WebhookBackground:
    """`start` returns at once; `stop` lets what is being sent end and hands back the rest."""

    def __init__(
        self,
        queue: JobQueue,
        jobs: JobStore,
        store: WebhookStore,
        guard: OutboundGuard,
        *,
        base_url: str = "",
        also_purge: Callable[[], int] | None = None,
        clock: Clock = utc_now,
    ) -> None:
        sender = WebhookSender(jobs, store, guard, base_url=base_url, clock=clock)
        self._dispatcher = WebhookDispatcher(queue, sender, clock=clock)
        self._sweep = WebhookSweep(queue, jobs, store, also_purge=also_purge, clock=clock)

    def start(self) -> None:
        """Begin to send. Any number of processes may."""
        self._dispatcher.start()
        self._sweep.start()

    def stop(self) -> None:
        """Stop; takes at most about as long as one sending."""
        self._sweep.stop()
        self._dispatcher.stop()

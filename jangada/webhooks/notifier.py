"""The executor's side of webhooks: tell the webhook queue that something happened to a job."""

from __future__ import annotations

import time
from typing import Literal, cast

from jangada.clock import Clock, utc_now
from jangada.errors import StoreUnavailableError
from jangada.jobs.job import JobStatus
from jangada.jobs.orders import may_have_webhook, parse
from jangada.jobs.queue import JobQueue, Lease
from jangada.webhooks.delivery import EVENTS, Delivery, delivery_id
from jangada.webhooks.message import QUEUE, entry

TYPES = {"started": "job.running", "output": "job.output", "logs": "job.log"}
EVERY_S = 0.5
"""`output` and `logs` are told of at most this often per job."""
_REMEMBERED = 4096


class WebhookNotifier:
    """
    ``notify(event, lease, status)``, for `JobExecution` and the executor's loop.

    One call of Redis for a job with a webhook, nothing at all for others. Never
    raises. A lost `completed` is made up for by the sweep, since the store remembers
    that it is due; the other events are told on a best-effort basis.
    """

    def __init__(self, queue: JobQueue, *, clock: Clock = utc_now) -> None:
        self._queue = queue
        self._clock = clock
        self._last: dict[tuple[str, str], float] = {}

    def __call__(self, event: str, lease: Lease, status: JobStatus | None = None) -> None:
        """Enqueue the delivery that the job asked for, if any; telling twice makes one delivery."""
        if not may_have_webhook(lease.body) or event not in EVENTS:
            return
        hook = parse(lease.body).webhook
        if hook is None or (event != "completed" and event not in hook.events):
            return
        occurrence = lease.epoch * 1000 + lease.attempt
        if event in {"output", "logs"}:
            if not self._is_time(lease.job_id, event):
                return
            occurrence = int(self._clock().timestamp() * 1000)
        delivery = Delivery(
            id=delivery_id(lease.job_id, event, occurrence),
            tenant_id=lease.tenant_id,
            job_id=lease.job_id,
            event=cast(Literal["started", "output", "logs", "completed"], event),
            type=f"job.{status.value}" if status is not None else TYPES.get(event, "job.completed"),
            url=hook.url,
            format=hook.format,
            created_at=self._clock(),
            data={"attempt": lease.attempt} if event == "started" else None,
        )
        try:
            self._queue.enqueue_many(QUEUE, [entry(delivery)])
        except StoreUnavailableError as error:
            # Imported when there is something to say: an executor's start pays 0.12 s and 4 MiB for it.
            import structlog

            structlog.get_logger().warning(
                "webhook.not_queued", job_id=lease.job_id, event_name=event, reason=error.detail
            )

    def _is_time(self, job_id: str, event: str) -> bool:
        now = time.monotonic()
        last = self._last.get((job_id, event))
        if last is not None and now - last < EVERY_S:
            return False
        if len(self._last) >= _REMEMBERED:
            self._last = {key: at for key, at in self._last.items() if now - at < EVERY_S}
        self._last[job_id, event] = now
        return True

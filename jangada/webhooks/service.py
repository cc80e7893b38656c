"""The client's side of webhooks: the delivery log, redelivery, and the signing secret."""

from __future__ import annotations

from jangada.clock import Clock, utc_now
from jangada.errors import ConflictError, NotFoundError
from jangada.jobs.queue import JobQueue
from jangada.webhooks import secrets
from jangada.webhooks.delivery import Delivery
from jangada.webhooks.message import QUEUE, entry
from jangada.webhooks.store import DeliveryFilter, SigningSecrets, WebhookStore


class WebhookService:
    """Thread-safe; one per process."""

    def __init__(self, queue: JobQueue, store: WebhookStore, *, clock: Clock = utc_now) -> None:
        self._queue = queue
        self._store = store
        self._clock = clock

    def page(self, where: DeliveryFilter, limit: int) -> list[Delivery]:
        """Newest first."""
        return self._store.page(where, limit)

    def get(self, delivery_id: str, tenant_id: str) -> Delivery:
        """The record. Raises `NotFoundError`, also for another tenant's."""
        found = self._store.get(delivery_id, tenant_id)
        if found is None:
            raise NotFoundError(f"no delivery {delivery_id}")
        return found

    def redeliver(self, delivery_id: str, tenant_id: str) -> Delivery:
        """
        Send it again, now, with the same `webhook-id` and a full round of retries.

        An endpoint that was disabled by a 410 is enabled again. Raises `NotFoundError`,
        or `ConflictError` when another redelivery of it began at this moment.
        """
        delivery = self.get(delivery_id, tenant_id)
        again = delivery.again(self._clock())
        self._store.enable(tenant_id, delivery.url)
        if not self._store.save(again):
            raise ConflictError(f"delivery {delivery_id} is being redelivered already")
        self._queue.enqueue_many(QUEUE, [entry(again)])
        return again

    def secrets(self, tenant_id: str) -> SigningSecrets:
        """The tenant's signing secrets, made at first use."""
        return secrets.secrets_of(self._store, tenant_id, self._clock())

    def rotate(self, tenant_id: str) -> SigningSecrets:
        """A new secret; the present one keeps signing beside it for a day."""
        return secrets.rotate(self._store, tenant_id, self._clock())

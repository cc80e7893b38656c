"""The webhook store in this process' memory: for tests, and for one process without servers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

from jangada.webhooks.delivery import Delivery, DeliveryState
from jangada.webhooks.store import DeliveryFilter, SigningSecrets


class MemoryWebhookStore:
    """Implements `WebhookStore`; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deliveries: dict[str, Delivery] = {}
        self._secrets: dict[str, SigningSecrets] = {}
        self._disabled: set[tuple[str, str]] = set()

    def add(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """See `WebhookStore.add`."""
        with self._lock:
            fresh = [one.id not in self._deliveries for one in deliveries]
            for one in deliveries:
                self._deliveries.setdefault(one.id, one)
            return fresh

    def save(self, delivery: Delivery) -> bool:
        """See `WebhookStore.save`."""
        with self._lock:
            there = self._deliveries.get(delivery.id)
            if there is not None and there.epoch > delivery.epoch:
                return False
            self._deliveries[delivery.id] = delivery
            return True

    def get(self, delivery_id: str, tenant_id: str | None = None) -> Delivery | None:
        """See `WebhookStore.get`."""
        found = self._deliveries.get(delivery_id)
        return found if found is not None and tenant_id in {None, found.tenant_id} else None

    def page(self, where: DeliveryFilter, limit: int) -> list[Delivery]:
        """See `WebhookStore.page`."""
        with self._lock:
            matching = [
                one
                for one in self._deliveries.values()
                if one.tenant_id == where.tenant_id
                and where.job_id in {None, one.job_id}
                and where.state in {None, one.state}
                and (where.before is None or one.id < where.before)
            ]
        return sorted(matching, key=lambda one: one.id, reverse=True)[:limit]

    def overdue(self, before: datetime, limit: int) -> list[Delivery]:
        """See `WebhookStore.overdue`."""
        with self._lock:
            waiting = [
                one
                for one in self._deliveries.values()
                if one.state is DeliveryState.PENDING and one.next_at is not None and one.next_at < before
            ]
        return waiting[:limit]

    def purge(self, created_before: datetime) -> int:
        """See `WebhookStore.purge`."""
        with self._lock:
            old = [one.id for one in self._deliveries.values() if one.created_at < created_before]
            for one in old:
                del self._deliveries[one]
        return len(old)

    def secrets(self, tenant_id: str) -> SigningSecrets | None:
        """See `WebhookStore.secrets`."""
        return self._secrets.get(tenant_id)

    def put_secrets(self, tenant_id: str, secrets: SigningSecrets, *, replaces: str | None) -> bool:
        """See `WebhookStore.put_secrets`."""
        with self._lock:
            there = self._secrets.get(tenant_id)
            if (there.current if there else None) != replaces:
                return False
            self._secrets[tenant_id] = secrets
            return True

    def disable(self, tenant_id: str, url: str, at: datetime) -> None:
        """See `WebhookStore.disable`."""
        del at
        with self._lock:
            self._disabled.add((tenant_id, url))

    def enable(self, tenant_id: str, url: str) -> None:
        """See `WebhookStore.enable`."""
        with self._lock:
            self._disabled.discard((tenant_id, url))

    def is_disabled(self, tenant_id: str, url: str) -> bool:
        """See `WebhookStore.is_disabled`."""
        return (tenant_id, url) in self._disabled

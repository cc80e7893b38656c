"""The webhook store: the delivery log, each tenant's signing secret, and endpoints that said 410."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from jangada.webhooks.delivery import Delivery, DeliveryState


@dataclass(frozen=True, slots=True)
class SigningSecrets:
    """A tenant's secret, and the one before it while a rotation lasts."""

    current: str
    created_at: datetime
    previous: str | None = None
    previous_until: datetime | None = None

    def in_force(self, now: datetime) -> list[str]:
        """The secrets to sign with at *now*, newest first."""
        if self.previous is not None and self.previous_until is not None and now < self.previous_until:
            return [self.current, self.previous]
        return [self.current]


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """What a list of deliveries asks for; pages by `before`, the id of the last one seen."""

    tenant_id: str
    job_id: str | None = None
    state: DeliveryState | None = None
    before: str | None = None


class WebhookStore(Protocol):
    """Every implementation raises `StoreUnavailableError` when its server is away."""

    def add(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """Insert; False, and nothing changed, for an id that was there already."""
        ...

    def save(self, delivery: Delivery) -> bool:
        """
        Write the record whole, inserting it when it is new. False, and nothing
        changed, when a record with a later epoch is there (a redelivery has begun).
        """
        ...

    def get(self, delivery_id: str, tenant_id: str | None = None) -> Delivery | None:
        """The record, or None when there is none (for that tenant)."""
        ...

    def page(self, where: DeliveryFilter, limit: int) -> list[Delivery]:
        """Newest first, by id."""
        ...

    def overdue(self, before: datetime, limit: int) -> list[Delivery]:
        """Pending deliveries whose next attempt was due before *before*: candidates for a lost queue entry."""
        ...

    def purge(self, created_before: datetime) -> int:
        """Remove old records, whatever their state; how many."""
        ...

    def secrets(self, tenant_id: str) -> SigningSecrets | None:
        """The tenant's secrets, or None before first use."""
        ...

    def put_secrets(self, tenant_id: str, secrets: SigningSecrets, *, replaces: str | None) -> bool:
        """Write, if the current secret is still *replaces* (None: if there is none); False otherwise."""
        ...

    def disable(self, tenant_id: str, url: str, at: datetime) -> None:
        """Send nothing more of this tenant to *url*. Idempotent."""
        ...

    def enable(self, tenant_id: str, url: str) -> None:
        """Take back a `disable`. Idempotent."""
        ...

    def is_disabled(self, tenant_id: str, url: str) -> bool:
        """Whether `disable` is in force."""
        ...

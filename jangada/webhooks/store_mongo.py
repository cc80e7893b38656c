"""The webhook store in MongoDB: collections `webhook_deliveries`, `webhook_secrets`, `webhook_disabled`."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from jangada.errors import StoreUnavailableError
from jangada.webhooks.delivery import Delivery, DeliveryAttempt, DeliveryState
from jangada.webhooks.store import DeliveryFilter, SigningSecrets

P = ParamSpec("P")
R = TypeVar("R")


def _translated(method: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except PyMongoError as error:
            raise StoreUnavailableError(f"MongoDB: {error}", retry_after_s=2) from error

    return call


class MongoWebhookStore:
    """Implements `WebhookStore`."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._deliveries = database["webhook_deliveries"]
        self._secrets = database["webhook_secrets"]
        self._disabled = database["webhook_disabled"]

    @_translated
    def create_indexes(self) -> None:
        """Create what `page`, `overdue` and `purge` read by. Idempotent."""
        # `order` repeats _id: not every server can have _id inside a compound index.
        self._deliveries.create_index([("tenant_id", ASCENDING), ("order", DESCENDING)])
        self._deliveries.create_index([("job_id", ASCENDING), ("order", DESCENDING)])
        self._deliveries.create_index([("state", ASCENDING), ("next_at", ASCENDING)])
        self._deliveries.create_index([("created_at", ASCENDING)])

    @_translated
    def add(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """See `WebhookStore.add`."""
        if not deliveries:
            return []
        try:
            self._deliveries.insert_many([_to_document(one) for one in deliveries], ordered=False)
        except BulkWriteError as error:
            errors = (error.details or {}).get("writeErrors", [])
            if any(one.get("code") != 11000 for one in errors):
                raise
            there = {one["index"] for one in errors}
            return [index not in there for index in range(len(deliveries))]
        return [True] * len(deliveries)

    @_translated
    def save(self, delivery: Delivery) -> bool:
        """See `WebhookStore.save`."""
        try:
            self._deliveries.replace_one(
                {"_id": delivery.id, "epoch": {"$lte": delivery.epoch}}, _to_document(delivery), upsert=True
            )
        except DuplicateKeyError:
            return False
        return True

    @_translated
    def get(self, delivery_id: str, tenant_id: str | None = None) -> Delivery | None:
        """See `WebhookStore.get`."""
        found = self._deliveries.find_one({"_id": delivery_id})
        if found is None or tenant_id not in {None, found["tenant_id"]}:
            return None
        return _from_document(found)

    @_translated
    def page(self, where: DeliveryFilter, limit: int) -> list[Delivery]:
        """See `WebhookStore.page`."""
        query: dict[str, Any] = {"tenant_id": where.tenant_id}
        if where.job_id is not None:
            query["job_id"] = where.job_id
        if where.state is not None:
            query["state"] = where.state.value
        if where.before is not None:
            query["order"] = {"$lt": where.before}
        return [_from_document(one) for one in self._deliveries.find(query).sort("order", DESCENDING).limit(limit)]

    @_translated
    def overdue(self, before: datetime, limit: int) -> list[Delivery]:
        """See `WebhookStore.overdue`."""
        query = {"state": DeliveryState.PENDING.value, "next_at": {"$lt": before}}
        return [_from_document(one) for one in self._deliveries.find(query).limit(limit)]

    @_translated
    def purge(self, created_before: datetime) -> int:
        """See `WebhookStore.purge`."""
        return self._deliveries.delete_many({"created_at": {"$lt": created_before}}).deleted_count

    @_translated
    def secrets(self, tenant_id: str) -> SigningSecrets | None:
        """See `WebhookStore.secrets`."""
        found = self._secrets.find_one({"_id": tenant_id})
        if found is None:
            return None
        return SigningSecrets(
            current=found["current"],
            created_at=_aware(found["created_at"]),
            previous=found.get("previous"),
            previous_until=_aware_or_none(found.get("previous_until")),
        )

    @_translated
    def put_secrets(self, tenant_id: str, secrets: SigningSecrets, *, replaces: str | None) -> bool:
        """See `WebhookStore.put_secrets`."""
        fields = {
            "current": secrets.current,
            "created_at": secrets.created_at,
            "previous": secrets.previous,
            "previous_until": secrets.previous_until,
        }
        if replaces is None:
            try:
                self._secrets.insert_one({"_id": tenant_id, **fields})
            except DuplicateKeyError:
                return False
            return True
        changed = self._secrets.replace_one({"_id": tenant_id, "current": replaces}, {"_id": tenant_id, **fields})
        return changed.matched_count == 1

    @_translated
    def disable(self, tenant_id: str, url: str, at: datetime) -> None:
        """See `WebhookStore.disable`."""
        # Whole documents, never $set: nx-27017 turns an instant in a $set into text.
        row = {"_id": _endpoint(tenant_id, url), "tenant_id": tenant_id, "url": url, "at": at}
        self._disabled.replace_one({"_id": row["_id"]}, row, upsert=True)

    @_translated
    def enable(self, tenant_id: str, url: str) -> None:
        """See `WebhookStore.enable`."""
        self._disabled.delete_one({"_id": _endpoint(tenant_id, url)})

    @_translated
    def is_disabled(self, tenant_id: str, url: str) -> bool:
        """See `WebhookStore.is_disabled`."""
        return self._disabled.find_one({"_id": _endpoint(tenant_id, url)}) is not None


def _endpoint(tenant_id: str, url: str) -> str:
    return hashlib.sha256(f"{tenant_id}\n{url}".encode()).hexdigest()


def _to_document(delivery: Delivery) -> dict[str, Any]:
    return {
        "_id": delivery.id,
        "order": delivery.id,
        "tenant_id": delivery.tenant_id,
        "job_id": delivery.job_id,
        "event": delivery.event,
        "type": delivery.type,
        "url": delivery.url,
        "format": delivery.format,
        "created_at": delivery.created_at,
        "data": delivery.data,
        "state": delivery.state.value,
        "attempts": [
            {
                "at": one.at,
                "duration_ms": one.duration_ms,
                "status": one.status,
                "error": one.error,
                "retry_after_s": one.retry_after_s,
                "permanent": one.permanent,
            }
            for one in delivery.attempts
        ],
        "next_at": delivery.next_at,
        "epoch": delivery.epoch,
        "round": delivery.round,
    }


def _from_document(found: dict[str, Any]) -> Delivery:
    return Delivery(
        id=found["_id"],
        tenant_id=found["tenant_id"],
        job_id=found["job_id"],
        event=found["event"],
        type=found["type"],
        url=found["url"],
        format=found["format"],
        created_at=_aware(found["created_at"]),
        data=found["data"],
        state=DeliveryState(found["state"]),
        attempts=tuple(DeliveryAttempt(**{**one, "at": _aware(one["at"])}) for one in found["attempts"]),
        next_at=_aware_or_none(found["next_at"]),
        epoch=found["epoch"],
        round=found["round"],
    )


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def _aware_or_none(instant: datetime | None) -> datetime | None:
    return None if instant is None else _aware(instant)

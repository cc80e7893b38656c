"""
Tenants, keys and signing keys in MongoDB: collections `tenants`, `api_keys`, `signing_keys`.

Each record's id is its `_id`, so that an insert is the unique one. `order` repeats
it and `by_tenant` is ``<tenant> <id>``, for their indexes alone: an index over one
field, and not `_id`, is what every server behind MongoDB's protocol really uses.
Instants are whole milliseconds: not every server keeps a date a date when an update
sets it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from jangada.clock import from_ms, to_ms
from jangada.mongo_client import translated
from jangada.tenants.keys import ApiKey
from jangada.tenants.store import SigningKey
from jangada.tenants.tenant import Tenant

Document = dict[str, Any]


class MongoTenantStore:
    """A `TenantStore` on a MongoDB database."""

    def __init__(self, database: Database[Document]) -> None:
        self._tenants = database["tenants"]
        self._keys = database["api_keys"]
        self._signing = database["signing_keys"]

    def create_indexes(self) -> None:
        """Create what lists are read by. Idempotent."""
        with translated():
            self._tenants.create_index([("order", ASCENDING)])
            self._keys.create_index([("by_tenant", ASCENDING)])
            self._keys.create_index([("order", ASCENDING)])

    def insert_tenant(self, tenant: Tenant) -> bool:
        """See `TenantStore`."""
        return _insert(self._tenants, _from_tenant(tenant))

    def get_tenant(self, tenant_id: str) -> Tenant | None:
        """See `TenantStore`."""
        with translated():
            found = self._tenants.find_one({"_id": tenant_id})
        return _to_tenant(found) if found else None

    def page_tenants(self, *, before: str | None, limit: int) -> list[Tenant]:
        """See `TenantStore`."""
        with translated():
            where = {"order": {"$lt": before}} if before is not None else {}
            return [_to_tenant(one) for one in self._tenants.find(where).sort("order", DESCENDING).limit(limit)]

    def insert_key(self, key: ApiKey) -> bool:
        """See `TenantStore`."""
        return _insert(self._keys, _from_key(key))

    def get_key(self, key_id: str) -> ApiKey | None:
        """See `TenantStore`."""
        with translated():
            found = self._keys.find_one({"_id": key_id})
        return _to_key(found) if found else None

    def page_keys(self, tenant_id: str | None, *, before: str | None, limit: int) -> list[ApiKey]:
        """See `TenantStore`."""
        if tenant_id is None:
            field, first, last = "order", "", before or "~"
        else:
            # "~" is above, and " " below, everything that an id is made of.
            field, first, last = "by_tenant", f"{tenant_id} ", f"{tenant_id} {before or '~'}"
        with translated():
            found = self._keys.find({field: {"$gt": first, "$lt": last}}).sort(field, DESCENDING).limit(limit)
            return [_to_key(one) for one in found]

    def revoke_key(self, key_id: str, at: datetime) -> ApiKey | None:
        """See `TenantStore`."""
        with translated():
            self._keys.update_one({"_id": key_id, "revoked_ms": None}, {"$set": {"revoked_ms": to_ms(at)}})
        return self.get_key(key_id)

    def replace_digest(self, key_id: str, digest: bytes) -> bool:
        """See `TenantStore`."""
        with translated():
            changed = self._keys.update_one({"_id": key_id}, {"$set": {"digest": digest.hex(), "revoked_ms": None}})
        return changed.matched_count > 0

    def insert_signing_key(self, key: SigningKey) -> bool:
        """See `TenantStore`."""
        document = {
            "_id": key.slot,
            "kid": key.kid,
            "private_pem": key.private_pem.decode(),
            "created_ms": to_ms(key.created_at),
            "retired_ms": _ms(key.retired_at),
        }
        return _insert(self._signing, document)

    def signing_keys(self) -> list[SigningKey]:
        """See `TenantStore`."""
        with translated():
            found = [_to_signing_key(one) for one in self._signing.find({})]
        return sorted(found, key=lambda key: (key.created_at, key.kid))

    def retire_signing_keys(self, *, but: str, at: datetime) -> None:
        """See `TenantStore`."""
        with translated():
            self._signing.update_many({"kid": {"$ne": but}, "retired_ms": None}, {"$set": {"retired_ms": to_ms(at)}})


def _insert(collection: Any, document: Document) -> bool:
    with translated():
        try:
            collection.insert_one(document)
        except DuplicateKeyError:
            return False
    return True


def _from_tenant(tenant: Tenant) -> Document:
    return {
        "_id": tenant.id,
        "order": tenant.id,
        "name": tenant.name,
        "created_ms": to_ms(tenant.created_at),
        "weight": tenant.weight,
        "max_jobs": tenant.max_jobs,
        "max_bytes": tenant.max_bytes,
        "max_file_bytes": tenant.max_file_bytes,
    }


def _to_tenant(found: Document) -> Tenant:
    return Tenant(
        id=found["_id"],
        name=found["name"],
        created_at=from_ms(found["created_ms"]),
        weight=found["weight"],
        max_jobs=found["max_jobs"],
        max_bytes=found["max_bytes"],
        max_file_bytes=found["max_file_bytes"],
    )


def _from_key(key: ApiKey) -> Document:
    return {
        "_id": key.id,
        "order": key.id,
        "by_tenant": f"{key.tenant_id} {key.id}",
        "tenant_id": key.tenant_id,
        "name": key.name,
        "digest": key.digest.hex(),
        "start": key.start,
        "scopes": sorted(key.scopes),
        "created_ms": to_ms(key.created_at),
        "created_by": key.created_by,
        "expires_ms": _ms(key.expires_at),
        "revoked_ms": _ms(key.revoked_at),
    }


def _to_key(found: Document) -> ApiKey:
    return ApiKey(
        id=found["_id"],
        tenant_id=found["tenant_id"],
        name=found["name"],
        digest=bytes.fromhex(found["digest"]),
        start=found["start"],
        scopes=frozenset(found["scopes"]),
        created_at=from_ms(found["created_ms"]),
        created_by=found["created_by"],
        expires_at=_instant(found["expires_ms"]),
        revoked_at=_instant(found["revoked_ms"]),
    )


def _to_signing_key(found: Document) -> SigningKey:
    return SigningKey(
        kid=found["kid"],
        slot=found["_id"],
        private_pem=found["private_pem"].encode(),
        created_at=from_ms(found["created_ms"]),
        retired_at=_instant(found["retired_ms"]),
    )


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else to_ms(instant)


def _instant(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_ms(milliseconds)

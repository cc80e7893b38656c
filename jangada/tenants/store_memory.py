"""Tenants and keys in memory: for tests, and for one process that forgets."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime

from jangada.tenants.keys import ApiKey
from jangada.tenants.store import SigningKey
from jangada.tenants.tenant import Tenant


class MemoryTenantStore:
    """A `TenantStore` of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tenants: dict[str, Tenant] = {}
        self._keys: dict[str, ApiKey] = {}
        self._signing: dict[str, SigningKey] = {}

    def insert_tenant(self, tenant: Tenant) -> bool:
        """See `TenantStore`."""
        with self._lock:
            return self._tenants.setdefault(tenant.id, tenant) is tenant

    def get_tenant(self, tenant_id: str) -> Tenant | None:
        """See `TenantStore`."""
        return self._tenants.get(tenant_id)

    def page_tenants(self, *, before: str | None, limit: int) -> list[Tenant]:
        """See `TenantStore`."""
        with self._lock:
            ids = sorted((i for i in self._tenants if before is None or i < before), reverse=True)
            return [self._tenants[i] for i in ids[:limit]]

    def insert_key(self, key: ApiKey) -> bool:
        """See `TenantStore`."""
        with self._lock:
            return self._keys.setdefault(key.id, key) is key

    def get_key(self, key_id: str) -> ApiKey | None:
        """See `TenantStore`."""
        return self._keys.get(key_id)

    def page_keys(self, tenant_id: str | None, *, before: str | None, limit: int) -> list[ApiKey]:
        """See `TenantStore`."""
        with self._lock:
            found = [
                key
                for key in self._keys.values()
                if (tenant_id is None or key.tenant_id == tenant_id) and (before is None or key.id < before)
            ]
        return sorted(found, key=lambda key: key.id, reverse=True)[:limit]

    def revoke_key(self, key_id: str, at: datetime) -> ApiKey | None:
        """See `TenantStore`."""
        with self._lock:
            key = self._keys.get(key_id)
            if key is not None and key.revoked_at is None:
                key = self._keys[key_id] = replace(key, revoked_at=at)
            return key

    def replace_digest(self, key_id: str, digest: bytes) -> bool:
        """See `TenantStore`."""
        with self._lock:
            key = self._keys.get(key_id)
            if key is None:
                return False
            self._keys[key_id] = replace(key, digest=digest, revoked_at=None)
            return True

    def insert_signing_key(self, key: SigningKey) -> bool:
        """See `TenantStore`."""
        with self._lock:
            return self._signing.setdefault(key.slot, key) is key

    def signing_keys(self) -> list[SigningKey]:
        """See `TenantStore`."""
        with self._lock:
            return sorted(self._signing.values(), key=lambda key: (key.created_at, key.kid))

    def retire_signing_keys(self, *, but: str, at: datetime) -> None:
        """See `TenantStore`."""
        with self._lock:
            for slot, key in self._signing.items():
                if key.kid != but and key.retired_at is None:
                    self._signing[slot] = replace(key, retired_at=at)

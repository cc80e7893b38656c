"""A hand-turned clock and what hangs on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from jangada.tenants import ApiKey, Authenticator, Caller, Tenant, TenantService, Tokens
from jangada.tenants.keys import Plaintext, new_key
from jangada.tenants.store_memory import MemoryTenantStore


@dataclass
class World:
    """Everything of tenants, at a time that moves when told to."""

    now: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    ticks: float = 0.0
    store: MemoryTenantStore = field(default_factory=MemoryTenantStore)

    def __post_init__(self) -> None:
        self.tokens = Tokens(self.store, clock=lambda: self.now)
        self.authenticator = Authenticator(
            self.store, self.tokens, clock=lambda: self.now, ticks=lambda: self.ticks, cache_s=4.0
        )
        self.accounts = TenantService(self.store, self.authenticator, clock=lambda: self.now)
        for tenant_id in ("acme", "other"):
            self.store.insert_tenant(Tenant(tenant_id, tenant_id, self.now))

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.ticks += seconds

    def key(self, *scopes: str, tenant_id: str = "acme", life_s: float | None = None) -> tuple[ApiKey, Plaintext]:
        expires_at = None if life_s is None else self.now + timedelta(seconds=life_s)
        key, plain = new_key(tenant_id, "k", frozenset(scopes), now=self.now, expires_at=expires_at)
        self.store.insert_key(key)
        return key, plain

    def caller(self, *scopes: str, tenant_id: str = "acme", life_s: float | None = None) -> Caller:
        _, plain = self.key(*scopes, tenant_id=tenant_id, life_s=life_s)
        return self.authenticator.authenticate(f"Bearer {plain.text}")

    def token(self, key: ApiKey, *scopes: str) -> str:
        return self.tokens.issue(
            key_id=key.id, tenant_id=key.tenant_id, scopes=frozenset(scopes) or key.scopes, until=key.expires_at
        )


@pytest.fixture
def world() -> World:
    return World()

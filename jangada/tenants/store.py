"""The store of tenants, keys and signing keys: a protocol, for memory and MongoDB alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from jangada.tenants.keys import ApiKey
from jangada.tenants.tenant import Tenant


@dataclass(frozen=True, slots=True)
class SigningKey:
    """
    One Ed25519 key for tokens. *slot* is unique: of two replicas that make the first one, one wins.

    From *retired_at* on it signs nothing; what it signed before stays valid to its end.
    """

    kid: str
    slot: str
    private_pem: bytes
    created_at: datetime
    retired_at: datetime | None = None

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r}, slot={self.slot!r})"


class TenantStore(Protocol):
    """Every method raises `StoreUnavailableError` when the server is away."""

    def insert_tenant(self, tenant: Tenant) -> bool:
        """Add; False when there is one of that id, which stays as it is."""
        ...

    def get_tenant(self, tenant_id: str) -> Tenant | None:
        """The tenant, if there is one."""
        ...

    def page_tenants(self, *, before: str | None, limit: int) -> list[Tenant]:
        """In falling order of id, from below *before*."""
        ...

    def insert_key(self, key: ApiKey) -> bool:
        """Add; False when there is one of that id, which stays as it is."""
        ...

    def get_key(self, key_id: str) -> ApiKey | None:
        """The key, revoked or not."""
        ...

    def page_keys(self, tenant_id: str | None, *, before: str | None, limit: int) -> list[ApiKey]:
        """Keys of one tenant, or of all, newest first (by id), from below *before*."""
        ...

    def revoke_key(self, key_id: str, at: datetime) -> ApiKey | None:
        """Set `revoked_at` unless it is set; the key as it then stands, None when there is none."""
        ...

    def replace_digest(self, key_id: str, digest: bytes) -> bool:
        """Give a key another secret and make it valid again; False when there is none."""
        ...

    def insert_signing_key(self, key: SigningKey) -> bool:
        """Add; False when its slot is taken."""
        ...

    def signing_keys(self) -> list[SigningKey]:
        """All of them, oldest first."""
        ...

    def retire_signing_keys(self, *, but: str, at: datetime) -> None:
        """Set `retired_at` on every key that has none, except the one with kid *but*."""
        ...

"""Who makes a request, and the scopes that say what it may do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jangada.tenants.tenant import Tenant


class Scope(StrEnum):
    """What a key may do; `admin` may do everything, for every tenant."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    FILES_READ = "files:read"
    FILES_WRITE = "files:write"
    ALGORITHMS_READ = "algorithms:read"
    DEPLOYMENTS_WRITE = "deployments:write"
    USAGE_READ = "usage:read"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    ADMIN = "admin"


DEFAULT_SCOPES = frozenset(Scope) - {Scope.ADMIN, Scope.KEYS_READ, Scope.KEYS_WRITE, Scope.DEPLOYMENTS_WRITE}
"""What a new key may do when nothing is asked for: work, but make no other keys and ask for no capacity."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of a valid credential. *expires_at* is the end of the key behind it, if it has one."""

    tenant: Tenant
    key_id: str
    scopes: frozenset[str]
    expires_at: datetime | None = None

    @property
    def tenant_id(self) -> str:
        """Whose data this caller sees."""
        return self.tenant.id

    @property
    def is_admin(self) -> bool:
        """Whether it may act for any tenant."""
        return Scope.ADMIN in self.scopes

    def has(self, scope: str) -> bool:
        """Whether *scope* is held, by itself or as part of `admin`."""
        return scope in self.scopes or self.is_admin

    def has_all(self, scopes: Iterable[str]) -> bool:
        """Whether every one of *scopes* is held."""
        return all(self.has(scope) for scope in scopes)

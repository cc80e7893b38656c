"""Tenants and keys as an administrator, or a tenant itself, handles them. The rules of who may make what."""

from __future__ import annotations

from datetime import datetime

from jangada.clock import Clock, utc_now
from jangada.errors import ConflictError, FieldError, ForbiddenError, InvalidRequestError, NotFoundError
from jangada.logs import get_logger
from jangada.tenants.authenticator import Authenticator
from jangada.tenants.caller import DEFAULT_SCOPES, Caller, Scope
from jangada.tenants.keys import KEY_ID, ApiKey, new_key
from jangada.tenants.store import TenantStore
from jangada.tenants.tenant import TENANT_ID, Tenant

_log = get_logger()

ALL_TENANTS = "*"


class TenantService:
    """Everything here raises `StoreUnavailableError` when the store is away."""

    def __init__(self, store: TenantStore, authenticator: Authenticator, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._authenticator = authenticator
        self._clock = clock

    def create_tenant(
        self,
        tenant_id: str,
        name: str | None = None,
        *,
        weight: float = 1.0,
        max_jobs: int | None = None,
        max_bytes: int | None = None,
        max_file_bytes: int | None = None,
    ) -> Tenant:
        """Add a tenant. Raises `InvalidRequestError` for an id that is no label, `ConflictError` when it is taken."""
        if not TENANT_ID.match(tenant_id):
            raise _refused("/id", "expected 1 to 63 of a-z, 0-9 and -, beginning with a letter")
        tenant = Tenant(tenant_id, name or tenant_id, self._clock(), weight, max_jobs, max_bytes, max_file_bytes)
        if not self._store.insert_tenant(tenant):
            raise ConflictError(f"there is a tenant {tenant_id} already")
        _log.info("tenant.created", tenant_id=tenant_id)
        return tenant

    def get_tenant(self, tenant_id: str, caller: Caller) -> Tenant:
        """A tenant: the caller's own, or any for an admin. Raises `NotFoundError`."""
        found = self._store.get_tenant(tenant_id) if caller.is_admin or tenant_id == caller.tenant_id else None
        if found is None:
            raise NotFoundError(f"there is no tenant {tenant_id}")
        return found

    def page_tenants(self, *, before: str | None, limit: int) -> list[Tenant]:
        """All tenants, in falling order of id."""
        return self._store.page_tenants(before=before, limit=limit)

    def create_key(
        self,
        caller: Caller,
        name: str,
        *,
        tenant_id: str | None = None,
        scopes: frozenset[str] | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """
        A new key and its plaintext, which exists nowhere else.

        Nobody gives more than they have: scopes and expiry of the new key stay within
        the caller's. Raises `ForbiddenError`, `InvalidRequestError`, `NotFoundError`.
        """
        owner = self._tenant_for(caller, tenant_id)
        known = {str(scope) for scope in Scope}
        wanted = scopes if scopes is not None else frozenset(s for s in DEFAULT_SCOPES if caller.has(s))
        if unknown := sorted(wanted - known):
            raise _refused("/scopes", f"unknown scope {unknown[0]}; known are {', '.join(sorted(known))}")
        if not wanted:
            raise _refused("/scopes", "a key without a scope can do nothing")
        if missing := sorted(scope for scope in wanted if not caller.has(scope)):
            raise ForbiddenError(f"the scope {missing[0]} is not yours to give", extra={"scope": missing[0]})
        now = self._clock()
        if expires_at is not None and expires_at <= now:
            raise _refused("/expires_at", "expected an instant in the future")
        if caller.expires_at is not None and (expires_at is None or expires_at > caller.expires_at):
            expires_at = caller.expires_at
        key, plain = new_key(owner, name, wanted, now=now, created_by=caller.key_id, expires_at=expires_at)
        if not self._store.insert_key(key):
            raise ConflictError("the new key's id is taken; try again")
        _log.info("key.created", key_id=key.id, tenant_id=owner, by=caller.key_id)
        return key, plain.text

    def get_key(self, caller: Caller, key_id: str) -> ApiKey:
        """A key of the caller's tenant, or any for an admin. Raises `NotFoundError`."""
        found = self._store.get_key(key_id) if KEY_ID.match(key_id) else None
        if found is None or not (caller.is_admin or found.tenant_id == caller.tenant_id):
            raise NotFoundError(f"there is no key {key_id}")
        return found

    def page_keys(
        self, caller: Caller, *, tenant_id: str | None = None, before: str | None, limit: int
    ) -> list[ApiKey]:
        """Keys of the caller's tenant, newest first; an admin may name another, or ``*`` for all."""
        if tenant_id == ALL_TENANTS and caller.is_admin:
            return self._store.page_keys(None, before=before, limit=limit)
        return self._store.page_keys(self._tenant_for(caller, tenant_id), before=before, limit=limit)

    def revoke_key(self, caller: Caller, key_id: str) -> ApiKey:
        """
        End a key; everywhere within 5 s, also for the tokens made with it. Again changes nothing.

        Raises `NotFoundError`, and `ForbiddenError` for a key that can do more than the caller.
        """
        found = self.get_key(caller, key_id)
        if not caller.has_all(found.scopes):
            raise ForbiddenError("this key can do more than yours")
        revoked = self._store.revoke_key(key_id, self._clock())
        self._authenticator.forget()
        _log.info("key.revoked", key_id=key_id, tenant_id=found.tenant_id, by=caller.key_id)
        return revoked or found

    def _tenant_for(self, caller: Caller, tenant_id: str | None) -> str:
        if tenant_id is None or tenant_id == caller.tenant_id:
            return caller.tenant_id
        return self.get_tenant(tenant_id, caller).id


def _refused(pointer: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"{pointer.lstrip('/')}: {detail}", errors=[FieldError(pointer, detail)])

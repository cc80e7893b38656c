"""From an ``Authorization`` header to a caller, quickly, and forgetting soon."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from jangada.clock import Clock, utc_now
from jangada.errors import UnauthenticatedError
from jangada.tenants.caller import Caller
from jangada.tenants.keys import ApiKey, parse_plaintext
from jangada.tenants.store import TenantStore
from jangada.tenants.tokens import Tokens

CACHE_S = 4.0
"""A revoked key works at most this long: below the 5 s that are promised, by what an answer may take."""

_CACHE_SIZE = 20_000


@dataclass(frozen=True, slots=True)
class _Known:
    until: float
    caller: Caller | None
    expires_at: datetime | None
    refusal: str = ""


class Authenticator:
    """
    Answers from a cache for at most *cache_s* seconds, refusals too.

    One entry holds everything that was looked up for one credential (token, key,
    tenant) at one time, so that nothing is ever older than *cache_s*.
    """

    def __init__(
        self,
        store: TenantStore,
        tokens: Tokens,
        *,
        clock: Clock = utc_now,
        cache_s: float = CACHE_S,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock
        self._cache_s = cache_s
        self._ticks = ticks
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    def authenticate(self, authorization: str | None) -> Caller:
        """
        The caller behind the value of an ``Authorization`` header.

        Raises `UnauthenticatedError` when there is no valid credential in it, and
        `StoreUnavailableError` when that cannot be said now.
        """
        scheme, _, credential = (authorization or "").partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise UnauthenticatedError("send the header Authorization: Bearer <api key or token>")
        if len(credential) > 4096:
            raise UnauthenticatedError("the credential is not valid")
        # The cache holds no secrets, only their digests.
        name = hashlib.sha256(credential.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(name)
        if known is None or self._ticks() >= known.until:
            known = self._look_up(credential)
            self._remember(name, known)
        if known.caller is None:
            raise UnauthenticatedError(known.refusal)
        if known.expires_at is not None and self._clock() >= known.expires_at:
            raise UnauthenticatedError("the credential has expired")
        return known.caller

    def check_key(self, key_id: str, secret: str) -> ApiKey:
        """The valid key of that id and secret, read from the store; raises `UnauthenticatedError`."""
        key = self._store.get_key(key_id)
        if key is None or not key.accepts(secret) or not key.is_valid_at(self._clock()):
            raise UnauthenticatedError("the key is unknown, expired or revoked")
        return key

    def forget(self) -> None:
        """Drop the cache: what this process itself revoked works no longer at once."""
        with self._lock:
            self._known.clear()

    def _look_up(self, credential: str) -> _Known:
        # Taken before the store is read: the age of an entry is the age of what was read.
        until = self._ticks() + self._cache_s
        try:
            caller, expires_at = self._resolve(credential)
        except UnauthenticatedError as error:
            return _Known(until, None, None, error.detail)
        return _Known(until, caller, expires_at)

    def _resolve(self, credential: str) -> tuple[Caller, datetime | None]:
        plaintext = parse_plaintext(credential)
        if plaintext is not None:
            key = self.check_key(plaintext.key_id, plaintext.secret)
            return self._caller(key, key.scopes), key.expires_at
        if credential.count(".") != 2:
            raise UnauthenticatedError("the credential is not valid")
        claims = self._tokens.verify(credential)
        found = self._store.get_key(claims.key_id)
        if found is None or not found.is_valid_at(self._clock()) or found.tenant_id != claims.tenant_id:
            raise UnauthenticatedError("the key behind this token is expired or revoked")
        ends = [claims.expires_at] + ([found.expires_at] if found.expires_at else [])
        return self._caller(found, claims.scopes & found.scopes), min(ends)

    def _caller(self, key: ApiKey, scopes: frozenset[str]) -> Caller:
        tenant = self._store.get_tenant(key.tenant_id)
        if tenant is None:
            raise UnauthenticatedError("the key belongs to no tenant")
        return Caller(tenant, key.id, scopes, key.expires_at)

    def _remember(self, name: bytes, known: _Known) -> None:
        with self._lock:
            self._known[name] = known
            self._known.move_to_end(name)
            while len(self._known) > _CACHE_SIZE:
                self._known.popitem(last=False)

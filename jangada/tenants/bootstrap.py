"""The first tenant and the first admin key: made once, whoever starts first."""

from __future__ import annotations

from jangada.clock import Clock, utc_now
from jangada.errors import ConfigurationError
from jangada.tenants.caller import Scope
from jangada.tenants.keys import Plaintext, digest_of, new_key, new_plaintext, parse_plaintext
from jangada.tenants.store import TenantStore
from jangada.tenants.tenant import DEFAULT_TENANT, Tenant

FIRST_KEY_ID = "key_00000000000000000000000000"
"""The first key's id is fixed: of all who try to insert it, the store lets one win."""

_FIRST_SCOPES = frozenset(str(scope) for scope in Scope)


def ensure_first_key(store: TenantStore, *, given: str | None = None, clock: Clock = utc_now) -> str | None:
    """
    Make the tenant `default` and its admin key, unless they are there.

    Returns the key's plaintext to the one caller that made it, and None to all
    others, later and at the same time. *given* is a key chosen by the operator
    (the secret ``admin-key``); it is used instead of a random one.
    """
    now = clock()
    store.insert_tenant(Tenant(DEFAULT_TENANT, "Default", now))
    plaintext = _parse_given(given) if given else Plaintext(FIRST_KEY_ID, new_plaintext().secret)
    key, plain = new_key(DEFAULT_TENANT, "first admin key", _FIRST_SCOPES, now=now, plaintext=plaintext)
    return plain.text if store.insert_key(key) else None


def replace_first_key(store: TenantStore, *, clock: Clock = utc_now) -> str:
    """
    Give the first admin key another secret and return it: for an operator who lost it.

    The old secret stops working within the authenticator's cache time.
    """
    made = ensure_first_key(store, clock=clock)
    if made is not None:
        return made
    plain = Plaintext(FIRST_KEY_ID, new_plaintext().secret)
    store.replace_digest(FIRST_KEY_ID, digest_of(plain.secret))
    return plain.text


def _parse_given(given: str) -> Plaintext:
    plain = parse_plaintext(given.strip())
    if plain is None:
        raise ConfigurationError("the secret admin-key is not a key: expected jgd_<26 characters>_<43 characters>")
    return plain

"""What every `TenantStore` promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jangada.tenants import SigningKey, Tenant, TenantStore
from jangada.tenants.keys import digest_of, new_key
from jangada.tenants.store_memory import MemoryTenantStore
from tests.contract.stores import STORES

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> TenantStore:
    if request.param == "memory":
        return MemoryTenantStore()
    from jangada.tenants.store_mongo import MongoTenantStore

    made = MongoTenantStore(request.getfixturevalue(f"{request.param}_database"))
    made.create_indexes()
    return made


def key_of(tenant_id: str = "acme", **changes: object):
    key, _ = new_key(tenant_id, "k", frozenset({"jobs:read", "jobs:write"}), now=NOW)
    return replace(key, **changes)


def test_a_tenant_reads_back_and_is_inserted_once(store: TenantStore):
    tenant = Tenant("acme", "Acme & Söhne", NOW, 2.5, 10, 2**40, 0)
    assert store.insert_tenant(tenant)
    assert not store.insert_tenant(replace(tenant, name="other"))
    assert store.get_tenant("acme") == tenant
    assert store.get_tenant("nobody") is None


def test_tenants_page_in_falling_order(store: TenantStore):
    for name in ("b", "a", "c"):
        store.insert_tenant(Tenant(name, name, NOW))
    assert [one.id for one in store.page_tenants(before=None, limit=2)] == ["c", "b"]
    assert [one.id for one in store.page_tenants(before="b", limit=2)] == ["a"]


def test_a_key_reads_back_and_is_inserted_once(store: TenantStore):
    key = key_of(expires_at=NOW + timedelta(days=1), created_by="key_x")
    assert store.insert_key(key)
    assert not store.insert_key(replace(key, name="other"))
    assert store.get_key(key.id) == key
    assert store.get_key("key_nothing") is None


def test_of_many_who_insert_the_same_key_at_once_one_wins(store: TenantStore):
    key = key_of()
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.insert_key(replace(key, name=str(n))), range(8)))
    assert won.count(True) == 1
    assert store.get_key(key.id).name == str(won.index(True))


def test_keys_page_newest_first_by_tenant_or_all(store: TenantStore):
    mine = [key_of("acme") for _ in range(3)]
    others = [key_of("acme-2"), key_of("acm")]
    for key in [*mine, *others]:
        store.insert_key(key)
    newest = [key.id for key in reversed(mine)]
    assert [key.id for key in store.page_keys("acme", before=None, limit=10)] == newest
    assert [key.id for key in store.page_keys("acme", before=None, limit=2)] == newest[:2]
    assert [key.id for key in store.page_keys("acme", before=newest[1], limit=10)] == newest[2:]
    assert {key.id for key in store.page_keys(None, before=None, limit=10)} == {key.id for key in [*mine, *others]}
    assert store.page_keys("nobody", before=None, limit=10) == []


def test_a_key_is_revoked_once(store: TenantStore):
    key = key_of()
    store.insert_key(key)
    assert store.revoke_key(key.id, NOW).revoked_at == NOW
    assert store.revoke_key(key.id, NOW + timedelta(days=1)).revoked_at == NOW
    assert store.get_key(key.id).revoked_at == NOW
    assert store.revoke_key("key_nothing", NOW) is None


def test_a_replaced_digest_makes_the_key_valid_again(store: TenantStore):
    key = key_of(revoked_at=NOW)
    store.insert_key(key)
    assert store.replace_digest(key.id, digest_of("new"))
    found = store.get_key(key.id)
    assert found.accepts("new")
    assert found.revoked_at is None
    assert not store.replace_digest("key_nothing", b"x")


def test_one_signing_key_per_slot_and_the_oldest_first(store: TenantStore):
    first = SigningKey("kid1", "first", b"PEM 1", NOW)
    second = SigningKey("kid2", "second", b"PEM 2", NOW + timedelta(seconds=1))
    assert store.insert_signing_key(second)
    assert store.insert_signing_key(first)
    assert not store.insert_signing_key(replace(first, kid="kid3"))
    assert store.signing_keys() == [first, second]


def test_all_signing_keys_but_one_are_retired_once(store: TenantStore):
    for number in range(3):
        store.insert_signing_key(SigningKey(f"kid{number}", f"slot{number}", b"PEM", NOW + timedelta(seconds=number)))
    store.retire_signing_keys(but="kid2", at=NOW)
    store.retire_signing_keys(but="kid2", at=NOW + timedelta(days=1))
    assert [key.retired_at for key in store.signing_keys()] == [NOW, NOW, None]

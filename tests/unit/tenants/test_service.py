"""Who may make and end what."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jangada.errors import (
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    UnauthenticatedError,
)
from jangada.tenants.bootstrap import FIRST_KEY_ID, ensure_first_key, replace_first_key
from jangada.tenants.quota import quota_of
from jangada.tenants.tenant import Tenant

from .conftest import World


def test_a_new_key_works_and_its_plaintext_is_not_in_the_store(world: World):
    key, text = world.accounts.create_key(
        world.caller("keys:write", "jobs:read"), "ci", scopes=frozenset({"jobs:read"})
    )
    assert world.authenticator.authenticate(f"Bearer {text}").key_id == key.id
    assert text not in repr(world.store._keys)


def test_nobody_gives_a_scope_that_they_lack(world: World):
    with pytest.raises(ForbiddenError, match="admin"):
        world.accounts.create_key(world.caller("keys:write"), "x", scopes=frozenset({"admin"}))


def test_what_is_not_asked_for_is_what_one_has_of_the_usual(world: World):
    key, _ = world.accounts.create_key(world.caller("keys:write", "jobs:read"), "x")
    assert key.scopes == {"jobs:read"}


def test_a_key_does_not_outlive_the_one_that_made_it(world: World):
    me = world.caller("keys:write", "jobs:read", life_s=60)
    for wanted in (None, world.now + timedelta(days=1)):
        key, _ = world.accounts.create_key(me, "x", scopes=frozenset({"jobs:read"}), expires_at=wanted)
        assert key.expires_at == world.now + timedelta(seconds=60)


@pytest.mark.parametrize("scopes", [frozenset({"jobs:everything"}), frozenset()])
def test_unknown_or_no_scopes_are_refused(world: World, scopes: frozenset[str]):
    with pytest.raises(InvalidRequestError):
        world.accounts.create_key(world.caller("admin"), "x", scopes=scopes)


def test_an_expiry_in_the_past_is_refused(world: World):
    with pytest.raises(InvalidRequestError):
        world.accounts.create_key(world.caller("admin"), "x", expires_at=world.now)


def test_an_admin_acts_for_any_tenant_and_others_for_their_own(world: World):
    admin, me = world.caller("admin"), world.caller("keys:write", "keys:read", "jobs:read")
    key, _ = world.accounts.create_key(admin, "x", tenant_id="other", scopes=frozenset({"jobs:read"}))
    assert key.tenant_id == "other"
    assert world.accounts.get_key(admin, key.id) == key
    for attempt in (
        lambda: world.accounts.create_key(me, "x", tenant_id="other"),
        lambda: world.accounts.get_key(me, key.id),
        lambda: world.accounts.revoke_key(me, key.id),
        lambda: world.accounts.page_keys(me, tenant_id="other", before=None, limit=10),
        lambda: world.accounts.page_keys(me, tenant_id="*", before=None, limit=10),
        lambda: world.accounts.get_tenant("other", me),
    ):
        with pytest.raises(NotFoundError):
            attempt()
    assert key.id not in [one.id for one in world.accounts.page_keys(me, before=None, limit=10)]
    assert key.id in [one.id for one in world.accounts.page_keys(admin, tenant_id="*", before=None, limit=10)]


def test_revoking_ends_a_key_here_at_once_and_again_changes_nothing(world: World):
    me = world.caller("keys:write", "jobs:read")
    key, text = world.accounts.create_key(me, "x")
    world.authenticator.authenticate(f"Bearer {text}")
    first = world.accounts.revoke_key(me, key.id)
    with pytest.raises(UnauthenticatedError):
        world.authenticator.authenticate(f"Bearer {text}")
    world.pass_s(10)
    assert world.accounts.revoke_key(me, key.id).revoked_at == first.revoked_at


def test_a_lesser_key_cannot_revoke_a_greater_one(world: World):
    greater, _ = world.key("admin")
    with pytest.raises(ForbiddenError):
        world.accounts.revoke_key(world.caller("keys:write"), greater.id)


@pytest.mark.parametrize("tenant_id", ["", "A", "1a", "a_b", "a-", "a" * 64, "a b", "~a", "a\n"])
def test_a_tenant_id_is_a_label(world: World, tenant_id: str):
    with pytest.raises(InvalidRequestError):
        world.accounts.create_tenant(tenant_id)


def test_a_tenant_is_made_once(world: World):
    world.accounts.create_tenant("new", weight=2.0)
    with pytest.raises(ConflictError):
        world.accounts.create_tenant("new")
    assert world.store.get_tenant("new").weight == 2.0


def test_of_all_who_start_first_one_gets_the_first_key(world: World):
    made = [ensure_first_key(world.store, clock=lambda: world.now) for _ in range(5)]
    assert [text is not None for text in made] == [True, False, False, False, False]
    caller = world.authenticator.authenticate(f"Bearer {made[0]}")
    assert caller.is_admin
    assert (caller.tenant_id, caller.key_id) == ("default", FIRST_KEY_ID)


def test_a_given_first_key_is_used(world: World):
    given = f"jgd_{'1' * 26}_{'B' * 43}"
    assert ensure_first_key(world.store, given=f"{given}\n") == given
    assert world.authenticator.authenticate(f"Bearer {given}").is_admin


def test_a_given_first_key_that_is_none_is_named(world: World):
    with pytest.raises(ConfigurationError, match="admin-key"):
        ensure_first_key(world.store, given="hunter2")


def test_a_lost_first_key_can_be_replaced(world: World):
    old = ensure_first_key(world.store)
    new = replace_first_key(world.store)
    assert world.authenticator.authenticate(f"Bearer {new}").is_admin
    with pytest.raises(UnauthenticatedError):
        world.authenticator.authenticate(f"Bearer {old}")


def test_a_tenants_own_caps_win_over_the_defaults(world: World):
    plain = Tenant("a", "A", world.now)
    assert quota_of(plain, default_jobs=5).jobs == 5
    own = Tenant("a", "A", world.now, max_jobs=0)
    assert quota_of(own, default_jobs=5).jobs == 0

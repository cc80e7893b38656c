"""Credentials to callers: quickly, and forgetting in time."""

from __future__ import annotations

import pytest

from jangada.errors import StoreUnavailableError, UnauthenticatedError
from jangada.tenants.authenticator import CACHE_S

from .conftest import World


def test_the_cache_is_shorter_than_the_promise():
    assert CACHE_S < 5


def test_a_key_makes_a_caller(world: World):
    key, plain = world.key("jobs:read")
    caller = world.authenticator.authenticate(f"bearer  {plain.text}")
    assert (caller.tenant_id, caller.key_id, caller.scopes) == ("acme", key.id, {"jobs:read"})
    assert caller.has("jobs:read")
    assert not caller.has("jobs:write")
    assert not caller.is_admin


def test_admin_has_every_scope(world: World):
    assert world.caller("admin").has_all(["jobs:read", "keys:write"])


def test_within_the_cache_time_the_store_is_not_read(world: World, monkeypatch):
    _, plain = world.key("jobs:read")
    world.authenticator.authenticate(f"Bearer {plain.text}")
    monkeypatch.setattr(world.store, "get_key", lambda key_id: pytest.fail("read the store"))
    world.pass_s(3.9)
    world.authenticator.authenticate(f"Bearer {plain.text}")


@pytest.mark.parametrize("kind", ["key", "token"])
def test_a_revoked_key_and_its_tokens_end_within_five_seconds(world: World, kind: str):
    key, plain = world.key("jobs:read")
    header = f"Bearer {plain.text if kind == 'key' else world.token(key)}"
    world.authenticator.authenticate(header)
    world.store.revoke_key(key.id, world.now)  # another replica did it
    world.pass_s(4.99)
    with pytest.raises(UnauthenticatedError):
        world.authenticator.authenticate(header)


@pytest.mark.parametrize("kind", ["key", "token"])
def test_what_expires_while_it_is_cached_ends_in_time(world: World, kind: str):
    key, plain = world.key("jobs:read", life_s=2)
    header = f"Bearer {plain.text if kind == 'key' else world.token(key)}"
    world.authenticator.authenticate(header)
    world.pass_s(2)
    with pytest.raises(UnauthenticatedError):
        world.authenticator.authenticate(header)


def test_a_token_ends_with_its_key_whatever_it_says_itself(world: World):
    key, _ = world.key("jobs:read", life_s=2)
    token = world.tokens.issue(key_id=key.id, tenant_id="acme", scopes=key.scopes)
    world.authenticator.authenticate(f"Bearer {token}")
    world.pass_s(2)
    with pytest.raises(UnauthenticatedError):
        world.authenticator.authenticate(f"Bearer {token}")


def test_a_refusal_is_cached_too(world: World, monkeypatch):
    header = f"Bearer jgd_{'0' * 26}_{'A' * 43}"
    reads = []
    monkeypatch.setattr(world.store, "get_key", lambda key_id: reads.append(1))
    for _ in range(10):
        with pytest.raises(UnauthenticatedError):
            world.authenticator.authenticate(header)
    assert len(reads) == 1


def test_a_wrong_secret_of_a_real_key_is_refused(world: World):
    key, _ = world.key("jobs:read")
    with pytest.raises(UnauthenticatedError):
        world.authenticator.authenticate(f"Bearer jgd_{key.id.removeprefix('key_')}_{'A' * 43}")


def test_a_token_cannot_do_more_than_its_key(world: World):
    key, _ = world.key("jobs:read")
    token = world.token(key, "jobs:read", "admin")
    assert world.authenticator.authenticate(f"Bearer {token}").scopes == {"jobs:read"}


def test_a_token_of_another_tenant_than_its_key_is_refused(world: World):
    key, _ = world.key("jobs:read")
    token = world.tokens.issue(key_id=key.id, tenant_id="other", scopes=key.scopes)
    with pytest.raises(UnauthenticatedError):
        world.authenticator.authenticate(f"Bearer {token}")


def test_a_store_that_is_away_is_not_a_refusal_and_is_not_remembered(world: World, monkeypatch):
    _, plain = world.key("jobs:read")

    def away(key_id: str) -> None:
        raise StoreUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "get_key", away)
        with pytest.raises(StoreUnavailableError):
            world.authenticator.authenticate(f"Bearer {plain.text}")
    assert world.authenticator.authenticate(f"Bearer {plain.text}")


def test_the_cache_holds_no_secret(world: World):
    _, plain = world.key("jobs:read")
    world.authenticator.authenticate(f"Bearer {plain.text}")
    assert plain.secret not in repr(vars(world.authenticator))


def test_the_cache_is_bounded(world: World, monkeypatch):
    monkeypatch.setattr("jangada.tenants.authenticator._CACHE_SIZE", 10)
    for number in range(100):
        with pytest.raises(UnauthenticatedError):
            world.authenticator.authenticate(f"Bearer {number}")
    assert len(world.authenticator._known) <= 10

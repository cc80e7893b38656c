"""What every `GatewayState` promises."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from jangada.errors import ConfigurationError
from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.sealing import Sealer
from jangada.gateway.state import Deployed, Namespace
from jangada.gateway.state_memory import MemoryState
from jangada.gateway.state_mongo import MongoState

HELLO = FunctionDeployment(
    "hello",
    "me/hello:1",
    env_vars={"A.b": "$x"},
    labels={"com.openfaas.scale.min": "2"},
    annotations={"topic": "a,b"},
    secrets=("s1",),
    limits={"memory": "128Mi"},
    read_only_root_filesystem=True,
)


class Clock:
    """A clock that the test turns."""

    def __init__(self):
        self.now = datetime(2026, 1, 2, tzinfo=UTC)

    def __call__(self):
        return self.now

    def pass_s(self, seconds):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "mongo"])
def state(request, clock):
    if request.param == "memory":
        return MemoryState(clock=clock)
    database = request.getfixturevalue("mongo_database")
    return MongoState(database.client, database.name, Sealer(b"k" * 32), clock=clock)


def run(coroutine):
    return asyncio.run(coroutine)


def test_nothing_is_deployed_at_first(state):
    assert run(state.deployments()) == []
    assert run(state.version()) == 0


def test_what_is_put_comes_back_to_the_letter(state):
    stored = run(state.put(HELLO, 3))
    assert stored.generation == 1
    assert run(state.deployments()) == [Deployed(stored, 3)]
    assert stored.to_json() == HELLO.to_json()


def test_an_update_keeps_the_creation_and_raises_the_generation_and_the_version(state):
    first = run(state.put(HELLO, 1))
    before = run(state.version())
    second = run(state.put(FunctionDeployment("hello", "me/hello:2"), 2))
    assert second.created_at == first.created_at
    assert second.created_at.utcoffset() == timedelta(0)
    assert (second.generation, second.image, second.env_vars) == (2, "me/hello:2", {})
    assert run(state.version()) > before


def test_the_same_name_in_two_namespaces_is_two_functions(state):
    run(state.put(HELLO, 1))
    run(state.put(FunctionDeployment("hello", "x:1", "dev"), 1))
    assert {one.deployment.namespace for one in run(state.deployments())} == {"openfaas-fn", "dev"}
    assert run(state.remove("hello", "dev")) is True
    assert [one.deployment.namespace for one in run(state.deployments())] == ["openfaas-fn"]


def test_replicas_change_without_a_new_generation(state):
    run(state.put(HELLO, 1))
    before = run(state.version())
    assert run(state.set_replicas("hello", "openfaas-fn", 0)) is True
    (found,) = run(state.deployments())
    assert (found.replicas, found.deployment.generation) == (0, 1)
    assert run(state.version()) > before
    assert run(state.set_replicas("other", "openfaas-fn", 1)) is False


def test_what_is_removed_is_gone_and_begins_anew(state):
    run(state.put(HELLO, 1))
    run(state.put(HELLO, 1))
    assert run(state.remove("hello", "openfaas-fn")) is True
    assert run(state.remove("hello", "openfaas-fn")) is False
    assert run(state.put(HELLO, 1)).generation == 1


def test_the_default_namespace_is_always_there(state):
    assert [one.name for one in run(state.namespaces())] == ["openfaas-fn"]
    assert run(state.namespace("openfaas-fn")) is not None
    assert run(state.create_namespace(Namespace("openfaas-fn"))) is False
    assert run(state.remove_namespace("openfaas-fn")) is False
    assert run(state.update_namespace(Namespace("openfaas-fn", {"a.b": "1"}))) is True
    assert run(state.namespace("openfaas-fn")).labels == {"a.b": "1"}


def test_a_namespace_from_its_creation_to_its_end(state):
    dev = Namespace("dev", {"openfaas": "1"}, {"a": "b"})
    assert run(state.create_namespace(dev)) is True
    assert run(state.create_namespace(dev)) is False
    assert run(state.namespace("dev")) == dev
    assert [one.name for one in run(state.namespaces())] == ["dev", "openfaas-fn"]
    assert run(state.update_namespace(Namespace("dev", {"openfaas": "1", "x": "y"}))) is True
    assert run(state.namespace("dev")).annotations == {}
    assert run(state.update_namespace(Namespace("none"))) is False
    run(state.create_secret("dev", "s1", b"x"))
    assert run(state.remove_namespace("dev")) is True
    assert run(state.remove_namespace("dev")) is False
    assert run(state.secret("dev", "s1")) is None


def test_a_secret_is_kept_to_the_byte(state):
    content = bytes(range(256)) + b"\n \n"
    assert run(state.create_secret("openfaas-fn", "s1", content)) is True
    assert run(state.create_secret("openfaas-fn", "s1", b"other")) is False
    assert run(state.secret("openfaas-fn", "s1")) == content
    assert run(state.update_secret("openfaas-fn", "s1", b"")) is True
    assert run(state.secret("openfaas-fn", "s1")) == b""
    assert run(state.update_secret("openfaas-fn", "s2", b"")) is False
    assert run(state.secret("dev", "s1")) is None


def test_secrets_are_named_in_order_and_only_of_their_namespace(state):
    for namespace, name in (("openfaas-fn", "b"), ("openfaas-fn", "a.c"), ("dev", "z")):
        run(state.create_secret(namespace, name, b"x"))
    assert run(state.secret_names("openfaas-fn")) == ["a.c", "b"]
    assert run(state.remove_secret("openfaas-fn", "b")) is True
    assert run(state.remove_secret("openfaas-fn", "b")) is False
    assert run(state.secret_names("openfaas-fn")) == ["a.c"]


def test_the_store_holds_no_secret_that_can_be_read(mongo_database):
    state = MongoState(mongo_database.client, mongo_database.name, Sealer(b"k" * 32))
    run(state.create_secret("openfaas-fn", "s1", b"correct horse"))
    (document,) = mongo_database["fn_secrets"].find({})
    assert b"correct horse" not in bytes(document["sealed"])
    other = MongoState(mongo_database.client, mongo_database.name, Sealer(b"x" * 32))
    with pytest.raises(ConfigurationError, match="another gateway-key"):
        run(other.secret("openfaas-fn", "s1"))
    # A sealed secret that is moved to another name does not open there.
    mongo_database["fn_secrets"].insert_one(document | {"_id": "openfaas-fn/s2"})
    with pytest.raises(ConfigurationError):
        run(state.secret("openfaas-fn", "s2"))


def test_two_gateways_see_each_others_changes(mongo_database):
    one = MongoState(mongo_database.client, mongo_database.name, Sealer(b"k" * 32))
    two = MongoState(mongo_database.client, mongo_database.name, Sealer(b"k" * 32))
    before = run(two.version())
    run(one.put(HELLO, 1))
    assert run(two.version()) != before
    assert [found.deployment.service for found in run(two.deployments())] == ["hello"]


def test_one_gateway_decides_and_hears_what_the_others_see(state):
    first = run(state.share("a", "of a", 10))
    assert (first.decides, dict(first.others)) == (True, {})
    second = run(state.share("b", "of b", 10))
    assert (second.decides, dict(second.others)) == (False, {"a": "of a"})
    again = run(state.share("a", "more of a", 10))
    assert (again.decides, dict(again.others)) == (True, {"b": "of b"})
    assert dict(run(state.share("b", "of b", 10)).others) == {"a": "more of a"}


def test_who_decides_keeps_it_as_long_as_it_speaks_and_the_next_takes_over_when_it_falls_silent(state, clock):
    run(state.share("a", "x", 10))
    for _ in range(5):
        clock.pass_s(8)
        assert run(state.share("a", "x", 10)).decides
        assert not run(state.share("b", "y", 10)).decides
    clock.pass_s(10.5)
    taken = run(state.share("b", "y", 10))
    assert taken.decides
    assert dict(taken.others) == {}
    assert not run(state.share("a", "x", 10)).decides


def test_one_that_resigns_leaves_at_once(state):
    run(state.share("a", "x", 10))
    run(state.share("b", "y", 10))
    run(state.resign("b"))
    assert run(state.share("a", "x", 10)).decides
    run(state.resign("a"))
    taken = run(state.share("b", "y", 10))
    assert taken.decides
    assert dict(taken.others) == {}

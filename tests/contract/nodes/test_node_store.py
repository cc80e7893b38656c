"""What every `NodeStore` promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jangada.deployments.deployment import Trust
from jangada.nodes.node import Check, JoinedNode, JoinToken
from jangada.nodes.store import NodeStore
from jangada.nodes.store_memory import MemoryNodeStore
from jangada.nodes.store_mongo import MongoNodeStore
from tests.contract.stores import STORES

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
LABELS = {"zone.of": "$attic"}
TOKEN = JoinToken("join_1", "ab" * 32, Trust.UNTRUSTED, LABELS, NOW, NOW + timedelta(hours=1), "key_1", 0.25)
NODE = JoinedNode("node_1", "desktop", "a key", Trust.UNTRUSTED, NOW, LABELS, verify_share=0.25)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> NodeStore:
    if request.param == "memory":
        return MemoryNodeStore()
    database = "mongo_database" if request.param == "mongo" else "ferretdb_database"
    return MongoNodeStore(request.getfixturevalue(database))


def test_tokens_and_nodes_come_back_as_they_were(store: NodeStore):
    store.insert_token(TOKEN)
    assert store.get_token("join_1") == TOKEN
    assert store.get_token("join_2") is None
    assert store.insert(NODE)
    assert store.get("node_1") == NODE
    assert store.get("node_2") is None
    revoked = replace(NODE, revoked_at=NOW, suspended_for="reason")
    assert store.change("node_1", lambda it: replace(it, revoked_at=NOW, suspended_for="reason")) == revoked
    assert store.get("node_1") == revoked
    assert store.change("node_2", lambda it: it) is None
    assert store.insert(replace(NODE, id="node_0", name="attic"))
    assert [one.name for one in store.page()] == ["attic", "desktop"]


def test_of_several_at_once_one_is_inserted(store: NodeStore):
    keys = [f"key {number}" for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda key: store.insert(replace(NODE, public_key=key)), keys))
    assert won.count(True) == 1
    assert store.get("node_1").public_key == keys[won.index(True)]


def test_changes_at_once_all_count(store: NodeStore):
    store.insert(NODE)

    def label(number: int) -> None:
        store.change("node_1", lambda it: replace(it, labels={**it.labels, f"label {number}": "yes"}))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(label, range(8)))
    assert len(store.get("node_1").labels) == len(LABELS) + 8


def test_a_word_is_said_once(store: NodeStore):
    with ThreadPoolExecutor(8) as threads:
        firsts = list(threads.map(lambda _: store.use_once("word", NOW), range(8)))
    assert firsts.count(True) == 1
    assert store.use_once("another", NOW)
    assert not store.use_once("word", NOW + timedelta(hours=1))


def test_all_have_the_same_secret(store: NodeStore):
    with ThreadPoolExecutor(8) as threads:
        secrets = set(threads.map(lambda number: store.secret(f"secret {number}"), range(8)))
    assert len(secrets) == 1
    assert store.secret("late") in secrets


def test_checks_are_put_aside_once_and_forgotten(store: NodeStore):
    one = Check("job_1", "acme", "node_1", '{"a.b":"$1"}', NOW)
    two = replace(one, job_id="job_2")
    store.insert_check(one)
    store.insert_check(replace(one, output="2"))
    store.insert_check(two)
    assert store.checks(["job_1", "job_3"]) == [one]
    assert sorted(store.checks(None), key=lambda check: check.job_id) == [one, two]
    assert store.checks([]) == []
    store.delete_check("job_1")
    store.delete_check("job_1")
    assert store.checks(None) == [two]

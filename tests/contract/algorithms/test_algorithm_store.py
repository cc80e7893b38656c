"""What every `AlgorithmStore` promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.algorithms.manifest import Limits
from jangada.algorithms.store import AlgorithmStore
from jangada.algorithms.store_memory import MemoryAlgorithmStore
from jangada.algorithms.store_mongo import MongoAlgorithmStore
from tests.contract.stores import STORES

RECORD = AlgorithmRecord(
    name="doc-ocr",
    version="1.0.0",
    description="Reads.",
    device="cpu+gpu",
    limits=Limits(60.0, 512, 2.0),
    max_attempts=2,
    input_schema={"$schema": "x", "$defs": {"A.b": {"$ref": "#/$defs/C"}}},
    output_schema={"type": "object"},
    queue="doc-ocr",
    updated_at=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
    short=True,
    metadata={"k": [1]},
)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> AlgorithmStore:
    if request.param == "memory":
        return MemoryAlgorithmStore()
    database: Any = request.getfixturevalue(f"{request.param}_database")
    return MongoAlgorithmStore(database)


def test_a_record_comes_back_as_it_was(store: AlgorithmStore) -> None:
    store.put(RECORD)
    assert store.get("doc-ocr") == RECORD


def test_what_a_newer_release_has_added_is_left_aside(request: pytest.FixtureRequest) -> None:
    database: Any = request.getfixturevalue("mongo_database")
    store = MongoAlgorithmStore(database)
    store.put(RECORD)
    database["algorithms"].update_one({}, {"$set": {"colour": "blue", "limits.patience": 3}})
    assert store.get("doc-ocr") == RECORD
    assert store.page() == [RECORD]


def test_the_last_writer_wins(store: AlgorithmStore) -> None:
    store.put(RECORD)
    store.put(replace(RECORD, version="2.0.0"))
    assert [record.version for record in store.page()] == ["2.0.0"]


def test_records_are_listed_by_name(store: AlgorithmStore) -> None:
    for name in ("b", "c", "a"):
        store.put(replace(RECORD, name=name))
    assert [record.name for record in store.page()] == ["a", "b", "c"]


def test_an_unknown_name_is_none_and_deleting_tells(store: AlgorithmStore) -> None:
    assert store.get("nothing") is None
    assert store.delete("nothing") is False
    store.put(RECORD)
    assert store.delete("doc-ocr") is True
    assert store.get("doc-ocr") is None


def test_each_version_is_kept_beside_the_newest(store: AlgorithmStore) -> None:
    store.put(RECORD)
    newer = replace(RECORD, version="2.0.0", input_schema={})
    store.put(newer)
    assert store.get("doc-ocr") == newer
    assert store.get_version("doc-ocr", "1.0.0") == RECORD
    assert store.get_version("doc-ocr", "2.0.0") == newer
    assert store.get_version("doc-ocr", "3.0.0") is None
    store.put(replace(RECORD, name="other"))
    assert store.delete("doc-ocr")
    assert store.get_version("doc-ocr", "1.0.0") is None
    assert store.get_version("other", "1.0.0") is not None


def test_one_that_is_not_the_newest_takes_no_place_but_an_empty_one(store: AlgorithmStore) -> None:
    old = replace(RECORD, version="0.9.0")
    store.put(old, as_newest=False)
    assert store.get("doc-ocr") == old
    store.put(RECORD)
    store.put(old, as_newest=False)
    assert store.get("doc-ocr") == RECORD
    assert store.get_version("doc-ocr", "0.9.0") == old

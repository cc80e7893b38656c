"""What every `UploadStore` promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jangada.artifacts.uploads import MemoryUploadStore, Upload, UploadStore
from tests.contract.stores import STORES

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
UPLOAD = Upload("file_1", "acme", "a.bin", "image/png", "input", 2**40, None, NOW)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> UploadStore:
    if request.param == "memory":
        return MemoryUploadStore()
    from jangada.artifacts.uploads_mongo import MongoUploadStore

    made = MongoUploadStore(request.getfixturevalue(f"{request.param}_database"))
    made.create_indexes()
    return made


def test_an_upload_reads_back_until_it_is_deleted(store: UploadStore):
    store.insert(UPLOAD)
    assert store.get("file_1") == UPLOAD
    store.delete("file_1")
    store.delete("file_1")
    assert store.get("file_1") is None


def test_the_expired_are_forgotten(store: UploadStore):
    store.insert(UPLOAD)
    store.insert(replace(UPLOAD, id="file_2", expires_at=NOW + timedelta(milliseconds=1)))
    assert store.delete_expired(NOW) == 1
    assert store.get("file_1") is None
    assert store.get("file_2") is not None

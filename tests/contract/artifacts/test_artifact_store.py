"""What every `ArtifactStore` promises."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jangada.artifacts import CHUNK_BYTES, ArtifactStore
from jangada.artifacts.base import ArtifactLimits
from jangada.artifacts.records import MemoryArtifactRecords
from jangada.artifacts.store_folder import FolderArtifactStore
from jangada.artifacts.store_memory import MemoryArtifactStore
from jangada.errors import ConflictError, NotFoundError, TooLargeError

LIMITS = ArtifactLimits(max_bytes=2_000_000, ttl_s=3600)


@dataclass
class Hand:
    """A clock that is turned by hand."""

    now: datetime = field(default_factory=lambda: datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture(params=["memory", "folder", "folder+mongo", "gridfs"])
def store(request: pytest.FixtureRequest, clock: Hand, tmp_path: Path) -> ArtifactStore:
    def mongo() -> Any:
        from jangada.artifacts.records_mongo import MongoArtifactRecords

        database = request.getfixturevalue("mongo_database")
        records = MongoArtifactRecords(database)
        records.create_indexes()
        return database, records

    if request.param == "memory":
        return MemoryArtifactStore(clock=clock, limits=LIMITS)
    if request.param == "folder":
        return FolderArtifactStore(tmp_path / "files", MemoryArtifactRecords(), clock=clock, limits=LIMITS)
    database, records = mongo()
    if request.param == "folder+mongo":
        return FolderArtifactStore(tmp_path / "files", records, clock=clock, limits=LIMITS)
    from jangada.artifacts.store_gridfs import GridFSArtifactStore

    return GridFSArtifactStore(database, records, clock=clock, limits=LIMITS)


def read(store: ArtifactStore, artifact: Any) -> bytes:
    with store.open(artifact) as file:
        return file.read()


def test_what_was_put_is_got_back_with_its_digest(store: ArtifactStore, clock: Hand):
    content = bytes(range(256)) * 4000
    artifact = store.put("acme", content, media_type="image/png", filename="ação.png", purpose="model")
    assert artifact.sha256 == hashlib.sha256(content).hexdigest()
    assert (artifact.size_bytes, artifact.media_type, artifact.filename, artifact.purpose) == (
        len(content),
        "image/png",
        "ação.png",
        "model",
    )
    assert artifact.created_at == clock.now
    assert artifact.expires_at == clock.now + timedelta(seconds=3600)
    assert store.get(artifact.id, "acme") == artifact
    assert read(store, artifact) == content


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
@pytest.mark.parametrize("kind", ["bytes", "stream", "path", "chunks"])
def test_every_source_and_size_is_kept_whole(store: ArtifactStore, tmp_path: Path, kind: str, size: int):
    content = bytes(n % 251 for n in range(size))

    def chunks() -> Iterator[bytes]:
        yield content[:10]
        yield content[10:]

    (tmp_path / "source").write_bytes(content)
    source = {
        "bytes": content,
        "stream": io.BytesIO(content),
        "path": tmp_path / "source",
        "chunks": chunks(),
    }[kind]
    artifact = store.put("acme", source)
    assert artifact.size_bytes == size
    assert read(store, artifact) == content


def test_opened_bytes_can_be_sought_in(store: ArtifactStore):
    artifact = store.put("acme", b"0123456789" * 100_000)
    with store.open(artifact) as file:
        file.seek(999_990)
        assert file.read(5) == b"01234"
        file.seek(3)
        assert file.read(3) == b"345"


def test_another_tenant_sees_nothing(store: ArtifactStore):
    artifact = store.put("acme", b"x")
    assert store.get(artifact.id, "acm") is None
    assert not store.delete(artifact.id, "other")
    assert store.page("other", before=None, limit=10) == []
    assert store.get(artifact.id) == artifact
    assert store.get("file_nothing") is None


def test_too_much_is_refused_and_leaves_nothing(store: ArtifactStore, tmp_path: Path):
    with pytest.raises(TooLargeError):
        store.put("acme", io.BytesIO(b"x" * 2_000_001))
    with pytest.raises(TooLargeError):
        store.put("acme", b"123456", max_bytes=5)
    assert store.page("acme", before=None, limit=10) == []
    assert store.used_bytes("acme") == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"] == []


def test_a_source_that_fails_leaves_nothing(store: ArtifactStore, tmp_path: Path):
    def chunks() -> Iterator[bytes]:
        yield b"x" * 600_000
        raise ConnectionResetError("the client has gone")

    with pytest.raises(ConnectionResetError):
        store.put("acme", chunks())
    assert store.page("acme", before=None, limit=10) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"] == []


def test_a_chosen_id_is_taken_once(store: ArtifactStore):
    store.put("acme", b"1", artifact_id="file_00000000000000000000000001")
    with pytest.raises(ConflictError):
        store.put("acme", b"2", artifact_id="file_00000000000000000000000001")
    assert read(store, store.get("file_00000000000000000000000001")) == b"1"


def test_a_chosen_id_that_two_send_at_once_is_one_of_them_whole(store: ArtifactStore):
    """Each waits in the middle for the other, so that both are under way."""
    chosen = "file_00000000000000000000000002"
    both = threading.Barrier(2, timeout=10)
    refused: list[ConflictError] = []

    def chunks(letter: bytes) -> Iterator[bytes]:
        yield letter * 300_000
        both.wait()
        yield letter * 300_000
        both.wait()

    def send(letter: bytes) -> None:
        try:
            store.put("acme", chunks(letter), artifact_id=chosen)
        except ConflictError as error:
            refused.append(error)

    # Somebody else's file of the same bytes: it must stay what it is, whoever wins.
    others = store.put("other", b"a" * 600_000)
    threads = [threading.Thread(target=send, args=(letter,)) for letter in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    kept = store.get(chosen)
    assert kept is not None
    assert read(store, kept) in {b"a" * 600_000, b"b" * 600_000}
    assert hashlib.sha256(read(store, kept)).hexdigest() == kept.sha256
    assert read(store, others) == b"a" * 600_000


def test_pages_are_newest_first_and_by_purpose(store: ArtifactStore):
    made = [store.put("acme", b"x", purpose="model" if n == 1 else "input").id for n in range(4)]
    store.put("acme-2", b"x")
    newest = made[::-1]
    assert [one.id for one in store.page("acme", before=None, limit=10)] == newest
    assert [one.id for one in store.page("acme", before=None, limit=2)] == newest[:2]
    assert [one.id for one in store.page("acme", before=newest[1], limit=10)] == newest[2:]
    assert [one.id for one in store.page("acme", before=None, limit=10, purpose="model")] == [made[1]]


def test_what_has_expired_does_not_exist_even_before_it_is_collected(store: ArtifactStore, clock: Hand):
    artifact = store.put("acme", b"x")
    clock.pass_s(3600)
    assert store.get(artifact.id, "acme") is None
    assert store.page("acme", before=None, limit=10) == []
    assert not store.delete(artifact.id, "acme")


def test_collecting_takes_the_expired_and_nothing_else(store: ArtifactStore, clock: Hand):
    old = store.put("acme", b"old")
    clock.pass_s(1800)
    young = store.put("acme", b"young")
    clock.pass_s(1800)
    assert store.collect_expired() == 1
    assert store.collect_expired() == 0
    with pytest.raises(NotFoundError):
        store.open(old)
    assert read(store, young) == b"young"


def test_what_is_kept_longer_is_not_collected_and_never_kept_shorter(store: ArtifactStore, clock: Hand):
    artifact, other = store.put("acme", b"x"), store.put("acme", b"y")
    store.keep([artifact.id, "file_nothing"], clock.now + timedelta(days=2))
    store.keep([artifact.id], clock.now + timedelta(days=1))
    clock.pass_s(86400 * 2 - 1)
    assert store.collect_expired() == 1
    assert store.get(other.id) is None
    found = store.get(artifact.id)
    assert found is not None
    assert found.created_at == artifact.created_at
    assert read(store, found) == b"x"


def test_deleting_removes_record_and_bytes_once(store: ArtifactStore):
    artifact = store.put("acme", b"x")
    assert store.delete(artifact.id, "acme")
    assert not store.delete(artifact.id, "acme")
    assert store.get(artifact.id) is None
    with pytest.raises(NotFoundError):
        store.open(artifact)


def test_equal_bytes_of_two_files_live_until_both_are_gone(store: ArtifactStore):
    first, second = store.put("acme", b"same"), store.put("other", b"same")
    assert first.sha256 == second.sha256
    store.delete(first.id, "acme")
    assert read(store, second) == b"same"
    store.delete(second.id, "other")
    with pytest.raises(NotFoundError):
        store.open(second)


def test_a_file_moves_to_another_tenant_once(store: ArtifactStore, clock: Hand):
    artifact = store.put("~acme", b"x", expires_at=clock.now + timedelta(seconds=10))
    assert store.move(artifact.id, owner="~acme", to="acme")
    assert not store.move(artifact.id, owner="~acme", to="acme")
    found = store.get(artifact.id, "acme")
    assert found.expires_at == clock.now + timedelta(seconds=3600)
    assert [one.id for one in store.page("acme", before=None, limit=10)] == [artifact.id]
    assert store.page("~acme", before=None, limit=10) == []


def test_used_bytes_are_a_tenants_own(store: ArtifactStore):
    store.put("acme", b"123")
    store.put("acme", b"4567")
    store.put("other", b"x")
    assert store.used_bytes("acme") == 7
    assert store.used_bytes("nobody") == 0


def test_a_path_is_where_the_bytes_lie_or_none(store: ArtifactStore):
    artifact = store.put("acme", b"bytes")
    path = store.path(artifact)
    assert path is None or path.read_bytes() == b"bytes"
    if isinstance(store, FolderArtifactStore):
        assert path is not None


def test_bytes_come_back_under_a_record_that_is_there_and_safely_twice(store: ArtifactStore):
    artifact = store.put("acme", b"bytes")
    store._drop(artifact)
    for _ in range(2):
        store.restore(artifact, io.BytesIO(b"bytes"))
        assert read(store, artifact) == b"bytes"
    assert store.delete(artifact.id, "acme")


def test_what_is_kept_longer_while_it_is_being_collected_stays(
    store: ArtifactStore, clock: Hand, monkeypatch: pytest.MonkeyPatch
):
    artifact = store.put("acme", b"x")
    clock.pass_s(3600)
    find = store._records.expired

    def find_then_keep(now: datetime, limit: int) -> list[Any]:
        found = find(now, limit)
        store.keep([artifact.id], clock.now + timedelta(days=1))
        return found

    monkeypatch.setattr(store._records, "expired", find_then_keep)
    assert store.collect_expired() == 0
    assert read(store, artifact) == b"x"

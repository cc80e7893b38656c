"""Large uploads in three steps."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from jangada.artifacts.store_memory import MemoryArtifactStore
from jangada.artifacts.uploads import MemoryUploadStore, Uploads
from jangada.errors import InvalidRequestError, NotFoundError, TooLargeError

CONTENT = b"12345"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class World:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, tzinfo=UTC)
        self.artifacts = MemoryArtifactStore(clock=lambda: self.now)
        self.uploads = Uploads(self.artifacts, MemoryUploadStore(), max_bytes=100, clock=lambda: self.now)

    def announce(self, size_bytes: int = 5, sha256: str | None = DIGEST) -> str:
        return self.uploads.announce(
            "acme", filename="a", media_type="text/plain", purpose="input", size_bytes=size_bytes, sha256=sha256
        ).id


@pytest.fixture
def world() -> World:
    return World()


def test_a_complete_upload_is_a_file_of_the_tenant(world: World):
    upload_id = world.announce()
    world.uploads.receive(upload_id, "acme", CONTENT)
    assert world.artifacts.get(upload_id, "acme") is None
    done = world.uploads.complete(upload_id, "acme")
    assert (done.id, done.sha256, done.tenant_id) == (upload_id, DIGEST, "acme")
    assert world.uploads.complete(upload_id, "acme") == done


def test_bytes_may_be_sent_again_before_it_is_complete(world: World):
    upload_id = world.announce()
    world.uploads.receive(upload_id, "acme", b"54321")
    with pytest.raises(InvalidRequestError):
        world.uploads.complete(upload_id, "acme")
    world.uploads.receive(upload_id, "acme", CONTENT)
    assert world.uploads.complete(upload_id, "acme").sha256 == DIGEST


@pytest.mark.parametrize(("sent", "pointer"), [(b"123", "/bytes"), (b"54321", "/sha256")])
def test_other_bytes_than_announced_are_refused(world: World, sent: bytes, pointer: str):
    upload_id = world.announce()
    world.uploads.receive(upload_id, "acme", sent)
    with pytest.raises(InvalidRequestError) as refusal:
        world.uploads.complete(upload_id, "acme")
    assert [error.pointer for error in refusal.value.errors] == [pointer]
    assert world.artifacts.get(upload_id, "acme") is None


def test_more_bytes_than_announced_are_not_kept(world: World):
    upload_id = world.announce()
    with pytest.raises(TooLargeError):
        world.uploads.receive(upload_id, "acme", b"123456")


def test_more_than_the_platform_keeps_is_refused_at_once(world: World):
    with pytest.raises(TooLargeError):
        world.announce(size_bytes=101)


def test_nothing_sent_is_nothing_to_complete(world: World):
    with pytest.raises(InvalidRequestError):
        world.uploads.complete(world.announce(), "acme")


def test_another_tenant_has_no_such_upload(world: World):
    upload_id = world.announce()
    with pytest.raises(NotFoundError):
        world.uploads.receive(upload_id, "other", CONTENT)
    world.uploads.receive(upload_id, "acme", CONTENT)
    with pytest.raises(NotFoundError):
        world.uploads.complete(upload_id, "other")


def test_an_upload_that_is_never_completed_goes_away_with_its_bytes(world: World):
    upload_id = world.announce()
    world.uploads.receive(upload_id, "acme", CONTENT)
    world.now += timedelta(days=1)
    with pytest.raises(NotFoundError):
        world.uploads.complete(upload_id, "acme")
    assert world.uploads.collect_expired() == 1
    assert world.artifacts.collect_expired() == 1

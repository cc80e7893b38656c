"""What the folder store promises besides: whole files, no leftovers, a full disk said."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from jangada.artifacts.records import MemoryArtifactRecords
from jangada.artifacts.store_folder import FolderArtifactStore
from jangada.errors import NotFoundError, StoreUnavailableError


@pytest.fixture
def store(tmp_path: Path) -> FolderArtifactStore:
    return FolderArtifactStore(tmp_path, MemoryArtifactRecords())


def age(path: Path, seconds: float) -> None:
    stat = path.stat()
    os.utime(path, (stat.st_atime - seconds, stat.st_mtime - seconds))


def test_leftovers_of_a_crash_are_collected_when_they_are_old(store: FolderArtifactStore, tmp_path: Path):
    kept = store.path(store.put("acme", b"kept"))
    unnamed = tmp_path / "sha256" / "ab" / ("ab" * 32)
    unnamed.parent.mkdir()
    unnamed.write_bytes(b"x")
    staged = tmp_path / "staging" / "file_x"
    staged.write_bytes(b"x")
    assert store.collect_leftovers() == 0
    for path in (kept, unnamed, staged):
        age(path, 2 * 86400)
    assert store.collect_leftovers() == 2
    assert kept.exists()
    assert not unnamed.exists()
    assert not staged.exists()


def test_a_disk_that_cannot_be_written_is_a_store_that_is_away(store: FolderArtifactStore, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jangada.artifacts.store_folder.os.fsync", full)
    with pytest.raises(StoreUnavailableError, match="No space left"):
        store.put("acme", b"x")
    assert list((store._staging).iterdir()) == []


def test_an_error_of_the_sender_is_not_taken_for_the_disks(store: FolderArtifactStore):
    class Gone:
        def read(self, size: int) -> bytes:
            raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        store.put("acme", Gone())


def test_deleting_and_putting_equal_bytes_at_once_never_loses_them(store: FolderArtifactStore):
    lost = []

    def put_and_read() -> None:
        for _ in range(60):
            artifact = store.put("acme", b"same")
            try:
                store.open(artifact).close()
            except NotFoundError as error:
                lost.append(error)
            store.delete(artifact.id, "acme")

    threads = [threading.Thread(target=put_and_read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []

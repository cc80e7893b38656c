"""A backup of a real store, and the way back into another."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile

import click
import pytest

from jangada import backup
from jangada.artifacts.records_mongo import MongoArtifactRecords
from jangada.artifacts.store_folder import FolderArtifactStore
from jangada.artifacts.store_gridfs import GridFSArtifactStore
from jangada.backup import ArchiveError
from jangada.cli.backup import backup as command
from jangada.errors import ConflictError
from jangada.jobs.store_mongo import MongoJobStore
from jangada.tenants.store_mongo import MongoTenantStore
from tests.servers import FERRETDB

COUNT = 600


@pytest.fixture(
    params=[
        "mongo_database",
        pytest.param("ferretdb_database", marks=pytest.mark.skipif(FERRETDB is None, reason="no FerretDB")),
    ]
)
def filled(request):
    """A platform's database, with indexes, more documents than fit into one answer, and files' bytes."""
    database = request.getfixturevalue(request.param)
    for store in (MongoJobStore(database), MongoTenantStore(database), MongoArtifactRecords(database)):
        store.create_indexes()
    for first in range(0, COUNT, 100):
        database["jobs"].insert_many(
            [{"_id": f"job_{n}", "unique": f"u{n}", "text": "é" * 200} for n in range(first, first + 100)]
        )
    database["tenants"].insert_one({"_id": "default", "quota": {"jobs": 10}, "order": 1})
    database["fn_secrets"].insert_one({"_id": "openfaas-fn/redis-url", "sealed": b"\x00\x01"})
    files(database).put("default", io.BytesIO(b"%PDF" + b"x" * 700_000), media_type="application/pdf")
    return database


@pytest.fixture
def empty(filled):
    """Another one on the same server; the gateway there has a secret of its own."""
    name = f"{filled.name}_other"
    filled.client[name]["fn_secrets"].insert_one({"_id": "own"})
    yield filled.client[name]
    filled.client.drop_database(name)


def files(database) -> GridFSArtifactStore:
    return GridFSArtifactStore(database, MongoArtifactRecords(database))


def written(database, **options) -> bytes:
    stream = io.BytesIO()
    backup.dump(database, files(database), stream, **options)
    return stream.getvalue()


def load(archive: bytes, database, **options) -> backup.Manifest:
    return backup.load(io.BytesIO(archive), database, files(database), **options)


def contents(database) -> dict[str, list]:
    return {
        name: sorted(database[name].find(), key=lambda one: str(one["_id"]))
        for name in database.list_collection_names()
        if not name.startswith(("fn_", "artifacts"))
    }


def indexes(database) -> dict[str, dict]:
    return {
        name: {one: (facts["key"], facts.get("unique"), facts.get("sparse")) for one, facts in found.items()}
        for name in database.list_collection_names()
        if not name.startswith(("fn_", "artifacts")) and (found := database[name].index_information())
    }


def test_what_was_written_is_there_again_with_its_indexes(filled, empty):
    told = []
    archive = written(filled, told=lambda name, count: told.append((name, count)))
    assert ("jobs", COUNT) in told
    manifest = load(archive, empty)
    assert manifest.collections["jobs"] == COUNT
    assert contents(empty) == contents(filled)
    assert indexes(empty) == indexes(filled)
    assert any(unique for _, unique, _ in indexes(empty)["jobs"].values())
    # What the gateway there sealed with its own key stays.
    assert [one["_id"] for one in empty["fn_secrets"].find()] == ["own"]
    # Files can be read.
    (file,) = files(empty).page("default", before=None, limit=10)
    with files(empty).open(file) as content:
        assert len(content.read()) == 700_004


def test_a_store_that_has_been_used_is_refused_and_replaced_when_told(filled, empty):
    archive = written(filled)
    empty["jobs"].insert_one({"_id": "another"})
    empty["left_over"].insert_one({"_id": 1})
    with pytest.raises(ConflictError, match=r"jobs in the database .* has 1 documents"):
        load(archive, empty)
    assert empty["jobs"].count_documents({}) == 1
    load(archive, empty, overwrite=True)
    assert contents(empty) == contents(filled)


def test_jobs_come_before_what_they_name(filled):
    with tarfile.open(fileobj=io.BytesIO(written(filled)), mode="r:gz") as tar:
        names = tar.getnames()
    assert names[0] == "about.json"
    assert names[1] == "mongo/jobs/000001.bson"
    assert names[-1] == "manifest.json"
    assert names[-4:-2] == ["mongo/files/000001.bson", "mongo/files/indexes.json"]
    assert names[-2].startswith("artifacts/file_")


def test_a_damaged_backup_is_no_backup(filled, empty):
    archive = written(filled)
    assert backup.verify(io.BytesIO(archive)).documents > COUNT
    with pytest.raises(ArchiveError):
        backup.verify(io.BytesIO(archive[: len(archive) // 2]))
    turned = bytearray(archive)
    turned[len(turned) // 2] ^= 0xFF
    with pytest.raises(ArchiveError):
        backup.verify(io.BytesIO(bytes(turned)))
    with pytest.raises(ArchiveError, match=r"no backup|damaged"):
        backup.verify(io.BytesIO(b"something else"))
    with pytest.raises(ArchiveError):
        backup.verify(io.BytesIO(b""))


def test_a_member_that_is_missing_or_new_is_told(filled):
    def without(drop: str, more: str = "") -> bytes:
        made = io.BytesIO()
        with (
            tarfile.open(fileobj=io.BytesIO(written(filled)), mode="r:gz") as old,
            gzip.GzipFile(fileobj=made, mode="wb") as packed,
            tarfile.open(fileobj=packed, mode="w|") as new,
        ):
            for member in old:
                if member.name != drop:
                    new.addfile(member, old.extractfile(member))
            if more:
                new.addfile(tarfile.TarInfo(more), io.BytesIO())
        return made.getvalue()

    with pytest.raises(ArchiveError, match=f"jobs has {COUNT} documents, and 0 are in it"):
        backup.verify(io.BytesIO(without("mongo/jobs/000001.bson")))
    with pytest.raises(ArchiveError, match="has no manifest"):
        backup.verify(io.BytesIO(without("manifest.json")))
    with pytest.raises(ArchiveError, match="does not begin with about"):
        backup.verify(io.BytesIO(without("about.json")))
    with pytest.raises(ArchiveError, match="does not know"):
        backup.verify(io.BytesIO(without("", "novelty/one")))


def test_files_go_from_one_kind_of_store_into_another(filled, empty, tmp_path):
    folder = FolderArtifactStore(tmp_path, MongoArtifactRecords(empty))
    archive = written(filled)
    backup.load(io.BytesIO(archive), empty, folder)
    (file,) = folder.page("default", before=None, limit=10)
    assert folder.path(file).read_bytes() == b"%PDF" + b"x" * 700_000
    # The other way, and what was there before goes.
    stream = io.BytesIO()
    backup.dump(empty, folder, stream)
    load(stream.getvalue(), filled, overwrite=True)
    with files(filled).open(file) as content:
        assert len(content.read()) == 700_004
    assert len(list(filled["artifacts.files"].find())) == 1


def test_a_file_that_is_not_what_its_record_says_is_refused(filled, empty):
    (file,) = files(filled).page("default", before=None, limit=10)
    filled["files"].update_one({"_id": file.id}, {"$set": {"sha256": "0" * 64}})
    files(filled)._bucket.upload_from_stream(f"{file.id}/{'0' * 64}", b"y" * file.size_bytes)
    with pytest.raises(ArchiveError, match=f"{file.id} in the backup has other bytes"):
        load(written(filled), empty)


@pytest.mark.parametrize("filled", ["mongo_database"], indirect=True)
def test_the_command_from_one_store_to_another(mongo_url, redis_url, redis_connections, filled, empty):
    environ = {**os.environ, "JANGADA_MONGO_URL": mongo_url, "JANGADA_REDIS_URL": redis_url}

    def run(database, *arguments, **options) -> subprocess.CompletedProcess[bytes]:
        line = [sys.executable, "-m", "jangada.cli.main", "backup", *arguments]
        return subprocess.run(
            line, env=environ | {"JANGADA_MONGO_DATABASE": database.name}, capture_output=True, timeout=60, **options
        )

    made = run(filled, "write")
    assert made.returncode == 0, made.stderr
    assert b"documents of" in made.stderr
    said = run(filled, "verify", input=made.stdout)
    assert json.loads(said.stdout)["collections"]["jobs"] == COUNT
    assert run(filled, "verify", input=made.stdout[:-100]).returncode == 1
    assert run(empty, "restore", "--check").returncode == 0
    assert run(filled, "restore", "--check").returncode == 1
    redis_connections.commands.set("jangada:{left-over}:numbers", "1")
    done = run(empty, "restore", input=made.stdout)
    assert done.returncode == 0, done.stderr
    assert f"restored jobs: {COUNT}" in done.stderr.decode()
    assert contents(empty) == contents(filled)
    assert redis_connections.commands.get("jangada:{left-over}:numbers") is None
    again = run(empty, "restore", input=made.stdout)
    assert again.returncode == 1
    assert b"--overwrite" in again.stderr


def test_a_terminal_is_no_place_for_a_backup():
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    with pytest.raises(click.UsageError, match="no text"):
        command.commands["write"].callback(Terminal())

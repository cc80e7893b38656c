"""A job's files over HTTPS: only its own, in pieces, and going on where the line broke."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jangada.errors import StoreUnavailableError, TooLargeError
from jangada.remote.files import FilesOfLeases, RemoteFiles
from jangada.remote.link import NodeLink
from jangada.remote.wire import PART_BYTES, RemoteLease
from tests.contract.nodes.conftest import TENANT, AppPool, Stage

BYTES = os.urandom(PART_BYTES * 2 + 1000)


@pytest.fixture
def node(stage: Stage) -> tuple[NodeLink, AppPool]:
    link, pool = stage.join()
    stage.serve(link)
    return link, pool


def leased(stage: Stage, link: NodeLink, **facts) -> tuple[RemoteFiles, RemoteLease]:
    """The files of a job that was just claimed."""
    stage.submit(**facts)
    execution = stage.remote(link)
    (lease,) = execution.exchange(want=1)
    return FilesOfLeases(link, execution._us["executor_id"])(lease), lease


def keep(stage: Stage, content: bytes = BYTES, tenant: str = TENANT) -> str:
    return stage.services.artifacts.put(tenant, content, media_type="image/png", filename="page.png").id


def test_a_file_that_the_job_names_is_read(stage: Stage, node):
    file_id = keep(stage)
    files, lease = leased(stage, node[0], file_ids=(file_id,))
    artifact = files.get(file_id, lease.tenant_id)
    assert artifact is not None
    assert (artifact.media_type, artifact.size_bytes, artifact.tenant_id) == ("image/png", len(BYTES), "")
    with files.open(artifact) as stream:
        assert stream.read() == BYTES


def test_no_other_file_is_whatever_its_tenant(stage: Stage, node):
    other, foreign = keep(stage), keep(stage, tenant="other")
    files, _ = leased(stage, node[0], file_ids=(keep(stage),))
    assert files.get(other) is None
    assert files.get(foreign) is None


def test_a_download_goes_on_where_it_broke_off(stage: Stage, node, monkeypatch):
    file_id = keep(stage)
    link, pool = node
    files, _ = leased(stage, link, file_ids=(file_id,))
    artifact = files.get(file_id)
    asked, ordinary = [], pool.request

    def broken(method, url, *, headers, **options):
        reply = ordinary(method, url, headers=headers, **options)
        if "/content" in url:
            asked.append(headers.get("Range"))
            if len(asked) == 1:
                reply.stream = _breaks_off(reply, 100_000)
        return reply

    monkeypatch.setattr(pool, "request", broken)
    with files.open(artifact) as stream:
        assert stream.read() == BYTES
    assert asked == [None, "bytes=100000-"]


def _breaks_off(reply, after):
    from urllib3.exceptions import ProtocolError

    def stream(_size):
        yield reply.read(after)
        raise ProtocolError("cut")

    return stream


def test_bytes_that_changed_on_the_way_are_not_taken(stage: Stage, node, monkeypatch):
    file_id = keep(stage, b"as it was")
    files, _ = leased(stage, node[0], file_ids=(file_id,))
    artifact = files.get(file_id)
    monkeypatch.setattr(files, "_chunks", lambda _artifact: iter([b"otherwise"]))
    with pytest.raises(StoreUnavailableError, match="did not arrive"):
        files.open(artifact)


def put(files: RemoteFiles, path: Path):
    return files.put("", path, media_type="application/pdf", filename="out.pdf", purpose="output")


def test_a_file_is_sent_in_parts_and_belongs_to_the_jobs_tenant(stage: Stage, node, tmp_path):
    (tmp_path / "out").write_bytes(BYTES)
    files, _ = leased(stage, node[0])
    made = put(files, tmp_path / "out")
    kept = stage.services.artifacts.get(made.id, TENANT)
    assert kept is not None
    assert (kept.filename, kept.media_type, kept.purpose) == ("out.pdf", "application/pdf", "output")
    with stage.services.artifacts.open(kept) as stream:
        assert stream.read() == BYTES
    # Nothing is left of the parts.
    assert stage.services.artifacts.page(f"~{TENANT}", before=None, limit=10) == []


def test_an_empty_file_is_a_file(stage: Stage, node, tmp_path):
    (tmp_path / "out").touch()
    files, _ = leased(stage, node[0])
    assert put(files, tmp_path / "out").size_bytes == 0


def test_an_upload_that_broke_off_sends_what_is_missing(stage: Stage, node, tmp_path):
    (tmp_path / "out").write_bytes(BYTES)
    link, pool = node
    files, lease = leased(stage, link)
    ordinary = pool.request

    def breaks(method, url, **options):
        if "/parts/1" in url:
            pool.is_cut = True
        return ordinary(method, url, **options)

    pool.request = breaks
    with pytest.raises(StoreUnavailableError):
        put(files, tmp_path / "out")
    pool.request, pool.is_cut = ordinary, False
    pool.sent.clear()
    made = put(files, tmp_path / "out")
    sent = [path.partition("?")[0] for method, path in pool.sent if method == "PUT"]
    assert sent == ["/v1/nodes/uploads/parts/1", "/v1/nodes/uploads/parts/2"]
    assert stage.services.artifacts.get(made.id, TENANT).size_bytes == len(BYTES)
    assert lease.receipt


def test_what_is_too_large_is_said_before_it_is_sent(stage: Stage, node, tmp_path):
    with (tmp_path / "out").open("wb") as file:
        file.truncate(stage.services.settings.max_file_bytes + 1)
    files, _ = leased(stage, node[0])
    with pytest.raises(TooLargeError):
        put(files, tmp_path / "out")


def test_tickets_are_for_one_file_and_for_some_minutes(stage: Stage, node):
    file_id, other = keep(stage, b"mine"), keep(stage, b"not mine")
    files, _ = leased(stage, node[0], file_ids=(file_id,))
    files.get(file_id)
    ticket = files._tickets[file_id]
    client = stage.app.test_client()
    assert client.get(f"/v1/nodes/files/{file_id}/content?ticket={ticket}").data == b"mine"
    assert client.get(f"/v1/nodes/files/{other}/content?ticket={ticket}").status_code == 401
    assert client.get(f"/v1/nodes/files/{file_id}/content?ticket={ticket[:-3]}AAA").status_code == 401
    assert client.get(f"/v1/nodes/files/{file_id}/content").status_code == 401

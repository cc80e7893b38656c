"""Bytes in and out of jobs."""

from __future__ import annotations

import base64
import re
from types import SimpleNamespace
from typing import Any, BinaryIO

import orjson
import pytest

from jangada.clock import utc_now
from jangada.ids import new_id
from jangada.jobs.job import Job, JobStatus
from jangada.webhooks.guard import OutboundError, OutboundGuard
from tests.integration.executor.harness import TENANT, Bench, until

FILE_ID = re.compile(r"file_[0-9A-HJKMNP-TV-Z]{26}")


def data_url(content: bytes) -> dict[str, str]:
    return {"data": "data:image/png;base64," + base64.b64encode(content).decode()}


def test_files_come_from_the_store_from_data_and_from_a_url_and_go_back_to_the_store(bench: Bench) -> None:
    def download(url: str, to: BinaryIO, *, max_bytes: int, timeout_s: float) -> Any:
        to.write(b"from " + url.encode())
        return SimpleNamespace(status=200, headers={"content-type": "text/html"})

    bench.download = download
    stored = bench.artifacts.put(TENANT, b"stored ", media_type="text/css")
    files = [{"file": stored.id}, data_url(b"inline "), {"url": "https://a.example/x"}, {"file": stored.id}]
    with bench.executor("writes_files"):
        job = bench.run("writes_files", {"files": files})
        assert job.status is JobStatus.SUCCEEDED, job.error
        until(lambda: not list(bench.tmp_path.glob("*/jobs/*")))
    assert job.output["sizes"] == [7, 7, 24, 7]
    assert job.output["media_types"] == ["text/css", "image/png", "text/html", "text/css"]
    assert FILE_ID.fullmatch(job.output["joined"]["file"])
    joined = bench.artifacts.get(job.output["joined"]["file"], TENANT)
    assert joined is not None
    assert (joined.media_type, joined.filename, joined.purpose) == ("text/plain", "joined.bin", "output")
    with bench.artifacts.open(joined) as stream:
        assert stream.read() == b"stored inline from https://a.example/xstored "


@pytest.mark.parametrize(
    ("reference", "part"),
    [
        ({"file": "file_01ARZ3NDEKTSV4RRFFQ69G5FAV"}, "/input/files/0/file: no file"),
        ({"data": "data:text/plain,hello"}, "a data URL must look like"),
        ({"data": "data:text/plain;base64,*"}, "not valid base64"),
        ({"url": "http://169.254.169.254/latest"}, "/input/files/0/url: "),
        ({"url": "https://localhost/"}, "is not a public address"),
    ],
)
def test_a_file_that_cannot_be_had_is_invalid_input(bench: Bench, reference: dict[str, str], part: str) -> None:
    bench.download = OutboundGuard().download
    with bench.executor("writes_files"):
        job = bench.run("writes_files", {"files": [reference]})
    assert job.error is not None
    assert job.error["code"] == "invalid_input"
    assert part in job.error["message"]


def test_the_file_of_another_tenant_is_no_file(bench: Bench) -> None:
    foreign = bench.artifacts.put("ten_other", b"secret")
    with bench.executor("writes_files"):
        job = bench.run("writes_files", {"files": [{"file": foreign.id}]})
    assert job.error is not None
    assert job.error["code"] == "invalid_input"


@pytest.mark.parametrize(("status", "code"), [(404, "invalid_input"), (302, "invalid_input"), (503, "dependency")])
def test_what_a_url_answers_decides_who_is_to_blame(bench: Bench, status: int, code: str) -> None:
    bench.download = lambda url, to, *, max_bytes, timeout_s: SimpleNamespace(status=status, headers={})
    with bench.executor("writes_files"):
        job = bench.run("writes_files", {"files": [{"url": "https://a.example/"}]}, max_attempts=1)
    assert job.error is not None
    assert job.error["code"] == code


def test_files_larger_than_allowed_are_invalid_input(bench: Bench) -> None:
    def download(url: str, to: BinaryIO, *, max_bytes: int, timeout_s: float) -> Any:
        raise OutboundError("too_large", f"more than {max_bytes} bytes")

    bench.download = download
    large = bench.artifacts.put(TENANT, b"x" * 1_000_001)
    with bench.executor("writes_files"):
        stored = bench.run("writes_files", {"files": [{"file": large.id}]})
        fetched = bench.run("writes_files", {"files": [{"url": "https://a.example/"}]})
    for job in (stored, fetched):
        assert job.error is not None
        assert job.error["code"] == "invalid_input"


def test_a_large_output_becomes_a_file(bench: Bench) -> None:
    with bench.executor("writes_files"):
        job = bench.run("writes_files", {"files": [data_url(b"abc")], "large": 300_000})
    assert job.status is JobStatus.SUCCEEDED, job.error
    assert job.output is None
    assert job.output_file is not None
    artifact = bench.artifacts.get(job.output_file, TENANT)
    assert artifact is not None
    with bench.artifacts.open(artifact) as stream:
        output = orjson.loads(stream.read())
    assert len(output["padding"]) == 300_000
    assert FILE_ID.fullmatch(output["joined"]["file"])


def test_a_large_input_is_read_from_its_file(bench: Bench) -> None:
    whole = bench.artifacts.put(TENANT, orjson.dumps({"value": "v" * 300_000}), media_type="application/json")
    job = Job(
        id=new_id("job"),
        tenant_id=TENANT,
        algorithm="echo",
        algorithm_version="1.0.0",
        deployment="echo",
        queue="echo",
        input=None,
        input_file=whole.id,
        created_at=utc_now(),
    )
    with bench.executor("echo"):
        bench.service.submit(job)
        done = bench.final(job.id)
    assert done.status is JobStatus.SUCCEEDED, done.error
    assert done.output_file is not None

"""One story per promise, told through the public address as a client would."""

from __future__ import annotations

import hashlib
import time

import pytest
import requests

from jangada.client import InvalidRequestError, NotFoundError

pytestmark = pytest.mark.timeout(300)


def test_a_job_is_submitted_waited_for_and_read_again(client):
    job = client.submit("echo", {"value": {"a": [1, "é"]}})
    done = client.wait(job, timeout_s=60)
    assert done.status == "succeeded"
    assert client.output(done)["value"] == {"a": [1, "é"]}
    assert client.get(job.id).raw["output"] == done.raw["output"]
    assert job.id in [one.id for one in client.jobs(algorithm="echo", limit=10)]


def test_a_caller_can_hold_the_line_until_the_output_is_there(client):
    began = time.monotonic()
    job = client.submit("echo", {"value": 1}, wait_s=30)
    assert job.status == "succeeded"
    assert time.monotonic() - began < 20


def test_what_the_algorithm_printed_is_the_jobs_log(client):
    job = client.wait(client.submit("echo", {"value": 1}), timeout_s=60)
    lines = {(line.stream, line.text) for line in client.logs(job.id)}
    assert {("stdout", f"printed by {job.id}"), ("stderr", f"complained by {job.id}")} <= lines


def test_progress_comes_as_events_and_ends_with_the_status(client):
    job = client.submit("emits-progress", {"steps": 100, "seconds": 1.0})
    kinds = [event.type for event in client.events(job, timeout_s=60)]
    assert any("progress" in kind for kind in kinds)
    assert client.get(job.id).status == "succeeded"


def test_a_file_goes_up_into_the_job_and_the_result_comes_down(client, tmp_path):
    content = b"x" * 600_000 + b"end"
    path = tmp_path / "in.bin"
    path.write_bytes(content)
    uploaded = client.upload(path)
    job = client.wait(client.submit("writes-files", {"files": [uploaded.reference]}), timeout_s=60)
    assert job.status == "succeeded", job.error
    client.download(client.output(job)["joined"]["file"], tmp_path / "out.bin")
    assert hashlib.sha256((tmp_path / "out.bin").read_bytes()).digest() == hashlib.sha256(content).digest()


def test_an_output_too_large_for_the_record_becomes_a_file(client):
    job = client.wait(client.submit("echo", {"value": "y" * 400_000}), timeout_s=60)
    assert job.status == "succeeded", job.error
    assert job.output is None
    assert job.output_file
    assert client.output(job)["value"] == "y" * 400_000


def test_a_running_job_is_canceled_within_its_grace_and_a_second(client):
    job = client.submit("never-ends")
    _until_running(client, job.id)
    began = time.monotonic()
    client.cancel(job.id)
    assert client.wait(job, timeout_s=30).status == "canceled"
    assert time.monotonic() - began < 1 + 1 + 1.5  # its grace, a second, and what the looking costs


def test_a_child_that_is_killed_is_tried_again_and_both_attempts_are_told(client):
    job = client.wait(client.submit("killed-in-run", {"times": 1}), timeout_s=90)
    assert (job.status, job.attempt) == ("succeeded", 2)
    assert len(job.raw["attempts"]) >= 1


def test_a_child_that_is_always_killed_ends_as_failed_with_its_reason(client):
    job = client.submit("killed-in-run", {"times": 9}, policy={"max_attempts": 2})
    job = client.wait(job, timeout_s=90)
    assert job.status == "failed"
    assert "SIGKILL" in str(job.error) or "killed" in str(job.error).lower()


def test_thousands_go_in_with_one_call_and_each_comes_out_once(client):
    jobs = list(client.submit_many({"algorithm": "noop", "input": {"number": n}} for n in range(2000)))
    assert len({job.id for job in jobs}) == 2000
    last = client.wait(jobs[-1], timeout_s=60)
    assert last.status == "succeeded"
    for job in (jobs[0], jobs[999], jobs[1998]):
        assert client.wait(job, timeout_s=60).output["number"] == jobs.index(job)


def test_one_key_is_one_job_however_often_it_is_sent(client):
    first = client.submit("echo", {"value": 1}, idempotency_key="story-1")
    assert client.submit("echo", {"value": 1}, idempotency_key="story-1").id == first.id


def test_wrong_requests_are_refused_before_anything_is_queued(client, platform):
    with pytest.raises(InvalidRequestError):
        client.submit("noop", {"number": "many"})
    with pytest.raises(NotFoundError):
        client.submit("no-such-algorithm", {})
    with pytest.raises(NotFoundError):
        client.get("job_00000000000000000000000000")
    url = platform.connection()["url"]
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        answer = requests.post(f"{url}/v1/jobs", data=b"{", headers=headers, timeout=10)
        assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")


def test_every_public_resource_answers_at_its_path_and_below_its_function(platform):
    url, key = platform.connection()["url"], platform.connection()["api_key"]
    headers = {"Authorization": f"Bearer {key}"}
    for function, path in (
        ("auth", "/v1/whoami"),
        ("auth", "/v1/.well-known/jwks.json"),
        ("router", "/v1/jobs"),
        ("router", "/v1/openapi.json"),
        ("router", "/problems/not-found"),
        ("deployments", "/v1/algorithms"),
        ("files", "/v1/files"),
        ("nodes", "/v1/nodes"),
    ):
        public = requests.get(url + path, headers=headers, timeout=10)
        below = requests.get(f"{url}/function/{function}{path}", headers=headers, timeout=10)
        assert (public.status_code, below.status_code) in {(200, 200), (405, 405)}, path


def test_the_paths_of_the_openapi_document_all_lead_to_a_function(platform):
    url = platform.connection()["url"]
    document = requests.get(f"{url}/v1/openapi.json", timeout=10).json()
    assert len(document["paths"]) > 15
    for path in document["paths"]:
        answer = requests.options(url + path.replace("{", "").replace("}", ""), timeout=10)
        assert answer.headers.get("X-OpenFaaS-Internal") is None, f"{path}: no function claims it in stack.yml"


def _until_running(client, job_id: str) -> None:
    deadline = time.monotonic() + 30
    while client.get(job_id).status != "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)

"""The client and its commands on a platform as `jangada up` makes it, with toy algorithms."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from jangada.client import (
    ApiError,
    Client,
    InvalidRequestError,
    Job,
    JobNotSucceededError,
    NotFoundError,
    UnauthenticatedError,
    WaitTimeoutError,
    job_request,
)
from tests.live_platform import ROOT, live_platform

pytestmark = pytest.mark.timeout(300)
TOYS = ("echo", "emits-progress", "never-ends", "raises-in-run", "writes-files")


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with live_platform(tmp_path_factory.mktemp("platform") / "home", TOYS) as running:
        yield running


@pytest.fixture
def client(platform):
    with platform.client() as client:
        yield client


def test_a_job_runs_and_its_output_comes_back(client):
    value = {"text": "ação", "list": [1, 2.5, None]}
    assert client.run("echo", {"value": value}, timeout_s=30) == {"value": value, "attempt": 1}


def test_waiting_in_the_submit_itself_answers_with_the_final_job(client):
    assert client.submit("echo", {"value": 1}, wait_s=30).succeeded


def test_every_step_is_told_once_and_in_order(client):
    job = client.submit("emits-progress", {"steps": 20, "seconds": 1.0})
    events = list(client.events(job, timeout_s=30))
    numbers = [event.number for event in events]
    assert numbers == sorted(set(numbers))
    assert events[0].type == "job.queued"
    assert events[-1].type == "job.succeeded"
    progress = [event.data["progress"] for event in events if event.type == "job.progress"]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert [event.number for event in client.events(job, after=numbers[2])] == numbers[3:]


def test_polling_sees_the_same_end(client):
    client._transport.call = without_streams(client._transport.call)
    types = []
    job = client.wait(
        client.submit("emits-progress", {"steps": 20, "seconds": 1.0}), on_event=lambda e: types.append(e.type)
    )
    assert job.succeeded
    assert types[-1] == "job.succeeded"


def test_a_running_job_can_be_canceled_and_a_wait_given_up(client):
    job = client.submit("never-ends", {})
    with pytest.raises(WaitTimeoutError):
        client.wait(job, timeout_s=1.5)
    assert client.cancel(job.id).id == job.id
    assert client.wait(job, timeout_s=20).status == "canceled"
    assert client.cancel(job.id).status == "canceled"


def test_a_failed_job_says_why_and_can_be_tried_again(client):
    job = client.wait(client.submit("raises-in-run", {"how": "invalid"}), timeout_s=30)
    assert job.error is not None
    assert job.error["code"] == "invalid_input"
    with pytest.raises(JobNotSucceededError, match="the image is broken"):
        client.output(job)
    again = client.retry(job.id)
    assert again.retry_of == job.id
    assert client.wait(again, timeout_s=30).status == "failed"


def test_files_go_up_and_come_down_unchanged(client, tmp_path):
    content = os.urandom(300_000)
    path = tmp_path / "página.bin"
    path.write_bytes(content)
    output = client.run("writes-files", {"files": []}, files={"/files/0": path, "/files/1": b"end"}, timeout_s=60)
    assert output["sizes"] == [300_000, 3]
    known = client.download(output["joined"]["file"], tmp_path / "joined.bin")
    assert (tmp_path / "joined.bin").read_bytes() == content + b"end"
    assert known.sha256 == hashlib.sha256(content + b"end").hexdigest()


def test_a_large_output_is_fetched_as_if_it_were_small(client):
    job = client.wait(client.submit("writes-files", {"files": [{"data": "data:;base64,QQ=="}], "large": 400_000}))
    assert job.output is None
    assert job.output_file is not None
    assert len(client.output(job)["padding"]) == 400_000


def test_the_same_key_is_the_same_job(client):
    first = client.submit("echo", {"value": 1}, idempotency_key="once")
    assert client.submit("echo", {"value": 1}, idempotency_key="once").id == first.id
    with pytest.raises(InvalidRequestError) as caught:
        client.submit("echo", {"value": 2}, idempotency_key="once")
    assert caught.value.code == "idempotency_key_reused"


def test_many_are_submitted_and_each_has_its_own_outcome(client):
    requests = [job_request("echo", {"value": n}) for n in range(250)]
    requests[100] = job_request("no-such-algorithm", {})
    outcomes = list(client.submit_many(requests, chunk=100))
    assert [index for index, outcome in enumerate(outcomes) if isinstance(outcome, ApiError)] == [100]
    jobs = [outcome for outcome in outcomes if isinstance(outcome, Job)]
    assert len({job.id for job in jobs}) == 249
    assert client.wait(jobs[-1], timeout_s=60).succeeded


def test_lists_go_through_all_pages_newest_first(client):
    ids = [client.submit("echo", {"value": n}).id for n in range(5)]
    listed = [job.id for job in client.jobs(algorithm="echo", page_size=2, limit=5)]
    assert listed == ids[::-1]


def test_logs_are_what_it_printed(client):
    job = client.submit("echo", {"value": 1})
    client.wait(job, timeout_s=30)
    texts = {line.stream: line.text for line in client.logs(job.id)}
    assert {f"printed by {job.id}", f"complained by {job.id}", f"logged by {job.id}"} <= set(texts.values())


def test_refusals_are_told_apart(client):
    with pytest.raises(NotFoundError):
        client.get("job_01JD0000000000000000000000")
    with pytest.raises(InvalidRequestError) as caught:
        client.submit("raises-in-run", {})
    assert caught.value.errors
    assert caught.value.request_id
    with Client(client.connection.url, "jgd_wrong") as stranger, pytest.raises(UnauthenticatedError):
        stranger.whoami()


def test_waiting_survives_the_death_of_the_function_that_streams(platform, client):
    job = client.submit("emits-progress", {"steps": 50, "seconds": 4.0})
    killed = threading.Event()

    def kill_once(event):
        if event.type == "job.progress" and not killed.is_set():
            killed.set()
            platform.kill("function:router")

    assert client.wait(job, timeout_s=60, on_event=kill_once).succeeded
    assert killed.is_set()


def test_submit_on_the_command_line_uploads_waits_and_prints_the_output_alone(platform, tmp_path):
    (tmp_path / "a.txt").write_text("abc")
    done = platform.jangada("submit", "writes-files", str(tmp_path / "a.txt"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sizes"] == [3]


def test_exit_codes_of_the_command_line(platform):
    for arguments, code in (
        (["submit", "raises-in-run", "-p", "how=bug"], 1),
        (["submit", "no-such-algorithm"], 1),
        (["submit", "echo", "--input", "{"], 2),
        (["jobs", "get", "job_01JD0000000000000000000000"], 1),
        (["whoami"], 0),
    ):
        done = platform.jangada(*arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert "Traceback" not in done.stderr


def test_ctrl_c_leaves_the_job_and_says_how_to_end_it(platform, client):
    command = [sys.executable, "-c", "from jangada.cli.main import main; main()", "submit", "never-ends"]
    with subprocess.Popen(command, env=platform.environ(), cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        with contextlib.ExitStack() as ended:
            ended.callback(process.kill)
            deadline = time.monotonic() + 30
            while not (running := [j for j in client.jobs(algorithm="never-ends", limit=1) if j.status == "running"]):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=10)
            ended.pop_all()
        assert time.monotonic() - began < 3
    assert process.returncode == 130
    assert f"jangada jobs cancel {running[0].id}" in told
    client.cancel(running[0].id)
    assert client.wait(running[0].id, timeout_s=20).status == "canceled"


def without_streams(call):
    def wrapped(method, path, **options):
        if path.endswith("/events"):
            raise ApiError(406, "not_acceptable", "a proxy that knows no streams")
        return call(method, path, **options)

    return wrapped

"""The router over a real Redis and MongoDB: what memory services cannot show."""

import dataclasses
import json
import threading
import time
import uuid

import pytest

from functions.router.handler import background, create_app
from jangada.clock import utc_now
from jangada.jobs.execution import Completion, JobExecution
from jangada.settings import Settings
from jangada.webhooks.guard import OutboundGuard
from jangada.webhooks.notifier import WebhookNotifier
from jangada.wiring import Services
from tests.contract.api.conftest import make_api
from tests.contract.api.test_events import lived, read
from tests.integration.webhooks.test_webhook_sending import Receiver

ECHO = {"algorithm": "echo", "input": {"text": "olá"}}


@pytest.fixture
def api(redis_url, mongo_url, mongo_client, tmp_path):
    database = f"test_{uuid.uuid4().hex[:12]}"
    settings = dataclasses.replace(
        Settings.from_env({}),
        redis_url=redis_url,
        mongo_url=mongo_url,
        mongo_database=database,
        secrets_dir=tmp_path,
        allow_unsafe_redis=True,
        inline_bytes=20_000,
    )
    services = Services.from_settings(settings)
    yield make_api(services)
    for queue in ("echo", "page", "any"):
        ids = [job.id for job in services.store.unfinished(created_before=utc_now(), after_id=None, limit=10_000)]
        services.queue.drop(queue, ids)
    services.close()
    mongo_client.drop_database(database)


def test_a_jobs_whole_life(api):
    job = api.submit(metadata={"a.b": {"$c": 1}})
    assert api.get(f"/v1/jobs/{job['id']}").json == job
    lease = api.claim()
    assert api.get(f"/v1/jobs/{job['id']}").json["status"] == "running"
    api.finish(lease, {"text": "done"})
    done = api.get(f"/v1/jobs/{job['id']}").json
    assert (done["status"], done["output"], done["metadata"]) == ("succeeded", {"text": "done"}, {"a.b": {"$c": 1}})


@pytest.mark.parametrize("number", [2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**70, -(2**63), 1e308, 5e-324, 0.1])
def test_any_json_number_survives(api, number):
    data = json.dumps({"algorithm": "any", "input": {"n": number}})
    answer = api.http.post("/v1/jobs", data=data, headers=api.as_(Content_Type="application/json"))
    assert answer.status_code == 202
    assert api.get(f"/v1/jobs/{answer.json['id']}").json["input"]["n"] == pytest.approx(number)


@pytest.mark.parametrize("key", ["$where", "a.b", "", "\0", "é" * 200, "$", "_id"])
def test_any_json_key_survives(api, key):
    metadata = {} if not key or "\0" in key or len(key) > 128 else {key: {key: [1]}}
    answer = api.post("/v1/jobs", {"algorithm": "any", "input": {key: {key: 1}}, "metadata": metadata})
    assert answer.status_code == 202
    job = api.get(f"/v1/jobs/{answer.json['id']}").json
    assert (job["input"], job["metadata"]) == ({key: {key: 1}}, metadata)


def test_the_wait_ends_with_the_job(api):
    answers = []
    caller = threading.Thread(target=lambda: answers.append(api.post("/v1/jobs", ECHO, Prefer="wait=10")))
    caller.start()
    while not (leases := api.execution().exchange(want=1)):
        time.sleep(0.01)
    api.finish(leases[0], {"text": "done"})
    finished = time.monotonic()
    caller.join()
    assert time.monotonic() - finished < 1
    assert (answers[0].status_code, answers[0].json["status"]) == (200, "succeeded")


def test_events_are_replayed_after_the_last_one_seen(api):
    job = lived(api)
    everything = read(api.get(f"/v1/jobs/{job['id']}/events").text)
    assert everything[0][1] == "job.queued"
    assert everything[-1][1] == "job.succeeded"
    assert read(api.get(f"/v1/jobs/{job['id']}/events?after={everything[2][0]}").text) == everything[3:]


def test_idempotency_over_the_store(api):
    first = api.post("/v1/jobs", ECHO, Idempotency_Key="k-1")
    again = api.post("/v1/jobs", ECHO, Idempotency_Key="k-1")
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert api.post("/v1/jobs", ECHO | {"priority": "low"}, Idempotency_Key="k-1").status_code == 422
    batch = api.post("/v1/jobs/batch", [ECHO, {}], Idempotency_Key="k-1")
    assert api.post("/v1/jobs/batch", [ECHO, {}], Idempotency_Key="k-1").json == batch.json
    assert api.services.queue.stats("echo").jobs == 2


def test_the_same_key_at_the_same_moment_makes_one_job(api):
    answers = []

    def submit():
        answers.append(api.post("/v1/jobs", ECHO, Idempotency_Key="k-1"))

    callers = [threading.Thread(target=submit) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json["id"] for answer in answers if answer.status_code == 202}) == 1
    assert api.services.queue.stats("echo").jobs == 1


def test_concurrent_submits_are_all_kept(api):
    answers = []

    def submit():
        answers.extend(api.post("/v1/jobs", ECHO) for _ in range(20))

    callers = [threading.Thread(target=submit) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 160
    seen, cursor = set(), ""
    while cursor is not None:
        page = api.get(f"/v1/jobs?limit=100{cursor and '&cursor=' + cursor}").json
        seen |= {job["id"] for job in page["data"]}
        cursor = page["next_cursor"]
    assert seen == {answer.json["id"] for answer in answers}


def test_a_batch_a_big_input_a_retry_and_feedback(api):
    data = api.post("/v1/jobs/batch", [ECHO] * 500).json["data"]
    assert [item["status"] for item in data] == [202] * 500
    big = api.submit(input={"text": "x" * 30_000})
    assert big["input_file"] is not None
    assert api.post(f"/v1/jobs/{big['id']}/cancel").status_code == 200
    assert api.post(f"/v1/jobs/{big['id']}/retry").json["retry_of"] == big["id"]
    assert api.post(f"/v1/jobs/{big['id']}/feedback", {"label": {"$a": 2**70 // 2**7}}).status_code == 201
    assert len(api.services.feedback.of_job(big["id"], "acme")) == 1


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


def test_webhooks_are_sent_for_a_finished_and_for_a_canceled_job(api, receiver):
    api.services.guard = OutboundGuard(allowed_hosts=["127.0.0.1"])
    api.app = create_app(api.services)
    sending = background(api.services)
    sending.start()
    try:
        hook = {"webhook": {"url": receiver.url(), "events": ["started"]}}
        job = api.submit(**hook)
        execution = JobExecution(
            api.services.queue,
            api.services.store,
            queue_name="echo",
            executor_id="exec_test",
            notify=WebhookNotifier(api.services.queue),
        )
        (lease,) = execution.exchange(want=1)
        execution.exchange([Completion(lease, output={"text": "done"})])
        told = {json.loads(body)["type"]: json.loads(body)["data"] for *_, body in receiver.wait_for(2)}
        assert set(told) == {"job.running", "job.succeeded"}
        assert told["job.succeeded"]["id"] == job["id"]
        assert told["job.succeeded"]["output"] == {"text": "done"}
        # Nobody notifies of this one: the sweep finds that it is due.
        canceled = api.submit(**hook)
        api.post(f"/v1/jobs/{canceled['id']}/cancel")
        last = json.loads(receiver.wait_for(3, timeout_s=15)[2][3])
        assert (last["type"], last["data"]["id"]) == ("job.canceled", canceled["id"])
        states = {one["type"]: one["state"] for one in api.get("/v1/webhooks/deliveries").json["data"]}
        assert states["job.succeeded"] == "delivered"
    finally:
        sending.stop()

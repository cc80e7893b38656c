"""Jobs that are to run later, and jobs of which there is to be one at a time."""

from datetime import datetime, timedelta

import pytest

from jangada.clock import rfc3339

ECHO = {"algorithm": "echo", "input": {"text": "hello"}}
UNIQUE = ECHO | {"unique": {"key": "invoice A-17"}}


def instant(text):
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("how", ["run_at", "delay_s"])
def test_a_job_does_not_run_before_its_time(api, how):
    now = api.services.clock()
    when = {"run_at": rfc3339(now + timedelta(seconds=600))} if how == "run_at" else {"delay_s": 600}
    job = api.post("/v1/jobs", ECHO | when | {"policy": {"queue_ttl_s": 60}}).json
    assert abs((instant(job["run_at"]) - now).total_seconds() - 600) < 60
    assert instant(job["expires_at"]) - instant(job["run_at"]) == timedelta(seconds=60)
    assert job["status"] == "queued"
    assert api.execution().exchange(want=5) == []
    assert api.services.queue.stats("echo").delayed == 1


def test_an_instant_in_the_past_is_now(api):
    job = api.post("/v1/jobs", ECHO | {"run_at": "2020-01-01T00:00:00Z"}).json
    assert job["run_at"] is None
    assert api.claim().job_id == job["id"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"run_at": "2099-01-01T00:00:00Z"}, "/run_at"),
        ({"run_at": "2020-01-01T00:00:00"}, "/run_at"),
        ({"run_at": "soon"}, "/run_at"),
        ({"run_at": 1800000000}, "/run_at"),
        ({"run_at": "2020-01-01T00:00:00Z", "delay_s": 5}, "/delay_s"),
        ({"delay_s": -1}, "/delay_s"),
        ({"delay_s": 600, "policy": {"deadline_s": 300}}, "/policy/deadline_s"),
        ({"unique": {}}, "/unique/key"),
        ({"unique": {"key": "k", "on_duplicate": "shrug"}}, "/unique/on_duplicate"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(api, fields, pointer):
    answer = api.post("/v1/jobs", ECHO | fields)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


def test_a_second_submit_gets_the_first_job_until_it_has_ended(api):
    first = api.post("/v1/jobs", UNIQUE)
    second = api.post("/v1/jobs", UNIQUE)
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json["id"] == first.json["id"]
    assert second.json["unique_key"] == "invoice A-17"
    assert second.headers["Unique-Replayed"] == "true"
    assert "Unique-Replayed" not in first.headers
    assert api.services.queue.stats("echo").jobs == 1
    api.finish(api.claim(), {"text": "done"})
    assert api.post("/v1/jobs", UNIQUE).json["id"] != first.json["id"]


def test_whoever_asks_is_refused_instead(api):
    first = api.post("/v1/jobs", UNIQUE).json
    refused = ECHO | {"unique": {"key": "invoice A-17", "on_duplicate": "refuse"}}
    answer = api.post("/v1/jobs", refused)
    assert (answer.status_code, answer.json["code"], answer.json["job_id"]) == (409, "duplicate_job", first["id"])


def test_a_key_for_a_time_outlives_its_job(api):
    body = ECHO | {"unique": {"key": "hourly", "for_s": 3600}}
    first = api.post("/v1/jobs", body).json
    api.finish(api.claim(), {"text": "done"})
    again = api.post("/v1/jobs", body)
    assert again.json["id"] == first["id"]
    assert again.json["status"] == "succeeded"


def test_keys_are_each_tenants_own(api):
    first = api.post("/v1/jobs", UNIQUE).json
    other = api.post("/v1/jobs", UNIQUE, tenant="globex").json
    assert other["id"] != first["id"]


def test_an_idempotency_key_remembers_the_job_that_was_there(api):
    first = api.post("/v1/jobs", UNIQUE).json
    for _ in range(2):
        answer = api.post("/v1/jobs", UNIQUE, Idempotency_Key="k1")
        assert (answer.status_code, answer.json["id"]) == (202, first["id"])


def test_in_a_batch_each_item_has_its_own_outcome(api):
    refused = ECHO | {"unique": {"key": "invoice A-17", "on_duplicate": "refuse"}}
    data = api.post("/v1/jobs/batch", [UNIQUE, UNIQUE, refused, ECHO]).json["data"]
    assert [item["status"] for item in data] == [202, 202, 409, 202]
    assert data[0]["job"]["id"] == data[1]["job"]["id"]

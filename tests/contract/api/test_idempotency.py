"""API conventions §2: `Idempotency-Key`."""

import threading

import pytest

from jangada.errors import StoreUnavailableError

ECHO = {"algorithm": "echo", "input": {"text": "olá"}}


def test_same_key_and_body_get_the_first_answer_again(api):
    first = api.post("/v1/jobs", ECHO, Idempotency_Key='"k-1"')
    assert "Idempotent-Replayed" not in first.headers
    api.run_one({"text": "done"})
    again = api.post("/v1/jobs", {"input": {"text": "olá"}, "algorithm": "echo"}, Idempotency_Key="k-1")
    assert again.status_code == 202
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert again.json == first.json
    assert api.services.queue.stats("echo").jobs == 0


def test_a_replay_that_waits_gets_what_it_waited_for(api):
    api.post("/v1/jobs", ECHO, Idempotency_Key="k-1")
    api.run_one({"text": "done"})
    again = api.post("/v1/jobs", ECHO, Idempotency_Key="k-1", Prefer="wait=5")
    assert again.status_code == 200
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json["output"] == {"text": "done"}


def test_another_body_with_the_same_key_is_422(api):
    api.post("/v1/jobs", ECHO, Idempotency_Key="k-1")
    answer = api.post("/v1/jobs", ECHO | {"priority": "high"}, Idempotency_Key="k-1")
    assert answer.status_code == 422
    assert answer.json["code"] == "idempotency_key_reused"


def test_keys_of_tenants_and_routes_are_apart(api):
    first = api.post("/v1/jobs", ECHO, Idempotency_Key="k-1")
    other = api.post("/v1/jobs", ECHO, tenant="globex", Idempotency_Key="k-1")
    batch = api.post("/v1/jobs/batch", [ECHO], Idempotency_Key="k-1")
    assert len({first.json["id"], other.json["id"], batch.json["data"][0]["job"]["id"]}) == 3


def test_the_first_request_still_being_handled_is_409(api):
    begun, go_on = threading.Event(), threading.Event()
    submit = api.services.jobs.submit

    def slow(*args, **kwargs):
        begun.set()
        go_on.wait(5)
        return submit(*args, **kwargs)

    api.services.jobs.submit = slow
    first = threading.Thread(target=lambda: api.post("/v1/jobs", ECHO, Idempotency_Key="k-1"))
    first.start()
    begun.wait(5)
    answer = api.post("/v1/jobs", ECHO, Idempotency_Key="k-1")
    go_on.set()
    first.join()
    assert answer.status_code == 409
    assert answer.json["code"] == "idempotency_in_progress"


def test_a_refusal_is_remembered(api):
    wrong = {"algorithm": "echo", "input": {"times": 0}}
    first = api.post("/v1/jobs", wrong, Idempotency_Key="k-1")
    again = api.post("/v1/jobs", wrong, Idempotency_Key="k-1")
    assert (first.status_code, again.status_code) == (422, 422)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json == first.json
    assert again.mimetype == "application/problem+json"


def test_overload_is_not_remembered(make):
    api = make(queue_max_jobs=1)
    api.submit()
    assert api.post("/v1/jobs", ECHO, Idempotency_Key="k-1").status_code == 503
    api.run_one()
    assert api.post("/v1/jobs", ECHO, Idempotency_Key="k-1").status_code == 202


def test_a_batch_is_replayed_whole(api):
    first = api.post("/v1/jobs/batch", [ECHO, {"algorithm": "nope"}], Idempotency_Key="k-1")
    again = api.post("/v1/jobs/batch", [ECHO, {"algorithm": "nope"}], Idempotency_Key="k-1")
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert api.services.queue.stats("echo").jobs == 1


def test_a_batch_whose_answer_was_lost_is_made_once(api):
    items = [ECHO, {"algorithm": "nope"}, ECHO]
    remember, lost = api.services.idempotency.remember, []

    def dies(*args):
        lost.append(args)
        raise StoreUnavailableError("the process died here")

    api.services.idempotency.remember = dies
    assert api.post("/v1/jobs/batch", items, Idempotency_Key="k-1").status_code == 503
    api.services.idempotency.remember = remember
    assert lost
    assert api.services.queue.stats("echo").jobs == 2
    tenant_id, route, key = lost[0][:3]
    # Ten seconds without an answer, and the first request is taken for dead.
    api.services.idempotency.release(tenant_id, route, key)
    again = api.post("/v1/jobs/batch", items, Idempotency_Key="k-1")
    assert [one["status"] for one in again.json["data"]] == [202, 404, 202]
    assert api.services.queue.stats("echo").jobs == 2
    ids = [one["job"]["id"] for one in again.json["data"] if one["status"] == 202]
    assert [api.get(f"/v1/jobs/{job_id}").json["id"] for job_id in ids] == ids == sorted(ids)


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "käse", "a\tb"])
def test_a_key_that_is_none_is_400(api, key):
    answer = api.http.post("/v1/jobs", json=ECHO, headers={**api.as_(), "Idempotency-Key": key})
    assert answer.status_code == 400

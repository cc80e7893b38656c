"""API conventions §1, 3, 4: looking at jobs, listing, cancel, retry, logs, feedback."""

from datetime import timedelta

import pytest

from jangada.clock import utc_now
from jangada.ids import new_id
from jangada.jobs.job import AttemptFailure, ErrorCode
from jangada.jobs.store import LogLine

from .conftest import ALL_SCOPES


def test_etag_answers_304_until_something_changes(api):
    job = api.submit()
    first = api.get(f"/v1/jobs/{job['id']}")
    assert first.status_code == 200
    assert first.headers["Retry-After"] == "2"
    etag = first.headers["ETag"]
    same = api.get(f"/v1/jobs/{job['id']}", If_None_Match=etag)
    assert (same.status_code, same.data) == (304, b"")
    assert same.headers["ETag"] == etag
    assert same.headers["Retry-After"] == "2"
    api.run_one({"text": "x"})
    final = api.get(f"/v1/jobs/{job['id']}", If_None_Match=etag)
    assert final.status_code == 200
    assert final.headers["ETag"] != etag
    assert "Retry-After" not in final.headers


def test_a_jobs_life_is_visible(api):
    job = api.submit()
    path = f"/v1/jobs/{job['id']}"
    lease = api.claim()
    api.execution().emit(lease, [("job.progress", {"progress": 0.4, "message": "page 2/5"})])
    running = api.get(path).json
    assert (running["status"], running["attempt"], running["progress"]) == ("running", 1, 0.4)
    assert running["status_detail"] == "page 2/5"
    assert running["claimed_at"] is not None
    api.finish(lease, {"text": "done"})
    done = api.get(path).json
    assert (done["status"], done["output"], done["error"]) == ("succeeded", {"text": "done"}, None)
    assert done["completed_at"] is not None


def test_a_failed_job_says_why_without_a_traceback(api):
    job = api.submit(policy={"max_attempts": 1})
    failure = AttemptFailure(ErrorCode.ALGORITHM_ERROR, "cannot read page 2", details={"page": 2})
    api.run_one(failure=failure)
    done = api.get(f"/v1/jobs/{job['id']}").json
    assert done["status"] == "failed"
    assert done["error"] == {
        "code": "algorithm_error", "message": "cannot read page 2", "retryable": False, "details": {"page": 2}
    }  # fmt: skip


@pytest.mark.parametrize(
    "job_id",
    [pytest.param(new_id("job"), id="well formed"), "job_x", "file_1", "job_" + "U" * 26, "%00", "a" * 300],
)
@pytest.mark.parametrize(
    ("method", "suffix"),
    [("GET", ""), ("GET", "/logs"), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry"), ("POST", "/feedback")],
)
def test_an_unknown_job_is_404(api, job_id, method, suffix):
    answer = api.call(method, f"/v1/jobs/{job_id}{suffix}", {"correct": True} if suffix == "/feedback" else None)
    assert answer.status_code == 404
    assert answer.json["code"] in {"unknown_job", "not_found"}


@pytest.mark.parametrize(
    ("method", "suffix"),
    [("GET", ""), ("GET", "/logs"), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry"), ("POST", "/feedback")],
)
def test_another_tenants_job_is_404_and_stays_as_it_is(api, method, suffix):
    job = api.submit()
    body = {"correct": True} if suffix == "/feedback" else None
    answer = api.call(method, f"/v1/jobs/{job['id']}{suffix}", body, tenant="globex")
    assert answer.status_code == 404
    assert answer.json["code"] == "unknown_job"
    assert api.get(f"/v1/jobs/{job['id']}").json["status"] == "queued"


def test_a_purged_job_is_410(api):
    job = api.submit()
    api.run_one()
    assert api.services.store.purge(completed_before=utc_now() + timedelta(seconds=1), limit=10) == 1
    answer = api.get(f"/v1/jobs/{job['id']}")
    assert (answer.status_code, answer.json["code"]) == (410, "expired")
    assert answer.json["type"].endswith("/problems/expired")
    assert api.get(f"/v1/jobs/{job['id']}", tenant="globex").status_code == 404


def test_lists_are_newest_first_and_paged_by_cursor_and_link(api):
    ids = [api.submit()["id"] for _ in range(5)]
    first = api.get("/v1/jobs?limit=2")
    assert [job["id"] for job in first.json["data"]] == [ids[4], ids[3]]
    assert first.json["has_more"] is True
    assert 'rel="next"' in first.headers["Link"]
    seen = [job["id"] for job in first.json["data"]]
    cursor = first.json["next_cursor"]
    while cursor:
        page = api.get(f"/v1/jobs?limit=2&cursor={cursor}").json
        seen += [job["id"] for job in page["data"]]
        cursor = page["next_cursor"]
    assert seen == ids[::-1]


def test_lists_show_only_the_tenants_own(api):
    api.submit()
    assert api.get("/v1/jobs", tenant="globex").json == {"data": [], "has_more": False, "next_cursor": None}


def test_lists_are_filtered(api):
    done = api.submit()["id"]
    api.run_one()
    other = api.submit(algorithm="any")["id"]
    waiting = api.submit()["id"]

    def ids(query):
        return [job["id"] for job in api.get(f"/v1/jobs?{query}").json["data"]]

    assert ids("status=succeeded") == [done]
    assert ids("status=queued") == [waiting, other]
    assert ids("algorithm=any") == [other]
    assert ids("deployment=echo&status=queued") == [waiting]
    api.claim("any")
    assert ids("status=running") == [other]
    assert ids("status=queued") == [waiting]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=-1", "cursor=%00", "cursor=zz", "status=done"]
)
def test_a_wrong_query_is_422_with_a_pointer(api, query):
    answer = api.get(f"/v1/jobs?{query}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"].startswith("/query/")


def test_cancel_of_a_queued_job_is_done_when_it_returns(api):
    job = api.submit()
    answer = api.post(f"/v1/jobs/{job['id']}/cancel")
    assert (answer.status_code, answer.json["status"]) == (200, "canceled")
    again = api.post(f"/v1/jobs/{job['id']}/cancel")
    assert (again.status_code, again.json["status"]) == (200, "canceled")
    assert api.execution().exchange(want=1) == []


def test_cancel_of_a_running_job_is_202_until_it_has_stopped(api):
    job = api.submit()
    lease = api.claim()
    answer = api.post(f"/v1/jobs/{job['id']}/cancel")
    assert (answer.status_code, answer.json["status"]) == (202, "running")
    assert answer.headers["Retry-After"] == "2"
    api.finish(lease, canceled=True)
    answer = api.post(f"/v1/jobs/{job['id']}/cancel")
    assert (answer.status_code, answer.json["status"]) == (200, "canceled")


def test_cancel_of_a_final_job_changes_nothing(api):
    job = api.submit()
    api.run_one({"text": "x"})
    answer = api.post(f"/v1/jobs/{job['id']}/cancel")
    assert (answer.status_code, answer.json["status"]) == (200, "succeeded")


def test_retry_makes_a_new_job_that_names_the_old_one(api):
    job = api.submit(metadata={"a": 1}, priority="low", policy={"queue_ttl_s": 50, "execution_timeout_s": 7})
    conflict = api.post(f"/v1/jobs/{job['id']}/retry")
    assert (conflict.status_code, conflict.json["code"]) == (409, "conflict")
    api.post(f"/v1/jobs/{job['id']}/cancel")
    answer = api.post(f"/v1/jobs/{job['id']}/retry")
    assert answer.status_code == 202
    again = answer.json
    assert again["id"] != job["id"]
    assert again["retry_of"] == job["id"]
    same = {"input", "metadata", "priority", "policy"}
    assert {name: again[name] for name in same} == {name: job[name] for name in same}
    assert api.claim().job_id == again["id"]


def test_retry_of_a_job_whose_input_became_a_file(make):
    api = make(inline_bytes=100)
    job = api.submit(input={"text": "x" * 200})
    api.post(f"/v1/jobs/{job['id']}/cancel")
    again = api.post(f"/v1/jobs/{job['id']}/retry").json
    assert again["input_file"] is not None
    api.post(f"/v1/jobs/{again['id']}/cancel")
    api.services.artifacts.delete(again["input_file"]["file"], "acme")
    assert api.post(f"/v1/jobs/{again['id']}/retry").status_code == 409


def test_logs_are_paged_by_number_and_filtered_by_stream(api):
    job = api.submit()
    lease = api.claim()
    lines = [LogLine(n, 1, "stdout" if n % 2 else "stderr", f"line {n}", 1_700_000_000_000 + n) for n in range(1, 7)]
    api.finish(lease, {"text": "x"}, logs=lines)
    path = f"/v1/jobs/{job['id']}/logs"
    first = api.get(f"{path}?limit=4").json
    assert [line["text"] for line in first["data"]] == ["line 1", "line 2", "line 3", "line 4"]
    assert first["has_more"] is True
    rest = api.get(f"{path}?after={first['data'][-1]['number']}").json
    assert [line["text"] for line in rest["data"]] == ["line 5", "line 6"]
    assert rest["has_more"] is False
    errors = api.get(f"{path}?stream=stderr").json["data"]
    assert {line["stream"] for line in errors} == {"stderr"}
    assert errors[0]["at"].endswith("Z")
    for query in ("stream=x", "after=-1", "limit=0", "limit=1001"):
        assert api.get(f"{path}?{query}").status_code == 422


def test_feedback_is_kept(api):
    job = api.submit()
    api.run_one({"text": "x"})
    answer = api.post(f"/v1/jobs/{job['id']}/feedback", {"label": {"kind": "recibo"}, "correct": False})
    assert answer.status_code == 201
    assert answer.json["job_id"] == job["id"]
    (kept,) = api.services.feedback.of_job(job["id"], "acme")
    assert (kept.correct, kept.label, kept.algorithm_version) == (False, {"kind": "recibo"}, "1.4.2")
    for wrong in ({}, {"correct": "no"}, {"right": True}):
        assert api.post(f"/v1/jobs/{job['id']}/feedback", wrong).status_code == 422


def test_a_label_that_is_no_label_is_refused(api):
    path = f"/v1/jobs/{api.submit()['id']}/feedback"
    assert api.post(path, {"label": "x" * (256 * 1024 - 2)}).status_code == 201
    answer = api.post(path, {"label": "x" * (256 * 1024 - 1)})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/label"


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/jobs", "jobs:write"),
        ("POST", "/v1/jobs/batch", "jobs:write"),
        ("GET", "/v1/jobs", "jobs:read"),
        ("GET", "/v1/jobs/{id}", "jobs:read"),
        ("GET", "/v1/jobs/{id}/logs", "jobs:read"),
        ("GET", "/v1/jobs/{id}/events", "jobs:read"),
        ("POST", "/v1/jobs/{id}/cancel", "jobs:write"),
        ("POST", "/v1/jobs/{id}/retry", "jobs:write"),
        ("POST", "/v1/jobs/{id}/feedback", "jobs:write"),
        ("GET", "/v1/webhooks/deliveries", "webhooks:read"),
        ("GET", "/v1/webhooks/deliveries/msg_1", "webhooks:read"),
        ("POST", "/v1/webhooks/deliveries/msg_1/redeliver", "webhooks:write"),
        ("GET", "/v1/webhooks/secret", "webhooks:write"),
        ("POST", "/v1/webhooks/secret", "webhooks:write"),
    ],
)
def test_every_route_asks_for_its_scope(api, method, path, scope):
    job = api.submit()
    path = path.replace("{id}", job["id"])
    anonymous = api.http.open(path, method=method, json={})
    assert anonymous.status_code == 401
    assert anonymous.headers["WWW-Authenticate"].startswith("Bearer")
    api.keys["acme"] = api.key("acme", ALL_SCOPES - {scope})
    refused = api.call(method, path, {})
    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")

"""API conventions §2: submitting a job."""

import re
import threading
import time

import pytest

JOB_ID = re.compile(r"job_[0-9A-HJKMNP-TV-Z]{26}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ECHO = {"algorithm": "echo", "input": {"text": "olá"}}
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def test_a_job_is_accepted_with_location_and_retry_after(api):
    answer = api.post("/v1/jobs", ECHO)
    assert answer.status_code == 202
    job = answer.json
    assert JOB_ID.fullmatch(job["id"])
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert answer.headers["Retry-After"] == "2"
    assert api.services.store.get(job["id"], "acme") is not None


def test_the_job_object_has_every_documented_field(api):
    job = api.submit(metadata={"invoice": "A-17"}, priority="high", policy={"queue_ttl_s": 600, "max_attempts": 2})
    assert {
        "id", "object", "algorithm", "algorithm_version", "deployment", "model", "status", "status_detail", "progress",
        "attempt", "input", "output", "error", "metadata", "created_at", "claimed_at", "started_at", "completed_at",
        "expires_at", "metrics", "urls",
    } <= job.keys()  # fmt: skip
    assert (job["object"], job["algorithm"], job["algorithm_version"]) == ("job", "echo", "1.4.2")
    assert (job["deployment"], job["status"], job["attempt"]) == ("echo", "queued", 0)
    assert job["metadata"] == {"invoice": "A-17"}
    assert job["policy"] == {
        "queue_ttl_s": 600, "execution_timeout_s": 600, "deadline_s": None, "max_attempts": 2
    }  # fmt: skip
    assert INSTANT.fullmatch(job["created_at"])
    assert INSTANT.fullmatch(job["expires_at"])
    assert set(job["urls"]) == {"self", "events", "logs", "cancel"}
    assert set(job["metrics"]) >= {"queue_s", "setup_s", "run_s", "cpu_s", "gpu_s", "peak_rss_bytes"}


def test_links_are_built_from_the_prefix_that_the_gateway_names(api):
    answer = api.post("/v1/jobs", ECHO, X_Forwarded_Prefix="/function/router")
    job = answer.json
    assert answer.headers["Location"] == f"/function/router/v1/jobs/{job['id']}"
    assert job["urls"]["events"] == f"/function/router/v1/jobs/{job['id']}/events"


def test_ids_of_the_request_come_back_and_go_with_the_job(api):
    answer = api.post("/v1/jobs", ECHO, X_Request_Id="req-7", traceparent=TRACE, X_Call_Id="call-9")
    assert answer.headers["X-Request-Id"] == "req-7"
    assert answer.headers["traceparent"].split("-")[1] == "a" * 32
    kept = api.services.store.get(answer.json["id"], "acme")
    assert (kept.request_id, kept.call_id) == ("req-7", "call-9")
    assert kept.traceparent.split("-")[1] == "a" * 32
    assert b"a" * 32 in api.claim().body


def test_prefer_wait_answers_200_as_soon_as_the_job_is_final(api):
    answers = []
    began = time.monotonic()
    caller = threading.Thread(target=lambda: answers.append(api.post("/v1/jobs", ECHO, Prefer="wait=10")))
    caller.start()
    while not (leases := api.execution().exchange(want=1)):
        time.sleep(0.01)
    api.finish(leases[0], {"text": "done"})
    caller.join()
    (answer,) = answers
    assert time.monotonic() - began < 5
    assert answer.status_code == 200
    assert (answer.json["status"], answer.json["output"]) == ("succeeded", {"text": "done"})
    assert answer.headers["Preference-Applied"] == "wait=10"
    assert "Prefer" in ", ".join(answer.headers.getlist("Vary"))


def test_prefer_wait_answers_202_with_the_job_as_it_stands_when_time_is_over(api):
    began = time.monotonic()
    answer = api.post("/v1/jobs", ECHO, Prefer="wait=1")
    assert 0.9 < time.monotonic() - began < 3
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "wait=1"
    assert answer.headers["Location"].endswith(answer.json["id"])
    assert api.get(f"/v1/jobs/{answer.json['id']}").json["status"] == "queued"


@pytest.mark.parametrize(
    ("header", "applied"),
    [
        ("respond-async", "respond-async"),
        ("wait=0", "wait=0"),
        ("wait=abc", None),
        ("handling=strict", None),
        ("wait=-1", None),
    ],
)
def test_other_preferences_answer_at_once(api, header, applied):
    began = time.monotonic()
    answer = api.post("/v1/jobs", ECHO, Prefer=header)
    assert time.monotonic() - began < 1
    assert answer.status_code == 202
    assert answer.headers.get("Preference-Applied") == applied


def test_wait_is_clamped_to_60_seconds():
    from functions.router.prefer import wait_s

    assert wait_s("wait=3600") == 60
    assert wait_s('respond-async, wait="10"; foo') == 10
    assert wait_s("Wait = 5, wait=9") == 5
    assert wait_s(None) is None


def test_waiting_requests_leave_threads_free(make):
    api = make(threads=17)
    waiting = threading.Thread(target=lambda: api.post("/v1/jobs", ECHO, Prefer="wait=2"))
    waiting.start()
    while not api.services.queue.stats("echo").jobs:
        time.sleep(0.01)
    began = time.monotonic()
    second = api.post("/v1/jobs", ECHO, Prefer="wait=2")
    assert second.status_code == 202
    assert "Preference-Applied" not in second.headers
    assert time.monotonic() - began < 1
    stream = api.get(f"/v1/jobs/{second.json['id']}/events")
    assert stream.status_code == 503
    assert int(stream.headers["Retry-After"]) > 0
    waiting.join()


def test_cancel_after_is_the_deadline(api):
    job = api.post("/v1/jobs", ECHO, Cancel_After="2m").json
    assert job["policy"]["deadline_s"] == 120
    same = api.post("/v1/jobs", ECHO | {"policy": {"deadline_s": 90}}, Cancel_After="90s")
    assert same.status_code == 202


def test_cancel_after_that_contradicts_the_body_is_422(api):
    answer = api.post("/v1/jobs", ECHO | {"policy": {"deadline_s": 60}}, Cancel_After="90s")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/policy/deadline_s"


@pytest.mark.parametrize("text", ["soon", "90", "-1s", "0s", "1.5m", "90s; x"])
def test_unreadable_cancel_after_is_400(api, text):
    assert api.post("/v1/jobs", ECHO, Cancel_After=text).status_code == 400


def test_policy_beyond_the_algorithms_limits_is_422_with_pointers(api):
    policy = {"execution_timeout_s": 601, "max_attempts": 4}
    answer = api.post("/v1/jobs", ECHO | {"policy": policy})
    assert answer.status_code == 422
    pointers = [error["pointer"] for error in answer.json["errors"]]
    assert pointers == ["/policy/execution_timeout_s", "/policy/max_attempts"]


def test_input_over_the_inline_limit_becomes_a_file(make):
    api = make(inline_bytes=1000)
    job = api.submit(input={"text": "x" * 1000})
    assert job["input"] is None
    artifact = api.services.artifacts.get(job["input_file"]["file"], "acme")
    assert artifact.size_bytes > 1000
    assert api.services.artifacts.get(job["input_file"]["file"], "globex") is None
    assert len(api.claim().body) < 1000


def test_a_file_of_the_tenant_is_accepted_and_kept(api):
    kept = api.services.artifacts.put("acme", b"bytes")
    job = api.submit(algorithm="page", input={"page": {"file": kept.id}})
    assert api.services.store.get(job["id"], "acme").file_ids == (kept.id,)


def test_a_file_that_is_not_there_is_422_with_a_pointer(api):
    foreign = api.services.artifacts.put("globex", b"bytes")
    for file_id in (foreign.id, "file_" + "0" * 26):
        answer = api.post("/v1/jobs", {"algorithm": "page", "input": {"page": {"file": file_id}}})
        assert answer.status_code == 422
        assert answer.json["code"] == "invalid_input"
        assert answer.json["errors"][0]["pointer"] == "/input/page/file"


@pytest.mark.parametrize("url", ["https://169.254.169.254/x", "http://example.com/x", "https://localhost/x"])
def test_an_input_url_that_is_not_public_is_422(api, url):
    answer = api.post("/v1/jobs", {"algorithm": "page", "input": {"page": {"url": url}}})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/input/page/url"


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/", "http://example.com/", "ftp://x.example/", "https://a:b@c.example/"]
)
def test_a_webhook_that_would_not_be_called_is_422(api, url):
    answer = api.post("/v1/jobs", ECHO | {"webhook": {"url": url}})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/webhook/url"


def test_a_tenants_quota_is_429_with_its_limit(make):
    api = make()
    api.add_tenant("small", max_jobs=2)
    for _ in range(2):
        assert api.post("/v1/jobs", ECHO, tenant="small").status_code == 202
    answer = api.post("/v1/jobs", ECHO, tenant="small")
    assert answer.status_code == 429
    assert answer.json["code"] == "quota_exceeded"
    assert answer.json["limit"]["value"] == 2
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["RateLimit"]
    assert api.post("/v1/jobs", ECHO).status_code == 202


def test_a_full_queue_is_503(make):
    api = make(queue_max_jobs=1)
    api.submit()
    answer = api.post("/v1/jobs", ECHO)
    assert answer.status_code == 503
    assert answer.json["code"] == "queue_full"
    assert int(answer.headers["Retry-After"]) > 0


def test_accept_event_stream_submits_and_streams(api):
    answer = api.http.open(
        "/v1/jobs", method="POST", json=ECHO, headers=api.as_(Accept="text/event-stream"), buffered=False
    )
    assert answer.mimetype == "text/event-stream"
    assert JOB_ID.search(answer.headers["Location"])
    api.run_one({"text": "done"})
    text = answer.get_data(as_text=True)
    assert text.startswith("retry: 3000\n\n")
    assert "event: job.succeeded\n" in text

"""Every error is problem details (RFC 9457), and no traceback leaves."""

from __future__ import annotations

import io
import json

import pytest

from jangada import logs

from .conftest import make_client, with_settings


def test_a_problem_has_every_member(client):
    answer = client.get("/v1/nothing", headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"
    detail = answer.json.pop("detail")
    assert detail
    assert answer.json == {
        "type": "http://localhost/problems/not-found",
        "title": "Not found",
        "status": 404,
        "detail": detail,
        "instance": "/v1/nothing",
        "code": "not_found",
        "trace_id": "ab" * 16,
    }


def test_an_unknown_error_is_a_plain_500_and_its_traceback_goes_to_the_log(client):
    out = io.StringIO()
    logs.configure("info", "json", out)
    answer = client.get("/v1/boom")
    assert (answer.status_code, answer.json["code"]) == (500, "internal")
    assert b"hunter2" not in answer.data
    assert b"Traceback" not in answer.data
    assert answer.headers["X-Request-Id"] in answer.json["detail"]
    line = json.loads(out.getvalue())
    assert line["event"] == "http.unhandled"
    assert "RuntimeError: the password is hunter2" in line["exception"]
    assert line["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize(("method", "path", "status"), [("DELETE", "/v1/list", 405), ("GET", "/%ff%fe", 404)])
def test_what_werkzeug_refuses_is_a_problem_too(client, method, path, status):
    answer = client.open(path, method=method)
    assert answer.status_code == status
    assert answer.json["status"] == status


def test_405_says_what_is_allowed(client):
    assert "GET" in client.post("/v1/list").headers["Allow"]


def test_options_and_head_are_answered(client):
    assert "GET" in client.options("/v1/list").headers["Allow"]
    head = client.head("/v1/list")
    assert (head.status_code, head.data) == (200, b"")


def test_quota_says_when_to_come_back_and_what_the_limit_is(client):
    answer = client.get("/v1/quota")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "7"
    assert answer.headers["RateLimit-Policy"] == '"queued_jobs";q=200'
    assert answer.headers["RateLimit"] == '"queued_jobs";r=0;t=7'
    assert answer.json["limit"] == {"name": "queued_jobs", "value": 200}


def test_the_type_of_a_problem_is_a_page_of_ours(client):
    address = client.get("/v1/quota").json["type"]
    page = client.get(address.removeprefix("http://localhost"))
    assert page.status_code == 200
    assert "quota_exceeded" in page.text


@pytest.mark.parametrize("path", ["/v1/list", "/v1/nothing", "/v1/boom", "/healthz", "/v1/secret"])
def test_every_answer_has_ids_and_nosniff(client, path):
    headers = client.get(path).headers
    assert headers["X-Request-Id"].startswith("req_")
    assert len(headers["traceparent"]) == 55
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_healthz_and_readyz_need_no_credential(client):
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json["status"] == "ready"


def test_readyz_is_503_and_says_what_does_not_answer():
    services = with_settings()
    services.check_ready = lambda: {"mongo": "does not answer (X)", "redis": "ok"}
    answer = make_client(services).get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert answer.json["checks"] == {"mongo": "does not answer (X)", "redis": "ok"}


def test_readiness_is_asked_for_at_most_once_a_second():
    asked = []
    services = with_settings()
    services.check_ready = lambda: asked.append(1) or {}
    client = make_client(services)
    for _ in range(20):
        client.get("/readyz")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("name", "status"), [("method-not-allowed", 405), ("bad-gateway", 502), ("internal", 500), ("overloaded", 503)]
)
def test_there_is_a_page_for_http_s_own_errors_too(client, name, status):
    page = client.get(f"/problems/{name}")
    assert page.status_code == 200
    assert f"status: {status}" in page.text


def test_an_unknown_problem_is_404(client):
    assert client.get("/problems/nothing").status_code == 404

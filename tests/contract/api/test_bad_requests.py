"""What cannot be a request is refused before anything is queued, as problem details, without a traceback."""

import json
from datetime import timedelta

import pytest

from jangada.clock import utc_now

ECHO = {"algorithm": "echo", "input": {"text": "olá"}}
DEEP = b'{"algorithm":"any","input":' + b"[" * 5000 + b"]" * 5000 + b"}"
WIDE_AND_DEEP = b'{"algorithm":"any","input":' + b'{"a":' * 1_600_000 + b"1" + b"}" * 1_600_000 + b"}"


def body(**fields):
    return json.dumps(ECHO | fields).encode()


BAD = {
    "empty": (b"", 400, None),
    "not json": (b"hello", 400, None),
    "half a document": (b'{"algorithm":"echo"', 400, None),
    "two documents": (b"{}{}", 400, None),
    "NaN": (b'{"algorithm":"any","input":NaN}', 400, None),
    "Infinity": (b'{"algorithm":"any","input":-Infinity}', 400, None),
    "not UTF-8": (b'{"algorithm":"any","input":"\xff\xfe"}', 400, None),
    "UTF-16": ('{"algorithm":"any"}'.encode("utf-16"), 400, None),
    "lone surrogate": (b'{"algorithm":"any","input":"\\ud800"}', 400, None),
    "deep": (DEEP, 400, None),
    "8 MB and deep": (WIDE_AND_DEEP, 413, None),
    "array": (b"[]", 422, ""),
    "string": (b'"echo"', 422, ""),
    "null": (b"null", 422, ""),
    "no algorithm": (b"{}", 422, "/algorithm"),
    "algorithm is a number": (body(algorithm=1), 422, "/algorithm"),
    "algorithm is empty": (body(algorithm=""), 422, "/algorithm"),
    "unknown algorithm": (body(algorithm="nope"), 404, None),
    "unknown deployment": (body(deployment="nope"), 404, None),
    "unknown field": (body(colour="red"), 422, "/colour"),
    "unknown field of policy": (body(policy={"ttl": 5}), 422, "/policy/ttl"),
    "missing input field": (body(input={}), 422, "/input"),
    "input of the wrong type": (body(input={"text": 5}), 422, "/input/text"),
    "unknown input field": (body(input={"text": "a", "b": 1}), 422, "/input"),
    "input is null": (body(input=None), 422, "/input"),
    "priority": (body(priority="urgent"), 422, "/priority"),
    "negative ttl": (body(policy={"queue_ttl_s": -1}), 422, "/policy/queue_ttl_s"),
    "ttl is text": (body(policy={"queue_ttl_s": "5"}), 422, "/policy/queue_ttl_s"),
    "ttl is huge": (body(policy={"queue_ttl_s": 1e300}), 422, "/policy/queue_ttl_s"),
    "no attempts": (body(policy={"max_attempts": 0}), 422, "/policy/max_attempts"),
    "half an attempt": (body(policy={"max_attempts": 1.5}), 422, "/policy/max_attempts"),
    "webhook without url": (body(webhook={}), 422, "/webhook/url"),
    "webhook event": (body(webhook={"url": "https://a.example/", "events": ["x"]}), 422, "/webhook/events/0"),
    "webhook format": (body(webhook={"url": "https://a.example/", "format": "x"}), 422, "/webhook/format"),
    "metadata is a list": (body(metadata=[]), 422, "/metadata"),
    "metadata is big": (body(metadata={"a": "x" * 17_000}), 422, "/metadata"),
    "metadata key with NUL": (body(metadata={"a\0b": 1}), 422, "/metadata"),
    "metadata with many keys": (body(metadata={str(n): n for n in range(65)}), 422, "/metadata"),
    "too large": (body(input={"text": "x" * 9_000_000}), 413, None),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_body_is_refused(api, name):
    data, status, pointer = BAD[name]
    answer = api.http.post("/v1/jobs", data=data, headers=api.as_(Content_Type="application/json"))
    assert answer.status_code == status, answer.text[:500]
    assert answer.mimetype == "application/problem+json"
    problem = answer.json
    assert {"type", "title", "status", "detail", "instance", "code", "trace_id"} <= problem.keys()
    assert problem["status"] == status
    assert "Traceback" not in answer.text
    assert len(answer.text) < 20_000
    if pointer is not None:
        assert problem["errors"][0]["pointer"] == pointer
    assert api.services.queue.stats("echo").jobs == 0
    assert api.services.queue.stats("any").jobs == 0


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/json; charset=utf-16"],
)
def test_a_body_of_another_kind_is_415(api, media_type):
    answer = api.http.post("/v1/jobs", data=body(), headers=api.as_(Content_Type=media_type))
    assert answer.status_code == 415


def test_a_compressed_body_is_415(api):
    headers = api.as_(Content_Type="application/json", Content_Encoding="gzip")
    assert api.http.post("/v1/jobs", data=body(), headers=headers).status_code == 415


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Basic eDp5", "Bearer jgd_x", "bearer " + "x" * 5000, "Bearer ü"]
)
def test_a_credential_that_is_none_is_401(api, value):
    answer = api.http.post("/v1/jobs", json=ECHO, headers={"Authorization": value})
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert answer.json["code"] == "invalid_token"


def test_an_expired_key_is_401(api):
    api.keys["acme"] = api.key("acme", expires_at=utc_now() - timedelta(seconds=1))
    assert api.post("/v1/jobs", ECHO).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/v1/jobs", 405),
        ("PUT", "/v1/jobs", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/jobs/a/b/c", 404),
    ],
)
def test_wrong_method_or_path_is_a_problem(api, method, path, status):
    answer = api.call(method, path)
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize("number", [2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**70, -(2**63), 1e308, 5e-324, 0.1])
def test_any_json_number_survives_or_is_refused_but_never_breaks(api, number):
    data = json.dumps({"algorithm": "any", "input": {"n": number}})
    answer = api.http.post("/v1/jobs", data=data, headers=api.as_(Content_Type="application/json"))
    assert answer.status_code in {202, 422}
    if answer.status_code == 202:
        assert api.get(f"/v1/jobs/{answer.json['id']}").json["input"]["n"] == pytest.approx(number)


@pytest.mark.parametrize("key", ["$where", "a.b", "", "\0", "__proto__", "é" * 200, "$"])
def test_any_json_key_in_an_input_survives(api, key):
    answer = api.post("/v1/jobs", {"algorithm": "any", "input": {key: {key: 1}}})
    assert answer.status_code == 202
    assert api.get(f"/v1/jobs/{answer.json['id']}").json["input"] == {key: {key: 1}}

"""What the HTTP border does with bodies that are not what they should be."""

from __future__ import annotations

import time

import pytest
from flask.testing import FlaskClient

from jangada.http.body import MAX_DEPTH, pointer

JSON = "application/json"


def post(client: FlaskClient, path: str, body: bytes, content_type: str | None = JSON, **headers: str):
    return client.post(path, data=body, headers={"Content-Type": content_type, **headers} if content_type else headers)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(b"", 400, "malformed_request", id="empty"),
        pytest.param(b" \n", 400, "malformed_request", id="blank"),
        pytest.param(b"{", 400, "malformed_request", id="cut off"),
        pytest.param(b"hello", 400, "malformed_request", id="not JSON"),
        pytest.param(b"{'a': 1}", 400, "malformed_request", id="single quotes"),
        pytest.param(b'{"a": 1} x', 400, "malformed_request", id="text after"),
        pytest.param(b'{"a": NaN}', 400, "malformed_request", id="NaN"),
        pytest.param(b'{"a": Infinity}', 400, "malformed_request", id="Infinity"),
        pytest.param(b'{"a": -Infinity}', 400, "malformed_request", id="minus Infinity"),
        pytest.param(b'"\xff"', 400, "malformed_request", id="not UTF-8"),
        pytest.param('{"a": "é"}'.encode("latin-1"), 400, "malformed_request", id="latin-1"),
        pytest.param(b'"\\ud800"', 400, "malformed_request", id="lone surrogate"),
        pytest.param('"x"'.encode("utf-16"), 400, "malformed_request", id="UTF-16"),
        pytest.param(b"[" * 65 + b"]" * 65, 400, "malformed_request", id="65 levels"),
        pytest.param(b'{"a":' * 65 + b"1" + b"}" * 65, 400, "malformed_request", id="65 objects"),
        pytest.param(b"[" * 8_000_000, 400, "malformed_request", id="8 MB of brackets"),
        pytest.param(b"[" * 10_000_000, 413, "too_large", id="10 MB of brackets"),
    ],
)
def test_a_body_that_is_not_json_is_refused_quickly(client, body, status, code):
    started = time.monotonic()
    answer = post(client, "/v1/echo", body)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.content_type == "application/problem+json"
    assert time.monotonic() - started < 2


def test_as_many_levels_as_allowed_are_read(client):
    body = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert post(client, "/v1/echo", body).status_code == 200


def test_many_brackets_side_by_side_are_not_deep(client):
    body = b"[" + b",".join([b"[]"] * 5000) + b"]"
    assert post(client, "/v1/echo", body).status_code == 200


def test_brackets_in_a_text_are_not_depth(client):
    assert post(client, "/v1/echo", b'"' + b"[" * 1000 + b'"').status_code == 200


def test_of_a_duplicate_key_the_last_one_counts(client):
    assert post(client, "/v1/echo", b'{"a": 1, "a": 2}').json == {"value": {"a": 2}}


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "application/jsonx"],
)
def test_a_body_that_is_not_called_json_is_415(client, content_type):
    answer = post(client, "/v1/echo", b"{}", content_type)
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=UTF-8", "application/cloudevents+json"])
def test_a_body_that_is_called_json_is_read(client, content_type):
    assert post(client, "/v1/echo", b"{}", content_type).status_code == 200


def test_a_compressed_body_is_415(client):
    answer = post(client, "/v1/echo", b"{}", **{"Content-Encoding": "gzip"})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        pytest.param(b"{}", ["/page"], id="missing"),
        pytest.param(b'{"page": "1"}', ["/page"], id="text for a number"),
        pytest.param(b'{"page": 1.5}', ["/page"], id="fraction"),
        pytest.param(b'{"page": true}', ["/page"], id="boolean for a number"),
        pytest.param(b'{"page": null}', ["/page"], id="null"),
        pytest.param(b'{"page": 1, "extra/~x": 2}', ["/extra~1~0x"], id="unknown field"),
        pytest.param(b'{"page": 1, "names": ["a", 2, "c", 4]}', ["/names/1", "/names/3"], id="inside a list"),
        pytest.param(b"[]", [""], id="a list"),
        pytest.param(b"null", [""], id="nothing"),
    ],
)
def test_wrong_fields_are_422_with_a_pointer_each(client, body, pointers):
    answer = post(client, "/v1/model", body)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")
    assert [error["pointer"] for error in answer.json["errors"]] == pointers


def test_what_was_sent_is_not_repeated_in_the_refusal(client):
    answer = post(client, "/v1/model", b'{"page": "my secret"}')
    assert b"my secret" not in answer.data


def test_a_thousand_wrong_fields_give_a_bounded_answer(client):
    body = b'{"page": 1, ' + b",".join(b'"x%d": 1' % n for n in range(1000)) + b"}"
    answer = post(client, "/v1/model", body)
    assert answer.status_code == 422
    assert len(answer.json["errors"]) == 50


def test_pointer_escapes_as_rfc_6901_says():
    assert pointer("a/b", 0, "c~d") == "/a~1b/0/c~0d"

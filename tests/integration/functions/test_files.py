"""The function `files`."""

from __future__ import annotations

import base64
import hashlib
import io
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from functions.files.handler import collector, create_app
from jangada.wiring import Services

from .conftest import headers_of

CONTENT = b"0123456789"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
DIGEST_FIELD = f"sha-256=:{base64.b64encode(bytes.fromhex(DIGEST)).decode()}:"


@pytest.fixture
def client(services: Services) -> FlaskClient:
    class Buffered(FlaskClient):
        """Reads every answer to its end and closes it, as a server does."""

        def open(self, *args: Any, **kwargs: Any) -> Any:
            return super().open(*args, **{"buffered": True, **kwargs})

    app = create_app(services)
    app.test_client_class = Buffered
    return app.test_client()


@pytest.fixture
def mine(services: Services) -> dict[str, str]:
    return headers_of(services)


def form(content: bytes = CONTENT, filename: str = "a.txt", **fields: object) -> dict[str, object]:
    return {"file": (io.BytesIO(content), filename, "text/plain"), **fields}


def upload(client: FlaskClient, headers: dict[str, str], content: bytes = CONTENT, filename: str = "a.txt") -> str:
    answer = client.post("/v1/files", data=form(content, filename), headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json["id"]


def test_a_file_goes_up_by_form_and_is_described(client, mine):
    answer = client.post("/v1/files", data=form(purpose="dataset"), headers=mine)
    assert answer.status_code == 201
    found = answer.json
    assert answer.headers["Location"] == f"/v1/files/{found['id']}"
    assert (found["object"], found["filename"], found["media_type"]) == ("file", "a.txt", "text/plain")
    assert (found["size_bytes"], found["sha256"], found["purpose"]) == (10, DIGEST, "dataset")
    assert found["created_at"] < found["expires_at"]
    assert client.get(found["urls"]["self"], headers=mine).json == found


def test_a_file_goes_up_as_the_body_itself(client, mine):
    answer = client.post(
        "/v1/files?filename=scan.png&purpose=batch", data=CONTENT, headers=mine | {"Content-Type": "image/png"}
    )
    found = answer.json
    assert (found["filename"], found["media_type"], found["purpose"]) == ("scan.png", "image/png", "batch")
    assert found["sha256"] == DIGEST


def test_a_file_of_no_bytes_is_kept(client, mine):
    file_id = upload(client, mine, b"")
    answer = client.get(f"/v1/files/{file_id}/content", headers=mine)
    assert (answer.status_code, answer.data) == (200, b"")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\y.png", "y.png"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("..", "file"),
        ("", "file"),
        ("x" * 300 + ".png", "x" * 251 + ".png"),
    ],
)
def test_a_filename_is_only_a_name(client, mine, given, kept):
    answer = client.post(
        "/v1/files", query_string={"filename": given}, data=CONTENT, headers=mine | {"Content-Type": "x/y"}
    )
    assert answer.json["filename"] == kept


def test_too_large_is_413_in_both_ways(client, mine):
    big = b"x" * 300_001
    assert client.post("/v1/files", data=form(big), headers=mine).status_code == 413
    assert client.post("/v1/files", data=big, headers=mine | {"Content-Type": "x/y"}).status_code == 413
    huge = b"x" * 3_000_000
    assert client.post("/v1/files", data=huge, headers=mine | {"Content-Type": "x/y"}).status_code == 413
    assert client.get("/v1/files", headers=mine).json["data"] == []


BAD_UPLOADS = {
    "no file": (lambda: {"data": {"purpose": "input"}, "content_type": "multipart/form-data"}, 422, "/file"),
    "unknown purpose": (lambda: {"data": form(purpose="fun")}, 422, "/purpose"),
    "unknown field": (lambda: {"data": form(colour="x")}, 422, "/colour"),
    "two files": (lambda: {"data": {"file": [(io.BytesIO(b"1"), "a"), (io.BytesIO(b"2"), "b")]}}, 422, "/file"),
    "purpose in query": (
        lambda: {"data": b"x", "query_string": {"purpose": "fun"}, "content_type": "x/y"},
        422,
        "/purpose",
    ),
    "no boundary": (lambda: {"data": b"x", "content_type": "multipart/form-data"}, 400, None),
    "nothing": (dict, 400, None),
}


@pytest.mark.parametrize("kind", BAD_UPLOADS)
def test_a_bad_upload_is_refused(client, mine, kind):
    options, status, pointer = BAD_UPLOADS[kind]
    answer = client.post("/v1/files", headers=mine, **options())
    assert answer.status_code == status, answer.text
    if pointer:
        assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert client.get("/v1/files", headers=mine).json["data"] == []


def test_content_comes_with_digest_tag_and_as_an_attachment(client, mine):
    file_id = upload(client, mine, filename='a "b" ç.html')
    answer = client.get(f"/v1/files/{file_id}/content", headers=mine)
    assert answer.data == CONTENT
    assert answer.headers["Content-Digest"] == DIGEST_FIELD
    assert answer.headers["ETag"] == f'"{DIGEST}"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert answer.headers["Content-Length"] == "10"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("asked", "status", "content", "content_range"),
    [
        ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        ("bytes=3-5", 206, b"345", "bytes 3-5/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
        ("bytes=-99999", 206, CONTENT, "bytes 0-9/10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=5-3", 416, None, "bytes */10"),
        ("lines=1-2", 200, CONTENT, None),
        ("bytes=0-1,4-5", 200, CONTENT, None),
    ],
)
def test_a_range_gives_that_part(client, mine, asked, status, content, content_range):
    file_id = upload(client, mine)
    answer = client.get(f"/v1/files/{file_id}/content", headers=mine | {"Range": asked})
    assert answer.status_code == status
    assert answer.headers.get("Content-Range") == content_range
    if content is not None:
        assert answer.data == content
    if status == 206:
        assert answer.headers["Repr-Digest"] == DIGEST_FIELD
        assert "Content-Digest" not in answer.headers


def test_a_large_file_comes_back_in_pieces_that_fit_together(client, mine):
    content = bytes(n * 7 % 256 for n in range(250_000))
    file_id = upload(client, mine, content)
    parts = [
        client.get(f"/v1/files/{file_id}/content", headers=mine | {"Range": f"bytes={n}-{n + 49_999}"}).data
        for n in range(0, 250_000, 50_000)
    ]
    assert b"".join(parts) == content


def test_what_the_client_has_is_not_sent_again(client, mine):
    file_id = upload(client, mine)
    answer = client.get(f"/v1/files/{file_id}/content", headers=mine | {"If-None-Match": f'"{DIGEST}"'})
    assert (answer.status_code, answer.data) == (304, b"")
    assert client.head(f"/v1/files/{file_id}/content", headers=mine).headers["Content-Length"] == "10"


def test_another_etag_than_the_one_that_is_asked_for_is_a_412_problem(client, mine):
    content = f"/v1/files/{upload(client, mine)}/content"
    assert client.get(content, headers=mine | {"If-Match": f'"{DIGEST}"'}).data == CONTENT
    answer = client.get(content, headers=mine | {"If-Match": '"other"'})
    assert (answer.status_code, answer.mimetype) == (412, "application/problem+json")
    assert answer.json["code"] == "precondition_failed"


def test_files_are_listed_in_pages(client, mine):
    made = [upload(client, mine, bytes([n])) for n in range(5)]
    first = client.get("/v1/files?limit=3", headers=mine).json
    second = client.get(f"/v1/files?limit=3&cursor={first['next_cursor']}", headers=mine).json
    assert [one["id"] for one in [*first["data"], *second["data"]]] == made[::-1]
    assert not second["has_more"]


def test_a_file_is_deleted_once(client, mine):
    file_id = upload(client, mine)
    assert client.delete(f"/v1/files/{file_id}", headers=mine).status_code == 204
    for path in (f"/v1/files/{file_id}", f"/v1/files/{file_id}/content"):
        assert client.get(path, headers=mine).status_code == 404
    assert client.delete(f"/v1/files/{file_id}", headers=mine).status_code == 404


def test_another_tenants_file_does_not_exist(client, services, mine):
    file_id = upload(client, headers_of(services, tenant_id="other"))
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        assert client.open(f"/v1/files/{file_id}{path}", method=method, headers=mine).status_code == 404
    assert client.get("/v1/files", headers=mine).json["data"] == []


def test_scopes_hold(client, services, mine):
    file_id = upload(client, mine)
    reader, writer = headers_of(services, "files:read"), headers_of(services, "files:write")
    assert client.post("/v1/files", data=form(), headers=reader).status_code == 403
    assert client.delete(f"/v1/files/{file_id}", headers=reader).status_code == 403
    assert client.get(f"/v1/files/{file_id}", headers=writer).status_code == 403
    assert client.get(f"/v1/files/{file_id}").status_code == 401


def test_a_tenant_keeps_no_more_than_its_quota(client, services):
    from jangada.tenants import Tenant

    services.tenants.insert_tenant(Tenant("small", "Small", services.clock(), max_file_bytes=1500))
    headers = headers_of(services, tenant_id="small")
    upload(client, headers, b"x" * 1000)
    answer = client.post("/v1/files", data=form(b"x" * 1000), headers=headers)
    assert (answer.status_code, answer.json["code"]) == (429, "quota_exceeded")
    assert answer.json["limit"] == {"name": "file_bytes", "value": 1500}


def test_a_large_upload_in_steps(client, mine):
    announced = {"filename": "big.bin", "bytes": 10, "content_type": "image/tiff", "sha256": DIGEST.upper()}
    answer = client.post("/v1/files/uploads", json=announced, headers=mine)
    assert answer.status_code == 201
    file_id, target = answer.json["file"], answer.json["upload"]
    assert target["method"] == "PUT"
    assert client.put(target["url"], data=CONTENT, headers=mine | target["headers"]).status_code == 204
    assert client.get(f"/v1/files/{file_id}", headers=mine).status_code == 404
    done = client.post(f"/v1/files/{file_id}/complete", headers=mine)
    assert (done.status_code, done.json["id"], done.json["media_type"]) == (200, file_id, "image/tiff")
    assert client.post(f"/v1/files/{file_id}/complete", headers=mine).json == done.json
    assert client.get(f"/v1/files/{file_id}/content", headers=mine).data == CONTENT
    assert client.put(target["url"], data=CONTENT, headers=mine).status_code == 409


@pytest.mark.parametrize(("sent", "pointer"), [(b"short", "/bytes"), (b"x" * 10, "/sha256")])
def test_an_upload_that_differs_from_what_was_announced_is_422(client, mine, sent, pointer):
    announced = {"filename": "x", "bytes": 10, "sha256": DIGEST}
    answer = client.post("/v1/files/uploads", json=announced, headers=mine).json
    client.put(answer["upload"]["url"], data=sent, headers=mine)
    refused = client.post(f"/v1/files/{answer['file']}/complete", headers=mine)
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"filename": "x"}, 422),
        ({"filename": "x", "bytes": -1}, 422),
        ({"filename": "x", "bytes": 1, "sha256": "abc"}, 422),
        ({"filename": "x", "bytes": 2_000_000}, 413),
    ],
)
def test_an_announcement_that_makes_no_sense_is_refused(client, mine, body, status):
    assert client.post("/v1/files/uploads", json=body, headers=mine).status_code == status


def test_expired_files_are_collected_by_whoever_has_the_turn(services):
    services.artifacts.put("acme", b"x", expires_at=services.clock() - timedelta(seconds=1))
    one, other = collector(services), collector(services)
    assert [one.once(), other.once()] in ([1, 0], [0, 0])

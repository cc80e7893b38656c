import hashlib
import io

import pytest
import requests

from jangada.client import (
    ApiError,
    Client,
    DigestError,
    InvalidRequestError,
    JobNotSucceededError,
    NotFoundError,
    ServerError,
    TooManyRequestsError,
    UnreachableError,
    job_request,
)
from tests.unit.client.fake_platform import FILE_ID, JOB_ID, Answer, FakePlatform, client_of, job, problem


def test_submit_sends_the_key_and_an_idempotency_key():
    platform = FakePlatform(Answer(202, job()))
    client, _ = client_of(platform)
    submitted = client.submit("doc-ocr", {"dpi": 300}, priority="high", metadata={"invoice": "A-17"})
    sent = platform.requests[0]
    assert submitted.id == JOB_ID
    assert submitted.status == "queued"
    assert sent.headers["Authorization"] == "Bearer jgd_key"
    assert sent.headers["Idempotency-Key"].startswith('"idem_')
    assert "Prefer" not in sent.headers
    assert platform.json_body() == {
        "algorithm": "doc-ocr",
        "input": {"dpi": 300},
        "priority": "high",
        "metadata": {"invoice": "A-17"},
    }


def test_a_repeated_submit_carries_the_same_idempotency_key():
    platform = FakePlatform(
        requests.exceptions.ConnectionError("cut"), problem(503, "store_unavailable"), Answer(202, job())
    )
    client, clock = client_of(platform)
    client.submit("doc-ocr", {})
    assert len({request.headers["Idempotency-Key"] for request in platform.requests}) == 1
    assert len(clock.sleeps) == 2


def test_retry_after_is_honoured():
    platform = FakePlatform(problem(429, "quota_exceeded", headers={"Retry-After": "7"}), Answer(202, job()))
    client, clock = client_of(platform)
    client.submit("doc-ocr", {})
    assert clock.sleeps[0] >= 7


def test_no_retry_is_begun_that_would_end_after_the_deadline():
    platform = FakePlatform(problem(429, "quota_exceeded", headers={"Retry-After": "90"}))
    client, clock = client_of(platform, timeout_s=60)
    with pytest.raises(TooManyRequestsError) as caught:
        client.submit("doc-ocr", {})
    assert caught.value.retry_after_s == 90
    assert clock.sleeps == []


def test_retries_are_bounded():
    platform = FakePlatform(*[problem(503, "overloaded") for _ in range(10)])
    client, _ = client_of(platform, retries=3)
    with pytest.raises(ServerError):
        client.get(JOB_ID)
    assert len(platform.requests) == 4


def test_a_call_that_would_do_more_the_second_time_is_not_repeated():
    platform = FakePlatform(requests.exceptions.ConnectionError("cut"))
    client, _ = client_of(platform)
    with pytest.raises(UnreachableError):
        client._transport.call("POST", "/v1/anything")


def test_a_submit_whose_first_try_is_still_being_handled_is_asked_for_again():
    platform = FakePlatform(
        requests.exceptions.ReadTimeout("slow"), problem(409, "idempotency_in_progress"), Answer(202, job())
    )
    client, _ = client_of(platform)
    assert client.submit("doc-ocr", {}).id == JOB_ID


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 415, 422, 500])
def test_a_refusal_is_not_repeated(status):
    platform = FakePlatform(problem(status, "told"))
    client, _ = client_of(platform)
    with pytest.raises(ApiError) as caught:
        client.get(JOB_ID)
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, "told", "req_1")


def test_wrong_fields_are_pointed_at():
    errors = [{"pointer": "/input/page", "detail": "required"}]
    client, _ = client_of(FakePlatform(problem(422, "invalid_input", errors=errors)))
    with pytest.raises(InvalidRequestError) as caught:
        client.submit("doc-ocr", {})
    assert [(error.pointer, error.detail) for error in caught.value.errors] == [("/input/page", "required")]


def test_an_error_that_is_no_problem_document_is_an_error_all_the_same():
    client, _ = client_of(FakePlatform(Answer(404, b"<html>nginx</html>")))
    with pytest.raises(NotFoundError) as caught:
        client.get(JOB_ID)
    assert caught.value.code == "http_404"


def test_an_answer_that_is_not_json_says_so():
    client, _ = client_of(FakePlatform(Answer(200, b"<html>hello</html>")))
    with pytest.raises(UnreachableError, match="Jangada gateway"):
        client.get(JOB_ID)


def test_a_connection_refused_is_told_in_few_words():
    refused = requests.exceptions.ConnectionError("HTTPConnectionPool(host=..., port=...): Max retries exceeded")
    refused.__cause__ = ConnectionRefusedError(111, "Connection refused")
    client, _ = client_of(FakePlatform(refused), retries=0)
    with pytest.raises(UnreachableError, match=r"^cannot reach http://platform.test: Connection refused$"):
        client.get(JOB_ID)


def test_a_platform_that_does_not_run_here_is_said_how_to_start():
    client = Client("http://127.0.0.1:9", "jgd_key", retries=0)
    with pytest.raises(UnreachableError, match=r"jangada up"):
        client.get(JOB_ID)


def test_wait_s_becomes_a_preference_and_gives_the_call_more_time():
    platform = FakePlatform(Answer(200, job("succeeded", output={"text": "x"})))
    client, _ = client_of(platform, timeout_s=60)
    assert client.submit("doc-ocr", {}, wait_s=30).succeeded
    assert platform.requests[0].headers["Prefer"] == "wait=30"
    assert platform.timeouts[0][1] == pytest.approx(90)


def test_files_are_uploaded_before_and_put_at_their_pointer():
    platform = FakePlatform(Answer(201, {"id": FILE_ID, "size_bytes": 3}), Answer(202, job()))
    client, _ = client_of(platform)
    client.submit("doc-ocr", {"dpi": 300}, files={"/page": b"abc"})
    assert platform.json_body() == {"algorithm": "doc-ocr", "input": {"dpi": 300, "page": {"file": FILE_ID}}}


def test_fields_that_this_client_does_not_know_are_kept_and_harm_nothing():
    client, _ = client_of(FakePlatform(Answer(200, job(novelty={"a": 1}, created_at="2026-01-02T03:04:05.678Z"))))
    got = client.get(JOB_ID)
    assert got.raw["novelty"] == {"a": 1}
    assert got.created_at is not None
    assert got.created_at.year == 2026


def test_jobs_are_paged_as_they_are_asked_for():
    platform = FakePlatform(
        Answer(200, {"data": [job(), job()], "has_more": True, "next_cursor": "c1"}),
        Answer(200, {"data": [job()], "has_more": False, "next_cursor": None}),
    )
    client, _ = client_of(platform)
    pages = client.jobs(status="failed")
    next(pages)
    assert len(platform.requests) == 1
    assert len(list(pages)) == 2
    assert "status=failed" in platform.requests[0].url
    assert "cursor=c1" in platform.requests[1].url


def test_at_most_limit_jobs_are_asked_for():
    platform = FakePlatform(Answer(200, {"data": [job(), job()], "has_more": True, "next_cursor": "c1"}))
    client, _ = client_of(platform)
    assert len(list(client.jobs(limit=2))) == 2
    assert "limit=2" in platform.requests[0].url


def test_many_are_submitted_in_chunks_and_each_has_its_own_outcome():
    refused = {"status": 422, "error": {"code": "invalid_input", "detail": "no"}}
    platform = FakePlatform(
        Answer(200, {"data": [{"status": 202, "job": job()}, refused]}),
        Answer(200, {"data": [{"status": 202, "job": job()}]}),
    )
    client, _ = client_of(platform)
    outcomes = list(client.submit_many((job_request("doc-ocr", {"n": n}) for n in range(3)), chunk=2))
    assert [getattr(outcome, "id", None) or outcome.code for outcome in outcomes] == [JOB_ID, "invalid_input", JOB_ID]
    assert [len(platform.json_body(index)) for index in (0, 1)] == [2, 1]
    keys = [request.headers["Idempotency-Key"] for request in platform.requests]
    assert keys[0] != keys[1]


def test_an_output_kept_as_a_file_is_fetched():
    platform = FakePlatform(
        Answer(200, job("succeeded", output=None, output_file=FILE_ID)), Answer(200, {"text": "long"})
    )
    client, _ = client_of(platform)
    assert client.output(JOB_ID) == {"text": "long"}
    assert platform.requests[1].url.endswith(f"/v1/files/{FILE_ID}/content")


def test_the_output_of_a_failed_job_is_an_error_with_its_reason():
    failed = job("failed", error={"code": "oom", "message": "out of memory"})
    client, _ = client_of(FakePlatform(Answer(200, failed)))
    with pytest.raises(JobNotSucceededError, match=r"failed: out of memory \[oom\]"):
        client.output(JOB_ID)


def test_an_upload_is_one_multipart_body_with_its_length():
    platform = FakePlatform(Answer(201, {"id": FILE_ID, "size_bytes": 9}))
    client, _ = client_of(platform)
    stream = io.BytesIO(b"head|rest of it")
    stream.seek(5)
    client.upload(stream, filename='a"b.png')
    sent, body = platform.requests[0], platform.bodies[0]
    assert int(sent.headers["Content-Length"]) == len(body)
    assert b'filename="a%22b.png"' in body
    assert b"Content-Type: image/png" in body
    assert b"\r\n\r\nrest of it\r\n--" in body


def test_an_upload_that_was_cut_off_is_sent_again_from_its_start(tmp_path):
    path = tmp_path / "page.png"
    path.write_bytes(b"pixels")
    platform = FakePlatform(problem(503, "overloaded"), Answer(201, {"id": FILE_ID, "size_bytes": 6}))
    client, _ = client_of(platform)
    client.upload(path)
    assert platform.bodies[0] == platform.bodies[1]
    assert b"pixels" in platform.bodies[1]


def test_a_download_is_checked_and_whole(tmp_path):
    known = {"id": FILE_ID, "size_bytes": 6, "sha256": hashlib.sha256(b"pixels").hexdigest()}
    client, _ = client_of(FakePlatform(Answer(200, known), Answer(200, b"pixels")))
    client.download(FILE_ID, tmp_path / "page.png")
    assert [path.name for path in tmp_path.iterdir()] == ["page.png"]
    assert (tmp_path / "page.png").read_bytes() == b"pixels"


def test_a_download_that_does_not_match_leaves_nothing(tmp_path):
    known = {"id": FILE_ID, "size_bytes": 6, "sha256": hashlib.sha256(b"pixels").hexdigest()}
    client, _ = client_of(FakePlatform(Answer(200, known), Answer(200, b"pixelz")))
    with pytest.raises(DigestError):
        client.download(FILE_ID, tmp_path / "page.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("../keys", "/v1/jobs/..%2Fkeys"),
        ("x?status=failed#y", "/v1/jobs/x%3Fstatus%3Dfailed%23y"),
        ("a b%00", "/v1/jobs/a%20b%2500"),
    ],
)
def test_a_typed_id_stays_one_segment_of_the_path(typed, path):
    platform = FakePlatform(problem(404, "unknown_job"))
    client, _ = client_of(platform)
    with pytest.raises(NotFoundError):
        client.get(typed)
    assert platform.requests[0].path_url == path


@pytest.mark.parametrize("typed", ["", ".", ".."])
def test_what_can_be_no_id_is_not_found_without_asking(typed):
    platform = FakePlatform()
    client, _ = client_of(platform)
    for ask in (client.get, client.cancel, client.retry, client.file, client.algorithm):
        with pytest.raises(NotFoundError, match="is called"):
            ask(typed)
    assert platform.requests == []

"""Asynchronous invocation, from the request to the callback."""

from __future__ import annotations

import hashlib
import uuid

import pytest

from tests.integration.gateway.asynchronous.stage import AsyncStage, Receiver
from tests.servers import until


@pytest.fixture(scope="module")
def stage(tmp_path_factory, redis_url, mongo_url):
    made = AsyncStage(tmp_path_factory.mktemp("async"), redis_url, mongo_url, JANGADA_MAX_FILE_BYTES="8000000")
    made.start()
    yield made
    assert made.stop() == 0, made.log()[-2000:]


@pytest.fixture
def receiver():
    made = Receiver()
    with made.listening() as url:
        made.url = url
        yield made


def test_a_call_is_accepted_made_and_its_answer_kept(stage):
    accepted = stage.submit("/async-function/worker/a%2Fb?x=1&y=%20", b'{"n": 1}', Content_Type="application/json")
    assert (accepted.status, accepted.body) == (202, b"")
    call_id = accepted.headers["X-Call-Id"]
    assert uuid.UUID(call_id).version == 4
    assert accepted.headers["X-Start-Time"].isdigit()
    assert accepted.headers["X-Served-By"].startswith("jangada/")
    location = accepted.headers["Location"]
    assert location == f"/async-function/{call_id}"
    assert stage.finished(location)["status"] == "succeeded"
    answer = stage.request("GET", location)
    assert answer.status == 200
    assert answer.headers["X-Function-Status"] == "200"
    assert answer.headers["X-Function-Name"] == "worker"
    assert answer.headers["X-Call-Id"] == call_id
    assert float(answer.headers["X-Duration-Seconds"]) > 0
    assert answer.headers["Content-Type"] == "application/json"
    seen = answer.json
    assert (seen["method"], seen["path"], seen["query"]) == ("POST", "/a/b", "x=1&y=%20")
    assert seen["headers"]["HTTP_X_CALL_ID"] == call_id
    assert seen["headers"]["CONTENT_TYPE"] == "application/json"
    assert seen["headers"]["HTTP_HOST"] == f"127.0.0.1:{stage.port}"
    assert seen["sha256"] == hashlib.sha256(b'{"n": 1}').hexdigest()


def test_an_unknown_function_is_404_and_other_methods_are_405(stage):
    assert stage.submit("/async-function/nobody").status == 404
    assert stage.submit("/async-function/worker.elsewhere").status == 404
    assert stage.request("PUT", "/async-function/worker", b"x").status == 405
    refused = stage.request("GET", "/async-function/worker")
    assert (refused.status, refused.headers["Allow"]) == (405, "POST")


def test_the_namespace_may_be_named(stage):
    accepted = stage.submit("/async-function/worker.openfaas-fn")
    assert accepted.status == 202
    assert stage.finished(accepted.headers["Location"])["function"] == "worker.openfaas-fn"


@pytest.mark.parametrize("url", ["nonsense", "ftp://host/x", "http://", "http://10.0.0.1/x", "http://localhost/x"])
def test_a_callback_url_that_cannot_be_called_is_400(stage, url):
    refused = stage.submit("/async-function/worker", X_Callback_Url=url)
    assert refused.status == 400
    assert b"X-Callback-Url" in refused.body


def test_a_large_body_goes_through_and_a_larger_one_is_413(stage):
    body = bytes(range(256)) * 20_000
    accepted = stage.submit("/async-function/worker", body)
    assert accepted.status == 202
    stage.finished(accepted.headers["Location"])
    seen = stage.request("GET", accepted.headers["Location"]).json
    assert (seen["size"], seen["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert stage.submit("/async-function/worker", b"x" * 8_000_001).status == 413


def test_a_large_answer_is_kept_and_called_back(stage, receiver):
    accepted = stage.submit("/async-function/worker/large", X_Callback_Url=receiver.url)
    stage.finished(accepted.headers["Location"])
    assert stage.request("GET", accepted.headers["Location"]).body == b"x" * 3_000_000
    until(lambda: receiver.received)
    assert receiver.received[0][1] == b"x" * 3_000_000


def test_a_callback_carries_the_answer_and_is_repeated_until_taken(stage, receiver):
    receiver.answers = [500, 302, 200]
    accepted = stage.submit("/async-function/worker/y", b"body", X_Callback_Url=receiver.url, X_Call_Id="my-own-id")
    assert accepted.headers["X-Call-Id"] == "my-own-id"
    location = accepted.headers["Location"]
    assert "my-own-id" not in location
    stage.finished(location)
    until(lambda: receiver.received)
    headers, body = receiver.received[0]
    assert headers["X-Call-Id"] == "my-own-id"
    assert headers["X-Function-Name"] == "worker"
    assert headers["X-Function-Status"] == "200"
    assert float(headers["X-Duration-Seconds"]) > 0
    assert headers["X-Own"] == "1, 2"
    assert body == stage.request("GET", location).body
    until(lambda: len(receiver.received) == 2, within_s=20)
    # The receiver knows of the second call a moment before the sender has noted its answer.
    until(lambda: stage.state(location)["callback"] == {"state": "pending", "attempts": 2})


def test_a_failed_attempt_is_repeated_as_its_annotations_say(stage):
    accepted = stage.submit("/async-function/worker/fails?2,500")
    final = stage.finished(accepted.headers["Location"])
    assert final["status"] == "succeeded"
    assert [one["status"] for one in final["attempts"]] == [500, 500, 200]
    ends = [one["ended_ms"] for one in final["attempts"]]
    assert ends[1] - ends[0] >= 50
    assert ends[2] - ends[1] >= 100


def test_the_last_attempt_is_the_result_whatever_it_says(stage, receiver):
    accepted = stage.submit("/async-function/worker/fails?9,502", X_Callback_Url=receiver.url)
    final = stage.finished(accepted.headers["Location"])
    assert (final["status"], final["function_status"], len(final["attempts"])) == ("failed", 502, 4)
    until(lambda: receiver.received)
    assert receiver.received[0][0]["X-Function-Status"] == "502"
    assert len(receiver.received) == 1


@pytest.mark.parametrize(("function", "query"), [("worker", "1,400"), ("other", "1,500")])
def test_a_status_that_is_not_for_retrying_or_a_last_attempt_ends_it(stage, function, query):
    accepted = stage.submit(f"/async-function/{function}/fails?{query}")
    final = stage.finished(accepted.headers["Location"])
    assert (final["status"], len(final["attempts"])) == ("failed", 1)


def test_cancel_ends_a_running_call_and_it_is_not_made_again(stage):
    accepted = stage.submit("/async-function/worker/slow?3")
    location = accepted.headers["Location"]
    until(lambda: stage.state(location)["status"] == "running")
    canceled = stage.request("DELETE", location)
    assert (canceled.status, canceled.json["status"]) == (202, "canceled")
    again = stage.request("DELETE", location)
    assert (again.status, again.json["status"]) == (200, "canceled")
    assert stage.request("GET", location).json["status"] == "canceled"


def test_an_unknown_call_is_404(stage):
    for method, path in (("GET", ""), ("GET", "/status"), ("DELETE", "")):
        answer = stage.request(method, f"/async-function/{uuid.uuid4()}{path}")
        assert answer.status == 404
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_result_that_is_not_there_yet_is_202_with_retry_after(stage):
    accepted = stage.submit("/async-function/worker/slow?1")
    answer = stage.request("GET", accepted.headers["Location"])
    assert (answer.status, answer.headers["Retry-After"]) == (202, "1")
    assert answer.json["status"] in {"queued", "running"}
    assert stage.finished(accepted.headers["Location"])["status"] == "succeeded"


def test_a_call_id_that_is_taken_makes_a_call_of_its_own(stage):
    wanted = str(uuid.uuid4())
    first = stage.submit("/async-function/worker/one", X_Call_Id=wanted)
    second = stage.submit("/async-function/worker/two", X_Call_Id=wanted)
    assert first.headers["Location"].endswith(wanted)
    assert first.headers["Location"] != second.headers["Location"]
    for accepted, path in ((first, "/one"), (second, "/two")):
        stage.finished(accepted.headers["Location"])
        assert stage.request("GET", accepted.headers["Location"]).json["path"] == path

import pytest
import requests

from jangada.client import UnreachableError, WaitTimeoutError
from tests.unit.client.fake_platform import JOB_ID, Answer, FakePlatform, client_of, event_stream, job, problem


def test_wait_follows_the_events_and_returns_the_final_job():
    platform = FakePlatform(
        event_stream((1, "job.queued", {}), (2, "job.progress", {"progress": 0.5}), (3, "job.succeeded", {})),
        Answer(200, job("succeeded")),
    )
    client, _ = client_of(platform)
    seen = []
    assert client.wait(JOB_ID, on_event=lambda event: seen.append(event.type)).succeeded
    assert seen == ["job.queued", "job.progress", "job.succeeded"]
    assert platform.requests[0].headers["Accept"] == "text/event-stream"


def test_a_broken_stream_is_taken_up_again_after_the_last_event_seen():
    platform = FakePlatform(
        event_stream((1, "job.queued", {}), (2, "job.running", {}), closed=False),
        requests.exceptions.ConnectionError("refused"),
        event_stream((3, "job.failed", {})),
    )
    client, _ = client_of(platform)
    events = list(client.events(JOB_ID))
    assert [event.number for event in events] == [1, 2, 3]
    assert [request.headers.get("Last-Event-ID") for request in platform.requests] == [None, "2", "2"]


def test_where_streams_do_not_get_through_the_job_is_polled_with_its_etag():
    platform = FakePlatform(
        Answer(200, {"buffered": "by a proxy"}),
        Answer(200, job("running", progress=0.1), {"ETag": '"a"', "Retry-After": "2"}),
        Answer(304, b"", {"ETag": '"a"', "Retry-After": "2"}),
        Answer(200, job("succeeded", progress=1.0), {"ETag": '"b"'}),
    )
    client, clock = client_of(platform)
    seen = []
    assert client.wait(JOB_ID, on_event=lambda event: seen.append(event.type)).succeeded
    assert seen == ["job.progress", "job.succeeded"]
    assert [request.headers.get("If-None-Match") for request in platform.requests[1:]] == [None, '"a"', '"a"']
    assert all(0.2 <= seconds <= 1.0 for seconds in clock.sleeps)


def test_polling_is_also_what_is_left_when_the_stream_is_refused():
    platform = FakePlatform(problem(406, "not_acceptable"), Answer(200, job("canceled")))
    client, _ = client_of(platform)
    assert client.wait(JOB_ID).status == "canceled"


def test_wait_ends_at_its_deadline_and_the_job_goes_on():
    platform = FakePlatform(Answer(200, {}), *[Answer(200, job("running"), {"Retry-After": "1"}) for _ in range(6)])
    client, clock = client_of(platform)
    with pytest.raises(WaitTimeoutError, match="goes on"):
        client.wait(JOB_ID, timeout_s=3)
    assert clock.now == pytest.approx(1003)


def test_a_silent_stream_is_cut_at_the_deadline():
    platform = FakePlatform(requests.exceptions.ReadTimeout("silence"))
    client, clock = client_of(platform, retries=0)
    platform.send = after(platform.send, lambda: clock.sleep(5))
    with pytest.raises(WaitTimeoutError):
        client.wait(JOB_ID, timeout_s=5)
    assert platform.timeouts[0][1] == pytest.approx(5)


def test_a_platform_that_stays_away_is_given_up_after_a_while():
    platform = FakePlatform(*[requests.exceptions.ConnectionError("refused") for _ in range(100)])
    client, _ = client_of(platform, retries=0)
    with pytest.raises(UnreachableError, match="the job goes on"):
        client.wait(JOB_ID)


def test_a_stream_that_ends_with_an_error_is_taken_up_again_and_not_for_ever():
    broken = [event_stream((0, "error", {"code": "store_unavailable"})) for _ in range(20)]
    client, clock = client_of(FakePlatform(*broken))
    with pytest.raises(UnreachableError):
        list(client.events(JOB_ID))
    assert sum(clock.sleeps) > 5


def test_a_gap_in_the_history_is_passed_over():
    snapshot = ("error", {"code": "gap"}), ("job.snapshot", job("running"))
    platform = FakePlatform(event_stream(*[(0, *event) for event in snapshot], (9, "job.succeeded", {})))
    client, _ = client_of(platform)
    assert [event.type for event in client.events(JOB_ID)] == ["job.snapshot", "job.succeeded"]


def test_a_job_that_is_final_is_not_asked_for():
    platform = FakePlatform(Answer(202, job("succeeded")))
    client, _ = client_of(platform)
    client.wait(client.submit("doc-ocr", {}))
    assert len(platform.requests) == 1


def after(send, then):
    def wrapped(*args, **options):
        then()
        return send(*args, **options)

    return wrapped

from jangada.client import Queue
from tests.unit.client.fake_platform import Answer, FakePlatform, client_of

BODY = {
    "name": "doc-ocr",
    "algorithms": ["doc-ocr"],
    "paused": False,
    "draining": True,
    "rate_limit": {"per_s": 5.0, "burst": 5},
    "ready": {"high": 1, "normal": 2, "low": 3},
    "delayed": 4,
    "leased": 5,
    "settling": 0,
    "dead": 6,
    "jobs": 15,
    "bytes": 700,
    "oldest_s": 8.5,
    "tenants": {"acme": 15},
    "something_new": 1,
}


def calls(platform):
    return [(request.method, request.path_url) for request in platform.requests]


def test_a_queue_is_read_and_what_is_unknown_is_kept_aside():
    queue = Queue.from_json(BODY)
    assert (queue.name, queue.status, queue.rate_per_s, queue.ready["low"]) == ("doc-ocr", "draining", 5.0, 3)
    assert (queue.delayed, queue.leased, queue.dead, queue.oldest_s) == (4, 5, 6, 8.5)
    assert queue.raw["something_new"] == 1


def test_queues_are_listed_over_pages():
    pages = [{"data": [BODY], "has_more": True, "next_cursor": "x"}, {"data": [BODY], "has_more": False}]
    client, _ = client_of(platform := FakePlatform(*[Answer(200, page) for page in pages]))
    assert [queue.name for queue in client.queues.list()] == ["doc-ocr", "doc-ocr"]
    assert calls(platform) == [("GET", "/v1/queues?limit=200"), ("GET", "/v1/queues?limit=200&cursor=x")]


def test_the_switches_call_their_routes():
    client, _ = client_of(platform := FakePlatform(*[Answer(200, BODY) for _ in range(4)]))
    client.queues.pause("a b")
    client.queues.drain("q")
    client.queues.resume("q")
    client.queues.limit_rate("q", 2.5, burst=9)
    assert calls(platform) == [
        ("POST", "/v1/queues/a%20b/pause"),
        ("POST", "/v1/queues/q/drain"),
        ("POST", "/v1/queues/q/resume"),
        ("PUT", "/v1/queues/q/rate"),
    ]
    assert platform.json_body() == {"per_s": 2.5, "burst": 9}


def test_ending_a_rate_limit_says_null():
    client, _ = client_of(platform := FakePlatform(Answer(200, BODY)))
    client.queues.limit_rate("q", None)
    assert platform.json_body() == {"per_s": None}


def test_requeue_goes_on_while_there_is_more():
    first = {"data": [{"id": "job_1", "new_job": "job_2", "error": None}], "has_more": True}
    last = {"data": [{"id": "job_3", "new_job": "job_4", "error": None}], "has_more": False}
    client, _ = client_of(platform := FakePlatform(Answer(200, first), Answer(200, last)))
    assert [item["id"] for item in client.queues.requeue("q", tenant="acme", error_code=None)] == ["job_1", "job_3"]
    assert [platform.json_body(at) for at in (0, 1)] == [{"tenant": "acme"}] * 2


def test_requeue_stops_after_a_refusal_as_the_same_letters_would_come_again():
    refused = {"data": [{"id": "job_1", "new_job": None, "error": "the queue is full"}], "has_more": True}
    client, _ = client_of(platform := FakePlatform(Answer(200, refused)))
    assert len(list(client.queues.requeue("q"))) == 1
    assert platform.json_body() == {}


def test_dead_letters_and_waiting_jobs_are_given_as_they_come():
    client, _ = client_of(platform := FakePlatform(*[Answer(200, {"data": [{"id": "job_1"}]}) for _ in range(2)]))
    assert client.queues.dead("q", limit=5, error_code="oom") == [{"id": "job_1"}]
    assert client.queues.peek("q", limit=5) == [{"id": "job_1"}]
    assert calls(platform) == [
        ("GET", "/v1/queues/q/dead?limit=5&error_code=oom"),
        ("GET", "/v1/queues/q/jobs?limit=5"),
    ]

"""What was answered with 202 is done, whoever dies meanwhile."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from tests.integration.gateway.asynchronous.stage import AsyncStage, own_servers
from tests.servers import until


@pytest.fixture
def servers(tmp_path):
    with own_servers(tmp_path) as made:
        yield made


@pytest.fixture
def stage(tmp_path, servers):
    redis, mongo = servers
    made = AsyncStage(tmp_path, redis.url, mongo.url)
    made.start()
    yield made
    made.stop()


def test_a_gateway_killed_under_load_loses_no_accepted_call(stage):
    accepted: list[tuple[str, str]] = []
    lock = threading.Lock()
    ending = threading.Event()

    def client() -> None:
        while not ending.is_set():
            try:
                answer = stage.submit("/async-function/worker/slow?0.05", b"x" * 500)
            except OSError:
                time.sleep(0.05)
                continue
            if answer.status == 202:
                with lock:
                    accepted.append((answer.headers["X-Call-Id"], answer.headers["Location"]))

    clients = [threading.Thread(target=client) for _ in range(4)]
    for one in clients:
        one.start()
    for _ in range(2):
        time.sleep(1.5)
        stage.kill()
        stage.start()
    time.sleep(0.5)
    ending.set()
    for one in clients:
        one.join()
    assert len(accepted) > 100
    # Those that a killed gateway was making come again when its leases end, 15 s after.
    states = [stage.finished(location, within_s=60) for _, location in accepted]
    assert Counter(state["status"] for state in states) == {"succeeded": len(accepted)}
    ended = Counter(stage.noted("end"))
    assert {call_id for call_id, _ in accepted} <= set(ended)
    assert max(ended.values()) <= 3
    assert all(stage.request("GET", location).status == 200 for _, location in accepted[:20])


def test_a_redis_that_comes_back_empty_loses_no_accepted_call(stage, servers):
    redis, _ = servers
    locations = [stage.submit("/async-function/other/slow?0.4").headers["Location"] for _ in range(60)]
    redis.kill()
    for file in redis.folder.rglob("*.aof*"):
        file.unlink()
    answer = stage.submit("/async-function/worker")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    redis.start()
    for location in locations:
        assert stage.finished(location, within_s=60)["status"] == "succeeded"


def test_a_mongo_that_is_away_refuses_new_calls_and_keeps_the_answer_of_a_running_one(stage, servers):
    _, mongo = servers
    location = stage.submit("/async-function/worker/slow?1").headers["Location"]
    until(lambda: stage.noted("begin"))
    mongo.kill()
    refused = stage.submit("/async-function/worker")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    until(lambda: stage.noted("end"))
    mongo.start()
    assert stage.finished(location, within_s=30)["status"] == "succeeded"
    assert len(stage.noted("begin")) == 1


def test_a_gateway_that_is_told_to_stop_hands_back_what_it_was_making(stage):
    location = stage.submit("/async-function/worker/slow?7").headers["Location"]
    until(lambda: stage.noted("begin"))
    began = time.monotonic()
    assert stage.stop() == 0, stage.log()[-2000:]
    stage.start()
    until(lambda: len(stage.noted("begin")) == 2, within_s=20)
    # Not after the 15 s of a lease that nobody gave back, and the time to stop aside.
    assert time.monotonic() - began < 25
    assert stage.finished(location, within_s=20)["status"] == "succeeded"

"""One suite over both stores of asynchronous calls."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jangada.gateway.asynchronous_bodies import Bodies, Threads
from jangada.gateway.asynchronous_call import QUEUE, Answer, AsyncCall, Body
from jangada.gateway.asynchronous_callbacks import CallbackGuard, Callbacks
from jangada.gateway.asynchronous_store import MemoryAsyncCallStore
from jangada.gateway.asynchronous_store_mongo import MongoAsyncCallStore
from jangada.gateway.asynchronous_sweep import AsyncSweep
from jangada.jobs.job import fence
from jangada.jobs.queue_memory import MemoryJobQueue

ANSWER = Answer(200, (("A", "b"), ("A", "c")), Body(b"\x00\xff", None, 2), 0.5)


@pytest.fixture(params=["memory", "mongo"])
def store(request):
    if request.param == "memory":
        return MemoryAsyncCallStore()
    made = MongoAsyncCallStore(request.getfixturevalue("mongo_database"))
    made.create_indexes()
    return made


def call(call_id: str = "one", **facts) -> AsyncCall:
    given = {"headers": (("X", "1"), ("X", "2")), "body": Body(b"\x00b", None, 2), "queue": QUEUE, "created_ms": 1000}
    return AsyncCall(call_id, f"call-{call_id}", "f", "POST", "/x?y", **(given | facts))


def test_what_is_inserted_is_read_and_an_id_is_taken_once(store):
    assert store.insert([call("one"), call("two")]) == [True, True]
    assert store.insert([call("two", created_ms=7), call("three")]) == [False, True]
    assert store.get("two").created_ms == 1000
    assert store.get("one") == call("one")
    assert store.get("none") is None


def test_only_the_highest_fence_writes_the_one_result(store):
    store.insert([call()])
    first = store.begin("one", fence(0, 1))
    assert first.status == "running"
    assert store.begin("one", fence(0, 1)) is None
    second = store.begin("one", fence(0, 2))
    assert store.again(first, {"status": 500}) is False
    assert store.complete(first, ANSWER, {"status": 200}, 2000) is False
    assert store.again(second, {"status": 500, "ended_ms": 1}) is True
    third = store.begin("one", fence(0, 3))
    assert third.attempts == ({"status": 500, "ended_ms": 1},)
    assert store.complete(third, ANSWER, {"status": 200}, 2000) is True
    assert store.complete(third, replace(ANSWER, status=404), None, 3000) is False
    kept = store.get("one")
    assert (kept.status, kept.answer, kept.completed_ms, len(kept.attempts)) == ("succeeded", ANSWER, 2000, 2)
    assert store.begin("one", fence(9, 9)) is None


def test_cancel_wins_over_a_running_attempt_and_tells_what_was(store):
    store.insert([call()])
    running = store.begin("one", fence(0, 1))
    assert store.cancel("one", 5).status == "running"
    assert store.cancel("one", 6).status == "canceled"
    assert store.complete(running, ANSWER, None, 7) is False
    assert store.get("one").status == "canceled"
    assert store.cancel("none", 5) is None
    assert store.unfinished(None, 10**6, 10) == []


def test_unfinished_are_paged_in_order_also_within_one_millisecond(store):
    store.insert([call(f"{number:02}", created_ms=1000 + number // 5) for number in range(20)])
    done = store.begin("07", fence(0, 1))
    store.complete(done, ANSWER, None, 2000)
    seen, after = [], None
    while page := store.unfinished(after, 1003, 3):
        seen += [one.id for one in page]
        after = (page[-1].created_ms, page[-1].id)
    assert seen == [f"{number:02}" for number in range(15) if number != 7]


def test_a_callback_keeps_a_call_open_until_it_is_over(store):
    store.insert([call(callback_url="http://x/")])
    store.complete(store.begin("one", 1), ANSWER, None, 2000)
    assert [one.callback for one in store.unfinished(None, 10**6, 10)] == ["pending"]
    assert store.expired(10**6, 10) == []
    store.callback("one", "delivered", 3)
    assert store.unfinished(None, 10**6, 10) == []
    assert [(one.callback, one.callback_attempts) for one in store.expired(10**6, 10)] == [("delivered", 3)]
    store.delete(["one"])
    assert store.get("one") is None


def test_a_new_epoch_shuts_out_the_attempts_before(store):
    store.insert([call()])
    running = store.begin("one", fence(0, 4))
    assert store.next_epoch(running) == 1
    assert store.next_epoch(running) is None
    assert store.complete(running, ANSWER, None, 1) is False
    assert store.begin("one", fence(1, 1)) is not None


def test_the_sweep_queues_what_the_queue_lost_and_forgets_what_is_old(store):
    queue, threads = MemoryJobQueue(), Threads(1, "test")
    from jangada.artifacts.store_memory import MemoryArtifactStore

    bodies = Bodies(MemoryArtifactStore(), threads, inline_bytes=10, max_bytes=10, keep_s=10)
    callbacks = Callbacks(queue, store, bodies, CallbackGuard(()), threads)
    sweep = AsyncSweep(queue, store, bodies, callbacks, keep_s=3600)
    old_ms = 1_700_000_000_000
    store.insert([call("lost", created_ms=old_ms), call("told", callback_url="http://x/"), call("old")])
    store.complete(store.begin("told", 1), ANSWER, None, 2**52)
    store.complete(store.begin("old", 1), ANSWER, None, 1)
    assert sweep.once(full=True) == 2
    assert sweep.once(full=True) == 0
    assert store.get("old") is None
    assert store.get("told") is not None
    [lease] = queue.finish_and_claim(QUEUE, "me", want=5).leases
    assert (lease.job_id, lease.epoch) == ("lost", 1)
    assert [one.job_id for one in queue.finish_and_claim("_callbacks", "me", want=5).leases] == ["told"]
    threads.close()

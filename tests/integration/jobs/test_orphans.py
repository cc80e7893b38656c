"""Keys that somebody deleted by hand are in nobody's way: what is left of their jobs goes, and the sweep repairs."""

from __future__ import annotations

from typing import Any

import pytest

from jangada.jobs.queue import Finish, LeaseAction, QueueEntry
from jangada.jobs.queue_redis import RedisJobQueue

Q = "toy"


@pytest.fixture
def skew() -> list[int]:
    return [0]


@pytest.fixture
def queue(redis_connections: Any, key_prefix: str, skew: list[int]) -> RedisJobQueue:
    return RedisJobQueue(redis_connections, prefix=key_prefix, skew_ms=lambda: skew[0])


def orphan(redis_connections: Any, key_prefix: str, *ids: str) -> None:
    assert redis_connections.commands.hdel(f"{key_prefix}:{{{Q}}}:jobs", *ids) == len(ids)


def test_a_queue_whose_records_are_gone_goes_on(
    queue: RedisJobQueue, redis_connections: Any, key_prefix: str, skew: list[int]
) -> None:
    now = queue.finish_and_claim(Q, "exe_1").now_ms
    queue.enqueue_many(Q, [QueueEntry(f"job_{name}", "acme", b"{}", max_attempts=1) for name in "abc"])
    queue.enqueue_many(Q, [QueueEntry("job_delayed", "acme", b"{}", not_before_ms=now + 1000)])
    queue.enqueue_many(Q, [QueueEntry("job_expiring", "acme", b"{}", expires_ms=now + 1000)])
    lost, finished, returned = queue.finish_and_claim(Q, "exe_1", want=3).leases
    queue.enqueue_many(Q, [QueueEntry("job_ready", "acme", b"{}")])
    everything = ["job_a", "job_b", "job_c", "job_delayed", "job_expiring", "job_ready"]
    orphan(redis_connections, key_prefix, *everything)
    assert lost.job_id == "job_a"
    assert queue.finish_and_claim(Q, "exe_1", finished=[Finish(finished, "succeeded")]).finished == [True]
    assert queue.release(Q, [returned]) == [False]
    skew[0] += 20_000
    assert queue.finish_and_claim(Q, "exe_1", want=5).leases == []
    assert queue.holds(Q, everything) == [False] * 6
    stats = queue.stats(Q)
    assert (stats.leased, stats.delayed, stats.settling) == (0, 0, 0)
    # As the sweep does.
    queue.enqueue_many(Q, [QueueEntry(job_id, "acme", b"{}", epoch=1) for job_id in everything])
    leases = queue.finish_and_claim(Q, "exe_1", want=9).leases
    assert sorted(lease.job_id for lease in leases) == sorted(everything)


def test_a_record_that_goes_between_two_tries_leaves_no_settling_behind(
    queue: RedisJobQueue, redis_connections: Any, key_prefix: str, skew: list[int]
) -> None:
    queue.enqueue_many(Q, [QueueEntry("job_a", "acme", b"{}", max_attempts=1)])
    queue.finish_and_claim(Q, "exe_1", want=1)
    skew[0] += 20_000
    queue.finish_and_claim(Q, "exe_1", settle=0)
    assert queue.stats(Q).settling == 1
    orphan(redis_connections, key_prefix, "job_a")
    answer = queue.finish_and_claim(Q, "exe_1")
    assert [lease for lease in answer.leases if lease.action is not LeaseAction.RUN] == []
    assert queue.stats(Q).settling == 0

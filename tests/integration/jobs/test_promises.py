"""What the queue promises, seen through an executor with a real child."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from jangada.clock import utc_now
from jangada.jobs.job import Job, JobStatus
from tests.integration.executor.harness import Bench, until


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    until(lambda: not made.children(), what="children left behind")


def expiring(bench: Bench, like: str, seconds: float) -> Job:
    """A copy of the job *like* that may wait so long."""
    job = bench.job(like)
    copy = replace(job, id=f"{job.id[:-3]}ZZZ", expires_at=utc_now() + timedelta(seconds=seconds))
    return bench.service.submit(copy)


def test_an_algorithm_says_when_it_is_to_be_tried_again(bench: Bench) -> None:
    with bench.executor("raises_in_run"):
        job_id = bench.submit("raises_in_run", {"how": "later"}, max_attempts=3)
        until(lambda: bench.queue.stats("raises_in_run").delayed == 1)
        answer = bench.queue.finish_and_claim("raises_in_run", "test")
    assert answer.next_due_ms is not None
    assert 20_000 < answer.next_due_ms - answer.now_ms <= 30_000
    job = bench.job(job_id)
    assert (job.status, job.attempt) == (JobStatus.QUEUED, 1)


def test_the_time_in_the_queue_is_a_clock_of_its_own(bench: Bench) -> None:
    with bench.executor("sleeps"):
        runs = bench.submit("sleeps", {"seconds": 1.5})
        until(lambda: bench.job(runs).status is JobStatus.RUNNING)
        waits = expiring(bench, runs, 0.3)
        ended = bench.final(waits.id)
        assert bench.final(runs).status is JobStatus.SUCCEEDED
    assert (ended.status, ended.attempt, ended.started_at) == (JobStatus.EXPIRED, 0, None)


def test_nothing_is_claimed_beyond_the_free_slots(bench: Bench) -> None:
    ids = [bench.submit("sleeps", {"seconds": 0.3}) for _ in range(6)]
    most = 0
    with bench.executor("sleeps", concurrency=2):
        while not bench.job(ids[-1]).is_final:
            most = max(most, bench.queue.stats("sleeps").leased)
    assert most == 2


def test_a_pause_lets_finish_what_runs_and_begins_nothing(bench: Bench) -> None:
    first, second = (bench.submit("sleeps", {"seconds": 0.3}) for _ in range(2))
    with bench.executor("sleeps"):
        until(lambda: bench.job(first).status is JobStatus.RUNNING)
        bench.queue.pause("sleeps")
        assert bench.final(first).status is JobStatus.SUCCEEDED
        assert bench.queue.stats("sleeps").leased == 0
        assert bench.job(second).status is JobStatus.QUEUED
        bench.queue.resume("sleeps")
        assert bench.final(second).status is JobStatus.SUCCEEDED


def test_a_rate_holds_the_executor_back(bench: Bench) -> None:
    bench.queue.limit_rate("echo", 5.0, burst=1)
    began = utc_now()
    ids = [bench.submit("echo", {"value": 1}) for _ in range(4)]
    with bench.executor("echo"):
        for job_id in ids:
            bench.final(job_id)
    # The first at once, then one each 0.2 s.
    assert (utc_now() - began).total_seconds() >= 0.6

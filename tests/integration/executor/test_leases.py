"""Leases, hand-backs and stores that go away. Real children, memory stores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from jangada.errors import StoreUnavailableError
from jangada.jobs.execution import JobExecution
from jangada.jobs.job import JobStatus
from jangada.jobs.queue import Lease, LeaseState
from jangada.jobs.store import UnstorableError
from tests.integration.executor.harness import Bench, until


class Flaky:
    """An execution whose stores can be taken away."""

    def __init__(self, execution: JobExecution) -> None:
        self.execution = execution
        self.away = False
        self.paused = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.execution, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if self.away:
                raise StoreUnavailableError("away")
            return method(*arguments, **options)

        return call

    def renew(self, leases: Sequence[Lease]) -> list[LeaseState]:
        if self.away:
            raise StoreUnavailableError("away")
        return [LeaseState.HELD] * len(leases) if self.paused else self.execution.renew(leases)


def test_a_stop_hands_running_jobs_back_at_once_and_costs_no_attempt(bench: Bench) -> None:
    with bench.executor("sleeps") as first:
        job_id = bench.submit("sleeps", {"seconds": 1.0}, max_attempts=1)
        until(lambda: bench.job(job_id).status is JobStatus.RUNNING)
        asked = time.monotonic()
        first.stop()
        until(lambda: bench.job(job_id).status is JobStatus.QUEUED, 2)
        assert time.monotonic() - asked < 1.0
    with bench.executor("sleeps"):
        job = bench.final(job_id)
    assert job.status is JobStatus.SUCCEEDED


def test_a_stop_hands_back_what_waits_in_a_batch(bench: Bench) -> None:
    ids = [bench.submit("sleeps", {"seconds": 0.2}, max_attempts=1) for _ in range(20)]
    with bench.executor("sleeps", short=True) as first:
        until(lambda: bench.job(ids[0]).is_final)
        first.stop()
    assert sum(bench.job(job_id).is_final for job_id in ids) < 10
    with bench.executor("sleeps", short=True, concurrency=4):
        assert all(bench.final(job_id).status is JobStatus.SUCCEEDED for job_id in ids)


def test_with_time_to_drain_the_running_job_is_finished_and_none_is_claimed(bench: Bench) -> None:
    with bench.executor("sleeps", drain_s=10) as loop:
        running = bench.submit("sleeps", {"seconds": 0.7})
        until(lambda: bench.job(running).status is JobStatus.RUNNING)
        waiting = bench.submit("sleeps", {"seconds": 0})
        loop.stop()
        assert bench.final(running).status is JobStatus.SUCCEEDED
        time.sleep(0.3)
        assert bench.job(waiting).status is JobStatus.QUEUED


def test_native_code_that_holds_the_gil_keeps_its_lease_and_runs_once(bench: Bench) -> None:
    bench.lease_s = 1.0
    with bench.executor("holds_the_gil"), bench.executor("holds_the_gil"):
        job = bench.run("holds_the_gil", {"seconds": 3.0})
    assert job.output == {"attempt": 1}


def test_an_executor_without_heartbeat_loses_its_job_and_its_late_output(bench: Bench) -> None:
    bench.lease_s = 1.0
    note = bench.tmp_path / "runs"
    flaky: list[Flaky] = []

    def wrap(execution: JobExecution) -> Flaky:
        flaky.append(Flaky(execution))
        flaky[0].paused = True
        return flaky[0]

    with bench.executor("sleeps", execution=wrap):
        job_id = bench.submit("sleeps", {"seconds": 2.5, "note": str(note)})
        until(lambda: bench.job(job_id).status is JobStatus.RUNNING)
        with bench.executor("sleeps"):
            job = bench.final(job_id)
            time.sleep(0.5)
    assert job.output == {"slept": 2.5, "attempt": 2}
    assert note.read_text().splitlines() == [f"{job_id} 1", f"{job_id} 2"]
    assert bench.job(job_id) == job


def test_a_lost_lease_ends_the_attempt(bench: Bench) -> None:
    with bench.executor("sleeps"):
        job_id = bench.submit("sleeps", {"seconds": 30})
        until(lambda: bench.job(job_id).status is JobStatus.RUNNING)
        bench.queue.drop("sleeps", [job_id])
        until(lambda: bench.journals[0].of("job.lease_lost"), 4)
        assert bench.run("sleeps", {"seconds": 0}).status is JobStatus.SUCCEEDED


def test_outcomes_are_kept_while_the_stores_are_away(bench: Bench) -> None:
    flaky: list[Flaky] = []

    def wrap(execution: JobExecution) -> Flaky:
        flaky.append(Flaky(execution))
        return flaky[0]

    with bench.executor("sleeps", execution=wrap):
        job_id = bench.submit("sleeps", {"seconds": 0.5})
        until(lambda: bench.job(job_id).status is JobStatus.RUNNING)
        flaky[0].away = True
        time.sleep(1.5)
        assert not bench.job(job_id).is_final
        flaky[0].away = False
        job = bench.final(job_id, timeout_s=4)
        assert bench.run("sleeps", {"seconds": 0}).status is JobStatus.SUCCEEDED
    assert job.output == {"slept": 0.5, "attempt": 1}


def test_an_output_that_no_store_can_hold_fails_its_job_alone(bench: Bench) -> None:
    class Picky(Flaky):
        def exchange(self, completions: Any = (), want: int = 0, **options: Any) -> Any:
            if any(done.output == {"number": 3, "attempt": 1} for done in completions):
                raise UnstorableError("cannot be stored")
            return self.execution.exchange(completions, want, **options)

    ids = [bench.submit("dies_in_batch", {"number": number}) for number in range(10)]
    with bench.executor("dies_in_batch", execution=Picky):
        jobs = [bench.final(job_id) for job_id in ids]
    assert [job.status for job in jobs].count(JobStatus.SUCCEEDED) == 9
    assert jobs[3].error is not None
    assert "cannot be stored" in jobs[3].error["message"]


def test_short_jobs_that_take_long_are_not_hoarded(bench: Bench) -> None:
    ids = [bench.submit("sleeps", {"seconds": 0.3}) for _ in range(40)]
    with bench.executor("sleeps", short=True):
        until(lambda: sum(bench.job(job_id).is_final for job_id in ids) >= 3)
        with bench.executor("sleeps", short=True, concurrency=8):
            jobs = [bench.final(job_id) for job_id in ids]
    assert all(job.status is JobStatus.SUCCEEDED for job in jobs)
    took = max(job.completed_at for job in jobs) - min(job.started_at for job in jobs)
    assert took.total_seconds() < 9


def test_an_executor_that_claims_its_own_lost_job_again_keeps_the_new_lease(bench: Bench) -> None:
    bench.lease_s = 1.0
    note = bench.tmp_path / "runs"

    class Deaf(Flaky):
        """Never renews a first attempt."""

        def renew(self, leases: Sequence[Lease]) -> list[LeaseState]:
            later = [lease for lease in leases if lease.attempt > 1]
            states = iter(self.execution.renew(later))
            return [next(states) if lease.attempt > 1 else LeaseState.HELD for lease in leases]

    with bench.executor("sleeps", execution=Deaf, concurrency=2):
        job = bench.run("sleeps", {"seconds": 4, "note": str(note)})
    assert job.output == {"slept": 4, "attempt": 2}
    assert len(note.read_text().splitlines()) == 2

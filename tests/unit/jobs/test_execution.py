from __future__ import annotations

import time
from datetime import timedelta

import pytest

from jangada.errors import StoreUnavailableError
from jangada.jobs.execution import Completion
from jangada.jobs.job import AttemptFailure, ErrorCode, JobStatus, Policy
from jangada.jobs.store import LogLine
from jangada.jobs.sweep import sweep_once
from tests.unit.jobs.desk import HOOK, QUEUE, Desk

RETRYABLE = AttemptFailure(ErrorCode.DEPENDENCY, "no", retryable=True)
FINAL = AttemptFailure(ErrorCode.INVALID_INPUT, "bad")


def test_ordinarily_one_write_to_the_store_and_one_call_of_the_queue() -> None:
    desk = Desk()
    desk.service.submit_many([desk.job() for _ in range(6)])
    leases = desk.execution.exchange(want=3)
    desk.queue.calls.clear()
    desk.store.calls.clear()
    assert len(desk.execution.exchange([Completion(lease, output=1) for lease in leases], 3)) == 3
    assert (desk.queue.calls, desk.store.calls) == (["finish_and_claim", "bury"][:1], ["write_outcomes"])


def test_an_output_ends_the_job_and_is_told() -> None:
    desk = Desk()
    job = desk.submit(webhook=HOOK)
    (lease,) = desk.execution.exchange(want=1)
    desk.execution.exchange([Completion(lease, output={"n": 2}, metrics={"run_s": 1.0})])
    done = desk.get(job)
    assert (done.status, done.output, done.metrics, done.attempt) == (JobStatus.SUCCEEDED, {"n": 2}, {"run_s": 1.0}, 1)
    assert desk.told == [("started", job.id, None), ("completed", job.id, JobStatus.SUCCEEDED)]
    assert [due.id for due in desk.store.webhooks_due(5)] == [job.id]


def test_a_failure_that_may_pass_is_tried_again_until_the_attempts_are_used_up() -> None:
    desk = Desk()
    job = desk.submit(policy=Policy(max_attempts=3))
    for attempt in (1, 2, 3):
        (lease,) = desk.execution.exchange(want=1)
        assert lease.attempt == attempt
        desk.execution.exchange([Completion(lease, failure=RETRYABLE)])
        desk.turn(10)
    done = desk.get(job)
    assert (done.status, done.attempt) == (JobStatus.FAILED, 3)
    assert done.error is not None
    assert done.error["code"] == "dependency"
    assert [(one.number, one.outcome) for one in done.attempts] == [(1, "failed"), (2, "failed"), (3, "failed")]
    assert [job_id for job_id, _ in desk.queue.dead(QUEUE)] == [job.id]
    assert [event for event, *_ in desk.told].count("completed") == 1


def test_a_failure_that_will_not_pass_is_final() -> None:
    desk = Desk()
    job = desk.submit()
    (lease,) = desk.execution.exchange(want=1)
    desk.execution.exchange([Completion(lease, failure=FINAL)])
    assert desk.get(job).status is JobStatus.FAILED


def test_a_handed_back_job_runs_elsewhere_and_has_lost_no_attempt() -> None:
    desk = Desk()
    job = desk.submit(policy=Policy(max_attempts=1))
    (lease,) = desk.execution.exchange(want=1)
    desk.execution.exchange([Completion(lease, handed_back=True)])
    (again,) = desk.executor("exe_2").exchange(want=1)
    desk.execution.exchange([Completion(again, output=1)])
    done = desk.get(job)
    assert done.status is JobStatus.SUCCEEDED
    assert [one.outcome for one in done.attempts] == ["handed_back"]


def test_a_late_attempt_changes_nothing() -> None:
    desk = Desk()
    job = desk.submit()
    (old,) = desk.execution.exchange(want=1)
    desk.turn(16)
    other = desk.executor("exe_2")
    (new,) = other.exchange(want=1)
    desk.execution.exchange([Completion(old, output="late")])
    assert desk.get(job).status is JobStatus.RUNNING
    other.exchange([Completion(new, output="new")])
    desk.execution.exchange([Completion(old, output="later")])
    assert desk.get(job).output == "new"


def test_a_job_that_is_final_in_the_store_is_dropped_from_the_queue() -> None:
    desk = Desk()
    job = desk.submit()
    (lease,) = desk.execution.exchange(want=1)
    desk.queue.away = {"finish_and_claim"}
    with pytest.raises(StoreUnavailableError):
        desk.execution.exchange([Completion(lease, output=1)])
    desk.queue.away = set()
    desk.turn(16)
    assert desk.executor("exe_2").exchange(want=1) == []
    assert desk.queue.holds(QUEUE, [job.id]) == [False]
    assert desk.get(job).output == 1


@pytest.mark.parametrize("broken", ["write_outcomes", "append_logs_many"])
def test_an_outcome_waits_for_the_store_to_come_back(broken: str) -> None:
    desk = Desk()
    job = desk.submit()
    (lease,) = desk.execution.exchange(want=1)
    done = Completion(lease, output=1, logs=[LogLine(1, 1, "stdout", "x", 1)])
    desk.store.away = {broken}
    with pytest.raises(StoreUnavailableError):
        desk.execution.exchange([done])
    desk.store.away = set()
    desk.execution.exchange([done])
    assert desk.get(job).status is JobStatus.SUCCEEDED
    assert len(desk.service.logs(desk.get(job))) == 1


def test_no_lease_is_kept_that_the_caller_does_not_know_of() -> None:
    desk = Desk()
    desk.submit()
    (lease,) = desk.execution.exchange(want=1)
    desk.execution.release([lease])
    desk.store.away = {"raise_fences"}
    with pytest.raises(StoreUnavailableError):
        desk.execution.exchange(want=1)
    desk.store.away = set()
    assert len(desk.execution.exchange(want=1)) == 1


def test_expired_lost_and_overdue_jobs_are_settled_and_not_returned() -> None:
    desk = Desk()
    now = desk.clock()
    expired = desk.submit(expires_at=now + timedelta(seconds=5))
    desk.turn(6)
    assert desk.execution.exchange(want=5) == []
    lost = desk.submit(policy=Policy(max_attempts=1))
    late = desk.submit(deadline_at=desk.clock() + timedelta(seconds=30), policy=Policy(max_attempts=5))
    assert len(desk.execution.exchange(want=5)) == 2
    desk.turn(16)
    (again,) = desk.execution.exchange(want=5)
    desk.execution.exchange([Completion(again, failure=AttemptFailure(ErrorCode.OOM, "m", True, retry_after_s=1))])
    desk.turn(30)
    assert desk.execution.exchange(want=5) == []
    assert desk.get(expired).status is JobStatus.EXPIRED
    assert (desk.get(lost).status, desk.get(lost).error["code"]) == (JobStatus.FAILED, "executor_lost")  # type: ignore[index]
    assert (desk.get(late).status, desk.get(late).error["code"]) == (JobStatus.FAILED, "deadline")  # type: ignore[index]
    assert [one.outcome for one in desk.get(late).attempts] == ["lost", "died"]
    assert [one.outcome for one in desk.get(lost).attempts] == ["lost"]


def test_log_numbers_grow_over_the_attempts() -> None:
    desk = Desk()
    job = desk.submit()
    for _ in range(2):
        (lease,) = desk.execution.exchange(want=1)
        line = LogLine(1, lease.attempt, "stdout", f"attempt {lease.attempt}", 1)
        desk.execution.exchange([Completion(lease, failure=RETRYABLE, logs=[line])])
        desk.turn(10)
    lines = desk.service.logs(desk.get(job))
    assert [line.text for line in lines] == ["attempt 1", "attempt 2"]
    assert lines[0].number < lines[1].number


def test_waiting_ends_when_a_delay_does() -> None:
    desk = Desk()
    desk.submit()
    (lease,) = desk.execution.exchange(want=1)
    desk.execution.exchange([Completion(lease, failure=AttemptFailure(ErrorCode.OOM, "m", True, retry_after_s=1))])
    desk.execution.exchange(want=1)
    desk.turn(1)
    began = time.monotonic()
    assert desk.execution.wait(30) is False
    assert time.monotonic() - began < 10
    assert len(desk.execution.exchange(want=1)) == 1


def test_a_job_that_the_queue_has_at_an_epoch_of_the_past_does_not_stay_there() -> None:
    desk = Desk()
    job = desk.submit()
    desk.store.raise_epochs([job])
    (lease,) = desk.execution.exchange(want=1)
    desk.execution.exchange([Completion(lease, output=1)])
    assert desk.queue.holds(QUEUE, [job.id]) == [False]
    desk.turn(10)
    sweep_once(desk.queue, desk.store, [QUEUE], clock=desk.clock)
    (lease,) = desk.execution.exchange(want=1)
    desk.execution.exchange([Completion(lease, output=2)])
    assert desk.get(job).output == 2


class TestALostAnswer:
    def test_its_claims_come_with_the_next_exchange_in_the_same_attempt(self) -> None:
        desk = Desk()
        first, second = desk.submit(), desk.submit()
        desk.queue.deaf.add("finish_and_claim")
        with pytest.raises(StoreUnavailableError):
            desk.execution.exchange(want=1)
        leases = desk.execution.exchange(want=2)
        assert [(lease.job_id, lease.attempt) for lease in leases] == [(first.id, 1), (second.id, 1)]
        assert desk.execution.exchange(want=2) == []

    def test_what_is_wanted_no_more_goes_back_and_costs_no_attempt(self) -> None:
        desk = Desk()
        job = desk.submit(policy=Policy(max_attempts=1))
        desk.queue.deaf.add("finish_and_claim")
        with pytest.raises(StoreUnavailableError):
            desk.execution.exchange(want=1)
        assert desk.execution.exchange(want=0) == []
        (lease,) = desk.executor("exe_2").exchange(want=1)
        assert (lease.job_id, [attempt["outcome"] for attempt in lease.history]) == (job.id, ["handed_back"])

    def test_several_in_a_row_change_nothing(self) -> None:
        desk = Desk()
        desk.submit()
        for _ in range(3):
            desk.queue.deaf.add("finish_and_claim")
            with pytest.raises(StoreUnavailableError):
                desk.execution.exchange(want=1)
        (lease,) = desk.execution.exchange(want=1)
        assert lease.attempt == 1

    def test_the_ends_it_carried_are_told_once(self) -> None:
        desk = Desk()
        job = desk.submit()
        (lease,) = desk.execution.exchange(want=1)
        desk.queue.deaf.add("finish_and_claim")
        with pytest.raises(StoreUnavailableError):
            desk.execution.exchange([Completion(lease, output=1)], 1)
        assert desk.execution.exchange([Completion(lease, output=1)], 1) == []
        assert desk.get(job).status is JobStatus.SUCCEEDED
        assert [told for told in desk.told if told[0] == "completed"] == [("completed", job.id, JobStatus.SUCCEEDED)]


def test_an_idle_executor_looks_again_when_something_is_due_and_within_two_thirds_of_a_lease() -> None:
    desk = Desk()
    other = desk.executor("exe_2")
    assert other.idle_s() == 10.0
    desk.submit()
    desk.execution.exchange(want=1)
    other.exchange(want=1)
    assert other.idle_s() == 10.0, "the lease of 15 s ends after that"
    desk.turn(9)
    other.exchange(want=1)
    assert 5.0 < other.idle_s() <= 6.1, "until its very end"

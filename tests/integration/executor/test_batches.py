"""Jobs that run together: what becomes of each, whatever one of them does. Real children, memory stores."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Sequence
from typing import Any

import pytest

from jangada.algorithms.batching import Batching
from jangada.executor.metrics import ExecutorMetrics
from jangada.executor.terms import Terms
from jangada.jobs.job import Job, JobStatus
from tests.integration.executor.harness import Bench, until

TOY = "batches"
PATIENT = Terms(batching=Batching(4, 30_000))
"""Waits until four are there, however slow the machine is."""


def jobs_of(bench: Bench, inputs: Sequence[dict[str, Any]], **policy: Any) -> list[str]:
    return [bench.submit(TOY, {"number": number, **each}, **policy) for number, each in enumerate(inputs)]


def ended(bench: Bench, ids: Sequence[str]) -> list[Job]:
    return [bench.final(job_id, 40) for job_id in ids]


def together(job: Job) -> list[int]:
    assert isinstance(job.output, dict), job.error
    found: list[int] = job.output["together"]
    return found


def test_jobs_run_together_and_each_has_its_own_output_lines_and_share(bench: Bench) -> None:
    ids = jobs_of(bench, [{"seconds": 0.05}] * 4)
    with bench.executor(TOY, terms=PATIENT):
        jobs = ended(bench, ids)
    for number, job in enumerate(jobs):
        assert job.output == {"number": number, "together": [0, 1, 2, 3], "attempt": 1}
        assert job.metrics["batch_jobs"] == 4
        assert job.metrics["run_s"] >= 0.2
        assert job.metrics["slot_s"] == pytest.approx(job.metrics["run_s"] / 4, rel=0.01)
        assert bench.lines(job.id, "log") == [f"logged {number}"]
        assert bench.lines(job.id, "stdout") == ["together [0, 1, 2, 3]"]


def test_what_waits_beyond_a_batch_is_the_next_one(bench: Bench) -> None:
    ids = jobs_of(bench, [{}] * 10)
    with bench.executor(TOY, terms=Terms(batching=Batching(4, 100))):
        jobs = ended(bench, ids)
    assert [len(together(job)) for job in jobs] == [4] * 8 + [2] * 2


def test_one_that_waits_for_others_in_vain_runs_when_the_wait_is_over(bench: Bench) -> None:
    with bench.executor(TOY, terms=Terms(batching=Batching(4, 50))):
        job = bench.run(TOY, {"number": 7})
    assert together(job) == [7]
    assert bench.lines(job.id, "stdout") == ["alone 7"]


def test_without_batching_each_runs_by_itself(bench: Bench) -> None:
    ids = jobs_of(bench, [{}] * 3)
    with bench.executor(TOY, terms=Terms(batching=Batching(1))):
        jobs = ended(bench, ids)
    assert [together(job) for job in jobs] == [[0], [1], [2]]


def test_jobs_of_one_key_run_together(bench: Bench) -> None:
    ids = jobs_of(bench, [{"group": "a"}, {"group": "b"}, {"group": "a"}, {"group": "b"}])
    with bench.executor(TOY, terms=PATIENT):
        jobs = ended(bench, ids)
    assert [together(job) for job in jobs] == [[0, 2], [1, 3], [0, 2], [1, 3]]


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("bad", "invalid_input", "1 is bad"),
        ("bug", "algorithm_error", "ValueError: 1 has a bug"),
        ("wrong type", "algorithm_error", "the output is not what run declares: "),
    ],
)
def test_the_failure_of_one_is_its_own(bench: Bench, how: str, code: str, message: str) -> None:
    ids = jobs_of(bench, [{}, {"how": how}, {}, {}], max_attempts=1)
    with bench.executor(TOY, terms=PATIENT):
        jobs = ended(bench, ids)
    error = jobs[1].error
    assert error is not None
    assert error["code"] == code
    assert error["message"].startswith(message)
    assert [job.status for job in jobs].count(JobStatus.SUCCEEDED) == 3
    assert together(jobs[0]) == [0, 1, 2, 3]
    others = [line for job in (jobs[0], jobs[2], jobs[3]) for line in bench.lines(job.id)]
    assert not [line for line in others if "Traceback" in line or "bug" in line]


def test_an_input_of_the_wrong_type_leaves_the_others_together(bench: Bench) -> None:
    ids = jobs_of(bench, [{}, {"seconds": "soon"}, {}, {}])
    with bench.executor(TOY, terms=PATIENT):
        jobs = ended(bench, ids)
    assert jobs[1].error is not None
    assert jobs[1].error["code"] == "invalid_input"
    assert together(jobs[0]) == [0, 2, 3]


@pytest.mark.parametrize("how", ["raises", "too few"])
def test_when_all_fail_at_once_each_runs_again_by_itself_and_costs_no_attempt(bench: Bench, how: str) -> None:
    ids = jobs_of(bench, [{}, {"how": how}, {}, {}], max_attempts=1)
    with bench.executor(TOY, terms=PATIENT):
        jobs = ended(bench, ids)
    assert [job.output["attempt"] for job in jobs if isinstance(job.output, dict)] == [1, 1, 1, 1]
    assert [together(job) for job in jobs] == [[0], [1], [2], [3]]
    assert all(job.metrics["slot_s"] > job.metrics["run_s"] for job in jobs)
    assert any("this one runs by itself" in line for line in bench.lines(jobs[0].id, "log"))


@pytest.mark.parametrize(
    ("how", "code"), [("dies", "algorithm_error"), ("hangs", "timeout"), ("eats", "oom"), ("gpu", "gpu_oom")]
)
def test_one_that_ends_the_child_is_found_and_the_others_do_not_pay(bench: Bench, how: str, code: str) -> None:
    ids = jobs_of(bench, [{}, {"how": how}, {}, {}], max_attempts=1, execution_timeout_s=2)
    with bench.executor(TOY, terms=PATIENT):
        jobs = ended(bench, ids)
        (broken,) = bench.journals[0].of("batch.broken_up")
    assert jobs[1].error is not None
    assert jobs[1].error["code"] == code
    assert [together(jobs[number]) for number in (0, 2, 3)] == [[0], [2], [3]]
    assert all(job.attempt == 1 for job in jobs)
    assert broken["jobs"] == 4


def test_the_next_attempt_of_one_that_killed_its_child_is_made_alone(bench: Bench) -> None:
    with bench.executor(TOY, terms=Terms(batching=Batching(2, 100))):
        deadly = bench.submit(TOY, {"number": 0, "how": "dies"}, max_attempts=3)
        harmless = [bench.submit(TOY, {"number": number, "seconds": 0.2}) for number in range(1, 12)]
        jobs = ended(bench, harmless)
        bench.final(deadly, 40)
        # Once, at the first attempt, at the most.
        assert len(bench.journals[0].of("batch.broken_up")) <= 1
    assert all(job.attempt == 1 for job in jobs)


def test_a_cancel_ends_its_own_job_and_no_other(bench: Bench) -> None:
    ids = jobs_of(bench, [{"seconds": 0.8}] * 4)
    with bench.executor(TOY, terms=PATIENT):
        until(lambda: all(bench.job(job_id).status is JobStatus.RUNNING for job_id in ids))
        bench.service.cancel(ids[1], "ten_toy")
        jobs = ended(bench, ids)
    assert jobs[1].status is JobStatus.CANCELED
    assert [together(jobs[number]) for number in (0, 2, 3)] == [[0, 1, 2, 3]] * 3
    # It ended after its grace, not with the batch.
    assert jobs[1].completed_at is not None
    assert jobs[0].completed_at is not None
    assert jobs[1].completed_at < jobs[0].completed_at


def test_a_batch_that_nobody_wants_any_more_is_interrupted(bench: Bench) -> None:
    ids = jobs_of(bench, [{"how": "waits"}] * 4)
    with bench.executor(TOY, terms=PATIENT):
        until(lambda: all(bench.job(job_id).status is JobStatus.RUNNING for job_id in ids))
        for job_id in ids:
            bench.service.cancel(job_id, "ten_toy")
        jobs = [bench.final(job_id, 10) for job_id in ids]
        assert not bench.journals[0].of("batch.broken_up")
        # The child was not killed for it.
        after = ended(bench, jobs_of(bench, [{}] * 4))
        assert [together(job) for job in after] == [[0, 1, 2, 3]] * 4
        assert len(bench.journals[0].of("child.ready")) == 1
    assert {job.status for job in jobs} == {JobStatus.CANCELED}


def test_a_stopped_executor_hands_every_job_of_its_batch_back(bench: Bench) -> None:
    ids = jobs_of(bench, [{"how": "waits"}] * 4)
    with bench.executor(TOY, terms=PATIENT) as loop:
        until(lambda: all(bench.job(job_id).status is JobStatus.RUNNING for job_id in ids))
        loop.stop()
        until(lambda: all(bench.job(job_id).status is JobStatus.QUEUED for job_id in ids))


def test_an_algorithm_without_run_batch_runs_one_by_one(bench: Bench) -> None:
    ids = [bench.submit("sleeps", {"seconds": 0.05}) for _ in range(5)]
    with bench.executor("sleeps", terms=PATIENT):
        jobs = ended(bench, ids)
    assert all(job.status is JobStatus.SUCCEEDED for job in jobs)
    assert "batch_jobs" not in jobs[0].metrics


def test_two_slots_fill_one_batch_before_the_next(bench: Bench) -> None:
    ids = jobs_of(bench, [{"seconds": 0.1}] * 8)
    with bench.executor(TOY, concurrency=2, terms=PATIENT):
        jobs = ended(bench, ids)
    assert {len(together(job)) for job in jobs} == {4}


def test_batches_are_counted_by_size(bench: Bench) -> None:
    metrics = ExecutorMetrics()
    metrics.batch_began(0, 4)
    metrics.batch_broken_up(0, 4, "its child ended")
    lines = [line for family in (metrics.run_batches, metrics.broken_batches) for line in family.lines("")]
    assert 'jangada_executor_run_batch_jobs_bucket{le="4"} 1' in lines
    assert "jangada_executor_broken_batches_total 1" in lines


def test_a_child_is_replaced_after_so_many_jobs_also_with_some_waiting_that_must_run_alone(bench: Bench) -> None:
    ids = jobs_of(bench, [{"how": "dies"}, {}, {}, {}], max_attempts=1)
    with bench.executor(TOY, terms=PATIENT, recycle_after_jobs=2):
        jobs = ended(bench, ids)
        assert bench.journals[0].of("child.recycled")
    assert [together(jobs[number]) for number in (1, 2, 3)] == [[1], [2], [3]]


def test_whatever_happens_to_children_and_jobs_each_ends_once_and_as_it_would_alone(bench: Bench) -> None:
    dice = random.Random(7)
    hows = [dice.choice(["well"] * 8 + ["bad", "raises", "dies"]) for _ in range(60)]
    inputs = [{"how": how, "group": dice.choice("ab"), "seconds": 0.02} for how in hows]
    ids = jobs_of(bench, inputs, max_attempts=30)
    canceled = set(dice.sample(range(60), 6))
    with bench.executor(TOY, concurrency=2, terms=Terms(batching=Batching(4, 20))):
        for number in canceled:
            bench.service.cancel(ids[number], "ten_toy")
        for _ in range(6):
            until(bench.children)
            for pid in bench.children()[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        # One that kills its child is tried again and again, later and later.
        jobs = [bench.final(job_id, 60) for job_id, how in zip(ids, hows, strict=True) if how != "dies"]
    for job in jobs:
        assert isinstance(job.input, dict)
        how, number = job.input["how"], job.input["number"]
        if job.status is JobStatus.CANCELED:
            assert number in canceled
        elif how == "bad":
            assert job.error is not None
            assert job.error["message"] == f"{number} is bad"
        else:
            assert number in together(job)
            assert job.output["attempt"] == job.attempt  # type: ignore[index]

"""What an executor asks of the other side, beside the stores and over HTTPS: the same suite on both."""

from __future__ import annotations

import time

import pytest

from jangada.clock import to_ms, utc_now
from jangada.executor.dealings import Execution
from jangada.jobs.job import AttemptFailure, ErrorCode, JobStatus
from jangada.jobs.outcome import Completion
from jangada.jobs.queue import LeaseState
from jangada.jobs.store import LogLine
from tests.contract.nodes.conftest import RAN_BY, Stage


def claim(execution: Execution, want: int = 1, **options):
    return execution.exchange(want=want, **options)


def test_a_job_is_claimed_with_its_input_and_its_output_is_stored(stage: Stage, execution: Execution):
    job_id = stage.submit({"text": "não"})
    (lease,) = claim(execution)
    assert (lease.job_id, lease.attempt, lease.queue) == (job_id, 1, "dep.shop")
    assert lease.body.partition(b"\n")[2].decode() == '{"text":"não"}'
    started_ms = to_ms(utc_now())
    done = Completion(
        lease,
        output={"text": "sim", "deep": _nested(80)},
        started_ms=started_ms,
        metrics={"run_s": 0.25, "cpu_s": 0.1, "peak_rss_bytes": 4096.0, "gpu_s": None},
        logs=[LogLine(1, 1, "stdout", "olá", started_ms)],
    )
    assert execution.exchange([done]) == []
    job = stage.job(job_id)
    assert (job.status, job.output["text"], job.attempt) == (JobStatus.SUCCEEDED, "sim", 1)
    assert job.output["deep"] == _nested(80)
    assert (job.metrics["run_s"], job.metrics["gpu_s"]) == (0.25, None)
    assert job.ran_by == RAN_BY
    assert [line.text for line in stage.services.store.logs(job_id)] == ["olá"]
    assert stage.services.queue.live("dep.shop", [job_id]) == [None]


def _nested(levels: int):
    value: object = "core"
    for _ in range(levels):
        value = [value]
    return value


def test_outcomes_and_claims_go_in_one_exchange_and_may_be_sent_again(stage: Stage, execution: Execution):
    first, second = stage.submit(1), stage.submit(2)
    (lease,) = claim(execution)
    done = Completion(lease, output="one")
    (another,) = execution.exchange([done], 1)
    assert another.job_id == second
    assert execution.exchange([done], 0) == []
    assert stage.job(first).output == "one"


def test_a_failed_attempt_is_tried_again_and_the_last_one_is_final(stage: Stage, execution: Execution):
    job_id = stage.submit(policy={"max_attempts": 2})
    failure = AttemptFailure(
        ErrorCode.DEPENDENCY, "no answer", retryable=True, retry_after_s=0.01, details={"tried": ["a", "b"]}
    )
    (lease,) = claim(execution)
    execution.exchange([Completion(lease, failure=failure)])
    assert not stage.job(job_id).is_final
    lease = _claim_soon(execution)
    assert lease.attempt == 2
    execution.exchange([Completion(lease, failure=failure)])
    job = stage.job(job_id)
    assert (job.status, job.error["code"], job.error["details"]) == (
        JobStatus.FAILED,
        "dependency",
        {"tried": ["a", "b"]},
    )
    assert [attempt.error["message"] for attempt in job.attempts] == ["no answer", "no answer"]
    assert stage.services.queue.dead("dep.shop")[0][0] == job_id


def _claim_soon(execution: Execution):
    for _ in range(500):
        if leases := claim(execution):
            return leases[0]
        time.sleep(0.02)
    raise AssertionError("nothing came")


def test_a_cancel_comes_with_a_renewal(stage: Stage, execution: Execution):
    job_id = stage.submit()
    (lease,) = claim(execution)
    assert execution.renew([lease]) == [LeaseState.HELD]
    stage.services.jobs.cancel(job_id, "acme")
    assert execution.renew([lease]) == [LeaseState.CANCEL]
    execution.exchange([Completion(lease, canceled=True)])
    assert stage.job(job_id).status is JobStatus.CANCELED


def test_what_is_handed_back_counts_no_attempt(stage: Stage, execution: Execution):
    job_id = stage.submit(policy={"max_attempts": 1})
    (lease,) = claim(execution)
    execution.exchange([Completion(lease, handed_back=True)])
    (again,) = claim(execution)
    assert (again.job_id, again.attempt) == (job_id, 2)
    execution.exchange([Completion(again, output=1)])
    assert stage.job(job_id).status is JobStatus.SUCCEEDED


def test_a_stale_attempt_changes_nothing(stage: Stage, execution: Execution):
    job_id = stage.submit()
    (stale,) = claim(execution)
    other = stage.direct(lease_s=30.0)
    lease = _claim_soon(other)
    assert (lease.job_id, lease.attempt) == (job_id, 2)
    assert execution.renew([stale]) == [LeaseState.LOST]
    assert execution.emit(stale, [("job.progress", {"progress": 0.9, "message": None})]) is False
    assert execution.exchange([Completion(stale, output="late")]) == []
    assert not stage.job(job_id).is_final
    other.exchange([Completion(lease, output="mine")])
    execution.exchange([Completion(stale, output="late")])
    assert stage.job(job_id).output == "mine"


def test_progress_and_lines_are_told_live(stage: Stage, execution: Execution):
    job_id = stage.submit()
    (lease,) = claim(execution, running=False)
    (live,) = stage.services.queue.live("dep.shop", [job_id])
    assert live.status == "starting"
    execution.start([lease])
    told = [("job.progress", {"progress": 0.4, "message": "half"}), ("job.log", {"stream": "stdout", "text": "hi"})]
    assert execution.emit(lease, told) is True
    (live,) = stage.services.queue.live("dep.shop", [job_id])
    assert (live.status, live.progress) == ("running", 0.4)
    events = [event.type for event in stage.services.queue.events("dep.shop", job_id)]
    assert events[-2:] == ["job.progress", "job.log"]


def test_the_last_events_of_an_attempt_are_there_before_its_end(stage: Stage, execution: Execution):
    job_id = stage.submit()
    (lease,) = claim(execution)
    execution.tell(lease, [("job.log", {"stream": "stdout", "text": "bye"})])
    execution.exchange([Completion(lease, output=1)])
    events = [event.type for event in stage.services.queue.events("dep.shop", job_id)]
    assert events[-2:] == ["job.log", "job.succeeded"]


def test_the_bell_is_heard_and_passed_on(stage: Stage, execution: Execution):
    assert execution.listen(0.02) is False
    stage.submit()
    assert execution.listen(1.0) is True
    execution.pass_on()
    assert execution.listen(1.0) is True


def test_an_idle_executor_knows_when_to_look_again(stage: Stage, execution: Execution):
    claim(execution)
    assert 0 < execution.idle_s() <= 10.0
    stage.submit()
    (_,) = claim(execution)
    # Its own lease runs out in half a second.
    claim(execution)
    assert execution.idle_s() < 1.0


@pytest.mark.parametrize("count", [0, 3])
def test_many_are_renewed_and_started_at_once(stage: Stage, execution: Execution, count: int):
    for _ in range(count):
        stage.submit()
    leases = claim(execution, 5, running=False)
    assert len(leases) == count
    execution.start(leases)
    assert execution.renew(leases) == [LeaseState.HELD] * count

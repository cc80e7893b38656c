from __future__ import annotations

import signal

import pytest

from jangada.executor.completion import completion_of
from jangada.executor.memory import MIB
from jangada.executor.messages import Done, Hello
from jangada.executor.running import StopReason
from jangada.executor.verdict import cold_start, death_of, ending_of
from jangada.jobs.job import AttemptFailure, ErrorCode
from tests.unit.executor.made import slot_job

DONE = Done(1, {}, [], None, {"x": 1})


def test_what_the_child_reports_counts_when_nobody_stopped_the_job() -> None:
    assert ending_of(slot_job(), DONE) is DONE


@pytest.mark.parametrize("reported", [DONE, StopReason.CANCEL, None])
@pytest.mark.parametrize(
    ("stop", "code", "retryable"),
    [
        (StopReason.TIMEOUT, ErrorCode.TIMEOUT, True),
        (StopReason.DEADLINE, ErrorCode.DEADLINE, False),
        (StopReason.MEMORY, ErrorCode.OOM, True),
    ],
)
def test_our_reason_for_stopping_comes_first(
    stop: StopReason, code: ErrorCode, retryable: bool, reported: Done | StopReason | None
) -> None:
    job = slot_job()
    job.stop = stop
    ending = ending_of(job, reported, rss_bytes=300 * MIB, cap_bytes=100 * MIB)
    assert isinstance(ending, AttemptFailure)
    assert (ending.code, ending.retryable) == (code, retryable)
    if stop is StopReason.MEMORY:
        assert ending.message == "used 300 MiB, limit 100 MiB"


@pytest.mark.parametrize("stop", [StopReason.CANCEL, StopReason.LOST])
def test_an_output_that_comes_after_a_cancel_is_dropped(stop: StopReason) -> None:
    job = slot_job()
    job.stop = stop
    assert ending_of(job, DONE) is stop


@pytest.mark.parametrize(
    ("code", "by_us", "oom", "rss", "expected", "part"),
    [
        (3, False, False, 0, ErrorCode.ALGORITHM_ERROR, "exit code 3"),
        (-signal.SIGSEGV, False, False, 0, ErrorCode.ALGORITHM_ERROR, "SIGSEGV"),
        (-signal.SIGKILL, False, False, 0, ErrorCode.EXECUTOR_LOST, "killed from outside"),
        (-signal.SIGKILL, False, True, 0, ErrorCode.OOM, "out of memory"),
        (-signal.SIGKILL, False, False, 95 * MIB, ErrorCode.OOM, "out of memory"),
        (-signal.SIGKILL, True, False, 0, ErrorCode.ALGORITHM_ERROR, "SIGKILL"),
    ],
)
def test_a_death_is_explained_as_well_as_it_can_be(
    code: int, by_us: bool, oom: bool, rss: int, expected: ErrorCode, part: str
) -> None:
    failure = death_of(code, killed_by_us=by_us, oom_killer_struck=oom, rss_bytes=rss, cap_bytes=100 * MIB)
    assert failure.code is expected
    assert part in failure.message
    assert failure.retryable
    assert failure.details["child_died"] is True


def test_a_cold_start_is_told_by_phase() -> None:
    hello = Hello(1, {}, {}, {"environment": 0.1, "import": 0.2, "setup": 0.3})
    assert cold_start(hello, 0.7) == {"setup_s": 0.7, "environment_s": 0.1, "load_s": 0.5}


def test_a_large_output_is_named_and_not_repeated() -> None:
    completion = completion_of(slot_job(), DONE, "file_1")
    assert (completion.output, completion.output_file) == (None, "file_1")
    assert completion.metrics["queue_s"] == 0.5
    assert completion_of(slot_job(), DONE, None).output == {"x": 1}


def test_a_stopped_attempt_is_canceled() -> None:
    assert completion_of(slot_job(), StopReason.CANCEL, None).canceled

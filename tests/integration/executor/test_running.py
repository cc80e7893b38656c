"""What becomes of jobs, whatever their code does. Real children, memory stores."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from jangada.executor.terms import Terms
from jangada.jobs.job import JobStatus
from tests.integration.executor.harness import Bench, until


def test_a_job_runs_and_its_output_metrics_and_lines_are_kept(bench: Bench) -> None:
    with bench.executor("echo"):
        job = bench.run("echo", {"value": {"deep": [1, None, "ü"]}, "shell": True})
    assert job.status is JobStatus.SUCCEEDED
    assert job.output == {"value": {"deep": [1, None, "ü"]}, "attempt": 1}
    assert bench.lines(job.id, "stdout") == [f"printed by {job.id}", f"shouted by {job.id}"]
    assert bench.lines(job.id, "stderr") == [f"complained by {job.id}"]
    assert bench.lines(job.id, "log") == [f"logged by {job.id}"]
    assert set(job.metrics) >= {"queue_s", "setup_s", "run_s", "cpu_s", "peak_rss_bytes", "gpu_s"}
    assert job.metrics["peak_rss_bytes"] > 1_000_000


def test_many_short_jobs_keep_their_own_lines(bench: Bench) -> None:
    ids = [bench.submit("mixes_output", {"number": number}) for number in range(100)]
    with bench.executor("mixes_output"):
        jobs = [bench.final(job_id) for job_id in ids]
    for number, job in enumerate(jobs):
        assert job.output == {"number": number}
        assert sorted(bench.lines(job.id)) == [f"native {number}", f"no line end {number}", f"python {number}"]


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("invalid", "invalid_input", "the image is broken"),
        ("dependency", "dependency", "the model server is away"),
        ("memory", "oom", "run needed more memory than there is"),
        ("gpu", "gpu_oom", "the GPU has not enough memory for this job"),
        ("exit", "algorithm_error", "run called sys.exit(7)"),
        ("canceled", "algorithm_error", "run raised JobCanceled without being canceled"),
        ("bug", "algorithm_error", "ValueError: a bug with a secret-free message"),
    ],
)
def test_what_run_raises_becomes_the_error_of_the_job(bench: Bench, how: str, code: str, message: str) -> None:
    with bench.executor("raises_in_run"):
        job = bench.run("raises_in_run", {"how": how}, max_attempts=1)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert (job.error["code"], job.error["message"]) == (code, message)
    assert "Traceback" not in job.error["message"]


def test_the_traceback_of_a_bug_is_in_the_log_of_the_job(bench: Bench) -> None:
    with bench.executor("raises_in_run"):
        job = bench.run("raises_in_run", {"how": "bug"})
    assert any("Traceback" in line for line in bench.lines(job.id, "stderr"))
    assert any("algorithm.py" in line for line in bench.lines(job.id, "stderr"))


def test_a_retryable_failure_is_tried_again_up_to_the_limit(bench: Bench) -> None:
    with bench.executor("raises_in_run"):
        job = bench.run("raises_in_run", {"how": "retryable"}, max_attempts=2)
    assert job.status is JobStatus.FAILED
    assert job.attempt == 2
    assert job.error is not None
    assert job.error["message"] == "try me again"


@pytest.mark.parametrize(
    ("how", "part"),
    [("dict", "/output/number"), ("none", "/output"), ("field", "number"), ("nan", "not JSON compliant")],
)
def test_an_output_of_the_wrong_type_is_an_algorithm_error(bench: Bench, how: str, part: str) -> None:
    with bench.executor("returns_wrong_type"):
        job = bench.run("returns_wrong_type", {"how": how})
    assert job.error is not None
    assert job.error["code"] == "algorithm_error"
    assert job.error["message"].startswith("the output is not what run declares")
    assert part in job.error["message"]


def test_an_input_of_the_wrong_type_is_invalid_and_says_where(bench: Bench) -> None:
    with bench.executor("sleeps"):
        job = bench.run("sleeps", {"seconds": "soon"})
    assert job.error is not None
    assert job.error["code"] == "invalid_input"
    assert job.error["message"].startswith("/input/seconds: ")


def test_a_killed_child_costs_an_attempt_and_the_job_goes_on(bench: Bench) -> None:
    with bench.executor("killed_in_run"):
        job = bench.run("killed_in_run", {"times": 1})
    assert job.output == {"attempt": 2}


def test_a_segfault_names_the_signal_and_the_executor_lives(bench: Bench) -> None:
    with bench.executor("segfaults"):
        first = bench.run("segfaults", max_attempts=2)
        second = bench.run("segfaults", max_attempts=1)
    assert first.error is not None
    assert first.attempt == 2
    assert first.error["message"] == "run ended the child process: SIGSEGV"
    assert second.status is JobStatus.FAILED


def test_only_the_running_job_of_a_batch_is_blamed_for_a_death(bench: Bench) -> None:
    ids = [bench.submit("dies_in_batch", {"number": n, "deadly": n == 10}) for n in range(30)]
    with bench.executor("dies_in_batch"):
        jobs = [bench.final(job_id) for job_id in ids]
    for number, job in enumerate(jobs):
        if number == 10:
            assert job.status is JobStatus.FAILED
            assert job.attempt == 2
            assert job.error is not None
            assert job.error["message"] == "run ended the child process: exit code 9"
        else:
            assert job.output == {"number": number, "attempt": 1}


def test_memory_over_the_cap_is_oom_with_both_numbers(bench: Bench) -> None:
    with bench.executor("eats_memory"):
        job = bench.run("eats_memory", {"mib": 300})
        small = bench.run("eats_memory", {"mib": 10, "seconds": 0})
    assert job.error is not None
    assert job.error["code"] == "oom"
    assert job.error["details"]["limit_mib"] == 120
    assert job.error["details"]["used_mib"] > 120
    assert small.status is JobStatus.SUCCEEDED


def test_memory_of_sub_processes_counts(bench: Bench) -> None:
    with bench.executor("eats_memory"):
        job = bench.run("eats_memory", {"mib": 300, "in_subprocess": True})
    assert job.error is not None
    assert job.error["code"] == "oom"


@pytest.mark.parametrize("newlines", [True, False])
def test_a_flood_of_output_is_bounded_and_does_not_block(bench: Bench, newlines: bool) -> None:
    with bench.executor("floods_stdout"):
        job = bench.run("floods_stdout", {"mib": 20, "newlines": newlines})
    assert job.output == {"written": 20_000_000}
    lines = bench.lines(job.id)
    assert sum(map(len, lines)) < 300_000
    assert lines[0] == "the first line"
    assert lines[-1] == "the last line"
    assert sum("were dropped here" in line for line in lines) == 1


def test_a_job_over_its_time_ends_as_timeout(bench: Bench) -> None:
    with bench.executor("sleeps"):
        job = bench.run("sleeps", {"seconds": 30}, execution_timeout_s=0.3, max_attempts=1)
    assert job.error is not None
    assert job.error["code"] == "timeout"
    assert job.metrics["run_s"] < 5


def test_a_job_that_swallows_the_signal_is_killed_after_its_grace(bench: Bench) -> None:
    with bench.executor("ignores_cancel"):
        job = bench.run("ignores_cancel", execution_timeout_s=0.3, max_attempts=1)
    assert job.error is not None
    assert job.error["code"] == "timeout"
    assert "swallowed" in bench.lines(job.id)


def test_a_deadline_that_passes_during_the_run_ends_the_job(bench: Bench) -> None:
    with bench.executor("sleeps"):
        job = bench.run("sleeps", {"seconds": 30}, deadline_s=1.0)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error["code"] == "deadline"


@pytest.mark.parametrize("toy", ["sleeps", "never_ends", "ignores_cancel"])
def test_cancel_ends_a_running_job(bench: Bench, toy: str) -> None:
    with bench.executor(toy):
        job_id = bench.submit(toy, {"seconds": 30} if toy == "sleeps" else {})
        until(lambda: bench.job(job_id).status is JobStatus.RUNNING)
        bench.service.cancel(job_id, "ten_toy")
        job = bench.final(job_id, timeout_s=4)
        assert job.status is JobStatus.CANCELED
        after = bench.submit(toy, {"seconds": 0} if toy == "sleeps" else {}, execution_timeout_s=0.1, max_attempts=1)
        assert bench.final(after).is_final


def test_progress_is_told_a_few_times_a_second(bench: Bench) -> None:
    with bench.executor("emits_progress"):
        job = bench.run("emits_progress", {"steps": 500, "seconds": 1.0})
    events = [event for event in bench.service.events(job, 0, 0) if event.type == "job.progress"]
    assert 2 <= len(events) <= 2 + 4 * job.metrics["run_s"]
    assert events[-1].data["progress"] == 1.0


def test_a_child_is_replaced_after_its_number_of_jobs(bench: Bench) -> None:
    with bench.executor("counts_its_jobs"):
        outputs = [bench.run("counts_its_jobs").output for _ in range(7)]
    assert [output["runs"] for output in outputs] == [1, 2, 3, 1, 2, 3, 1]
    assert len({output["pid"] for output in outputs}) == 3


@pytest.mark.parametrize(
    ("toy", "reason"),
    [
        ("raises_in_setup", "RuntimeError: the weights are missing"),
        ("exits_in_setup", "the child ended during set-up: exit code 3"),
    ],
)
def test_a_set_up_that_fails_is_the_error_of_the_job_and_no_busy_loop(bench: Bench, toy: str, reason: str) -> None:
    with bench.executor(toy):
        job = bench.run(toy)
    assert job.status is JobStatus.FAILED
    assert job.attempt == 2
    assert job.error is not None
    assert job.error["message"] == f"the algorithm cannot be set up: {reason}"
    assert any("the weights are missing" in line for line in bench.lines(job.id, "stderr"))
    assert len(bench.journals[0].of("child.setup_failed")) < 6


def test_an_executor_gets_ready_once_the_reason_is_gone(bench: Bench) -> None:
    wanted = bench.tmp_path / "weights"
    with bench.executor("raises_in_setup", environ={"TOY_NEEDS": str(wanted)}):
        until(lambda: bench.journals[0].of("child.setup_failed"))
        wanted.touch()
        assert bench.run("raises_in_setup", max_attempts=9).status is JobStatus.SUCCEEDED


def test_a_job_that_waits_for_a_cold_child_is_starting(bench: Bench) -> None:
    job_id = bench.submit("loads_slowly")
    with bench.executor("loads_slowly"):
        until(lambda: bench.job(job_id).status is JobStatus.STARTING)
        job = bench.final(job_id)
        warm = bench.run("loads_slowly")
    assert job.metrics["setup_s"] > 1.0
    assert warm.metrics["setup_s"] == 0


def test_slots_run_side_by_side(bench: Bench) -> None:
    ids = [bench.submit("sleeps", {"seconds": 3.0}) for _ in range(3)]
    with bench.executor("sleeps", concurrency=3):
        jobs = [bench.final(job_id) for job_id in ids]
    starts = [job.started_at for job in jobs]
    ends = [job.completed_at for job in jobs]
    assert max(starts) < min(ends)


def test_user_code_sees_no_setting_and_no_secret(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JANGADA_MONGO_URL", "mongodb://user:pass@host")
    monkeypatch.setenv("DEPLOY_TOKEN", "t")
    with bench.executor("sees_the_environment"):
        job = bench.run("sees_the_environment")
    assert not {"JANGADA_MONGO_URL", "DEPLOY_TOKEN"} & set(job.output["names"])
    assert str(bench.tmp_path) in job.output["cwd"]
    until(lambda: not list(bench.tmp_path.glob("*/jobs/*/*")))


def test_a_process_that_left_the_group_is_killed_with_its_job(bench: Bench) -> None:
    note = bench.tmp_path / "pid"
    with bench.executor("leaves_a_daemon"):
        job = bench.run("leaves_a_daemon", {"note": str(note)}, execution_timeout_s=1.0)
    assert job.error is not None
    assert job.error["code"] == "timeout"
    stat = Path("/proc", note.read_text(), "stat")
    until(lambda: not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z", 3)


def test_children_killed_at_random_lose_no_job(bench: Bench) -> None:
    note = bench.tmp_path / "runs"
    ids = [bench.submit("sleeps", {"seconds": 0.02, "note": str(note)}, max_attempts=50) for _ in range(60)]
    with bench.executor("sleeps", concurrency=3, short=True):
        for _ in range(8):
            until(bench.children)
            for pid in bench.children()[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if all(bench.job(job_id).is_final for job_id in ids):
                break
        jobs = [bench.final(job_id, 60) for job_id in ids]
    assert [job.status for job in jobs] == [JobStatus.SUCCEEDED] * 60
    assert all(job.output["attempt"] == job.attempt for job in jobs)


def test_the_limit_of_the_deployment_ends_what_its_job_would_allow(bench: Bench) -> None:
    with bench.executor("sleeps", terms=Terms(execution_timeout_s=0.3)):
        own = bench.run("sleeps", {"seconds": 30}, execution_timeout_s=0.2, max_attempts=1)
        job = bench.run("sleeps", {"seconds": 30}, execution_timeout_s=60, max_attempts=1)
    assert job.error is not None
    assert own.error is not None
    assert (job.error["code"], job.error["message"]) == ("timeout", "run took longer than 0.3 s")
    assert own.error["message"] == "run took longer than 0.2 s"


def test_the_model_of_the_deployment_is_told_at_setup_and_in_run(bench: Bench) -> None:
    with bench.executor("tells_its_model", terms=Terms(model="-types@production")):
        job = bench.run("tells_its_model")
    assert job.output == {"at_setup": "-types@production", "now": "-types@production"}


def test_a_child_of_short_jobs_is_replaced_after_so_many_with_others_waiting(bench: Bench) -> None:
    ids = [bench.submit("mixes_output", {"number": number}) for number in range(30)]
    with bench.executor("mixes_output", recycle_after_jobs=7):
        jobs = [bench.final(job_id) for job_id in ids]
        assert len(bench.journals[0].of("child.recycled")) >= 4
    assert [job.output for job in jobs] == [{"number": number} for number in range(30)]
    assert {job.attempt for job in jobs} == {1}

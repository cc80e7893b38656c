"""Children that have GPUs for themselves, and what becomes of jobs when one fails. Real children, pretended devices."""

from __future__ import annotations

import pytest

from jangada.deployments.gpu import Gpu
from jangada.executor.terms import Terms
from jangada.jobs.job import JobStatus
from tests.integration.executor.harness import Bench

TOY = "on_a_gpu"
A, B = Gpu("GPU-aaaa", "NVIDIA H200", 1000), Gpu("GPU-bbbb", "NVIDIA H200", 1000)


def test_a_child_sees_its_device_by_uuid_and_is_told_its_cap(bench: Bench) -> None:
    with bench.executor(TOY, gpus=(A,)):
        job = bench.run(TOY)
    assert isinstance(job.output, dict)
    assert (job.output["visible"], job.output["kind"]) == ("GPU-aaaa", "cuda")
    assert job.output["memory_bytes"] == 1000 * 2**20
    assert job.metrics["gpu_s"] == pytest.approx(job.metrics["run_s"], abs=1e-4)


def test_each_slot_has_a_device_of_its_own(bench: Bench) -> None:
    with bench.executor(TOY, gpus=(A, B), concurrency=2):
        ids = [bench.submit(TOY) for _ in range(40)]
        seen = {bench.final(job_id).output["visible"] for job_id in ids}  # type: ignore[index]
    assert seen == {"GPU-aaaa", "GPU-bbbb"}


def test_without_a_gpu_it_runs_on_the_cpu_and_sees_none(bench: Bench) -> None:
    with bench.executor(TOY, gpus=()):
        job = bench.run(TOY)
    assert isinstance(job.output, dict)
    assert (job.output["visible"], job.output["kind"], job.output["memory_bytes"]) == ("", "cpu", None)
    assert job.metrics["gpu_s"] is None


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("full", "gpu_oom", "the GPU has not enough memory for this job"),
        ("aborts", "gpu_oom", "the child ended for want of GPU memory: SIGABRT"),
        ("broken", "algorithm_error", "RuntimeError: CUDA error: an illegal memory access was encountered"),
    ],
)
def test_a_gpu_that_fails_costs_the_job_an_attempt_and_the_slot_its_child(
    bench: Bench, how: str, code: str, message: str
) -> None:
    with bench.executor(TOY, gpus=(A,)):
        before = bench.run(TOY)
        failed = bench.run(TOY, {"how": how}, max_attempts=2)
        after = bench.run(TOY)
    assert failed.status is JobStatus.FAILED
    assert failed.error is not None
    assert (failed.error["code"], failed.error["message"], failed.error["retryable"]) == (code, message, True)
    # Tried again by policy, and gpu-seconds counted.
    assert failed.attempt == 2
    assert failed.metrics["gpu_s"] is not None
    assert isinstance(before.output, dict)
    assert isinstance(after.output, dict)
    assert after.output["pid"] != before.output["pid"]
    assert after.output["attempt"] == 1


def test_jobs_behind_one_that_fills_the_gpu_run_once_each_in_the_next_child(bench: Bench) -> None:
    inputs = [{}] * 10 + [{"how": "full"}] + [{}] * 10
    ids = [bench.submit(TOY, each, max_attempts=1) for each in inputs]
    with bench.executor(TOY, gpus=(A,), short=True):
        jobs = [bench.final(job_id) for job_id in ids]
    assert [number for number, job in enumerate(jobs) if job.error is not None] == [10]
    pids = [job.output["pid"] for job in jobs if isinstance(job.output, dict)]
    assert len(set(pids[:10])) == 1
    assert len(set(pids[10:])) == 1
    assert pids[0] != pids[-1]


def test_a_deployment_that_needs_one_is_refused_where_there_is_none(bench: Bench) -> None:
    with pytest.raises(Exception, match="needs a GPU"), bench.executor(TOY, gpus=(), terms=Terms(needs_gpu=True)):
        pass

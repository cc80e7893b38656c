"""The executor as the process it is, over real servers: killed, stopped, paused, cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jangada.executor.devices import NvidiaDevices
from jangada.jobs.job import JobStatus
from tests.fake_gpu import FakeGpus
from tests.integration.executor.stage import ROOT, TENANT, TOYS, Stage, stage
from tests.servers import until

LEASE_S = 2.0


@pytest.fixture(scope="module")
def made() -> Iterator[Stage]:
    with stage(JANGADA_LEASE_S=str(LEASE_S)) as running:
        yield running


def child_of(pid: int) -> int:
    """The one child of an executor."""
    found = until(lambda: children_of(pid))
    assert isinstance(found, list)
    return int(found[0])


def children_of(pid: int) -> list[int]:
    """Those that hold user code, by whichever thread they were started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    pids = [child for task in tasks for child in task.read_text().split()]
    return [int(child) for child in pids if b"jangada.executor.child" in Path(f"/proc/{child}/cmdline").read_bytes()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_started_executor_registers_its_algorithm_and_runs_jobs(made: Stage) -> None:
    (job_id,) = made.submit("echo", [{"value": 7}])
    with made.executor("echo"):
        job = made.wait_for(job_id, JobStatus.SUCCEEDED)
        record = until(lambda: made.connections.algorithms.get("echo"))
    assert job.output == {"value": 7, "attempt": 1}
    assert record.input_schema["properties"]["shell"]["type"] == "boolean"  # type: ignore[attr-defined]


def test_the_child_is_begun_before_the_executor_has_loaded_its_libraries_and_only_once(
    made: Stage, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    with made.executor("echo", "--ready-file", str(ready)) as executor:
        until(ready.exists)
        children = children_of(executor.pid)
        words = [Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in children]
        began = json.loads(ready.read_text().splitlines()[1])["began"]
    (command,) = words
    assert float(command[command.index("--spawned") + 1]) < began


def test_when_an_executor_is_killed_its_child_dies_and_another_finishes_the_job(made: Stage, tmp_path: Path) -> None:
    note = tmp_path / "runs"
    with made.executor("sleeps") as first:
        (job_id,) = made.submit("sleeps", [{"seconds": 1.5, "note": str(note)}])
        made.wait_for(job_id, JobStatus.RUNNING)
        until(note.exists)
        child = child_of(first.pid)
        ready = tmp_path / "ready"
        with made.executor("sleeps", "--ready-file", str(ready)):
            first.kill()
            killed = time.time()
            until(lambda: not is_alive(child), 0.9)
            until(lambda: len(note.read_text().splitlines()) == 2, LEASE_S + 60)
            noticed = time.time()
            job = made.wait_for(job_id, JobStatus.SUCCEEDED)
    assert job.output == {"slept": 1.5, "attempt": 2}
    # On a busy machine the other one may not be there yet when the lease ends.
    assert noticed - max(killed, ready.stat().st_mtime) <= LEASE_S + 1.5


def test_a_stopped_executor_hands_its_job_back_within_a_second_and_it_costs_no_attempt(made: Stage) -> None:
    with made.executor("sleeps") as first:
        (job_id,) = made.submit("sleeps", [{"seconds": 2}], max_attempts=1)
        made.wait_for(job_id, JobStatus.RUNNING)
        first.terminate()
        asked = time.monotonic()
        made.wait_for(job_id, JobStatus.QUEUED, 3)
        assert time.monotonic() - asked <= 1.0
        assert first.wait(timeout=5) == 0
    with made.executor("sleeps"):
        job = made.wait_for(job_id, JobStatus.SUCCEEDED)
    assert [attempt.outcome for attempt in job.attempts] == ["handed_back"]


def test_an_executor_that_sleeps_past_its_lease_drops_its_late_output(made: Stage, tmp_path: Path) -> None:
    note = tmp_path / "runs"
    with made.executor("sleeps") as first:
        (job_id,) = made.submit("sleeps", [{"seconds": 1.0, "note": str(note)}])
        made.wait_for(job_id, JobStatus.RUNNING)
        first.send_signal(signal.SIGSTOP)
        with made.executor("sleeps"):
            job = made.wait_for(job_id, JobStatus.SUCCEEDED)
            first.send_signal(signal.SIGCONT)
            time.sleep(1.5)
    assert job.output == {"slept": 1.0, "attempt": 2}
    assert made.job(job_id).output == job.output
    assert len(note.read_text().splitlines()) == 2


def test_a_killed_child_costs_the_job_an_attempt_and_the_executor_nothing(made: Stage) -> None:
    with made.executor("sleeps") as executor:
        (job_id,) = made.submit("sleeps", [{"seconds": 1.0}])
        made.wait_for(job_id, JobStatus.RUNNING)
        os.kill(child_of(executor.pid), signal.SIGKILL)
        job = made.wait_for(job_id, JobStatus.SUCCEEDED)
        assert executor.poll() is None
    assert job.output == {"slept": 1.0, "attempt": 2}


def test_jobs_survive_a_restart_of_redis_and_run_once(made: Stage, tmp_path: Path) -> None:
    note = tmp_path / "runs"
    # A lease that is longer than the outage, as the default one is of a restart; the other tests' is hardly so.
    with made.executor("sleeps", "--concurrency", "2", JANGADA_LEASE_S="15"):
        running = made.submit("sleeps", [{"seconds": 3, "note": str(note)}] * 2)
        for job_id in running:
            made.wait_for(job_id, JobStatus.RUNNING)
        time.sleep(1.2)  # the append-only file is written once a second
        made.redis.kill()
        time.sleep(1.0)
        made.redis.start()
        jobs = [made.wait_for(job_id, JobStatus.SUCCEEDED) for job_id in running]
        (after,) = made.submit("sleeps", [{"seconds": 0}])
        made.wait_for(after, JobStatus.SUCCEEDED)
    assert [job.output for job in jobs] == [{"slept": 3.0, "attempt": 1}] * 2, [job.attempts for job in jobs]
    assert len(note.read_text().splitlines()) == 2


def test_outcomes_wait_for_the_store_to_come_back(made: Stage) -> None:
    with made.executor("sleeps"):
        (job_id,) = made.submit("sleeps", [{"seconds": 0.5}])
        made.wait_for(job_id, JobStatus.RUNNING)
        made.mongo.kill()
        time.sleep(1.5)
        made.mongo.start()
        assert made.wait_for(job_id, JobStatus.SUCCEEDED).output == {"slept": 0.5, "attempt": 1}


@pytest.mark.parametrize(
    ("arguments", "settings", "part"),
    [
        (["nothing-of-that-name"], {}, "there is no algorithm 'nothing-of-that-name'"),
        ([str(TOYS / "echo")], {"JANGADA_LEASE_S": "soon"}, "JANGADA_LEASE_S='soon': expected seconds"),
        ([str(TOYS / "raises_in_setup"), "--describe", "--no-env"], {}, "cannot be set up: RuntimeError"),
        ([str(TOYS / "wants_a_gpu"), "--no-env"], {}, "JANGADA_ALLOW_CPU=1"),
        ([str(TOYS / "on_a_gpu"), "--no-env", "--needs-gpu"], {}, "the deployment of on-a-gpu needs a GPU"),
        ([str(TOYS / "echo"), "--max-batch", "0"], {}, "expected a whole number from 1 to 1024"),
        ([str(TOYS / "echo"), "--execution-timeout-s", "0"], {}, "expected seconds above 0"),
        ([str(TOYS / "echo"), "--concurrency", "none"], {}, "expected a whole number"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], part: str
) -> None:
    environ = {**os.environ, "JANGADA_HOME": str(tmp_path), "JANGADA_ALGORITHMS_DIR": str(TOYS), **settings}
    command = [sys.executable, "-m", "jangada.executor", *arguments]
    answer = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert answer.returncode == 2
    last = answer.stderr.splitlines()[-1]
    assert part in last
    assert "jangada.executor" in last
    assert not answer.stderr.startswith("Traceback")


@pytest.mark.parametrize(
    ("arguments", "visible", "part"),
    [
        (["--concurrency", "3"], None, "3 slots need 3 GPUs, one each, and 2 can be seen"),
        ([], "0", "expected UUIDs, found the index 0"),
        ([], "GPU-cccc", "'GPU-cccc' is not one device of this machine; there are GPU-aaaa, GPU-bbbb"),
        ([], "", "needs a GPU"),
    ],
)
def test_a_gpu_queue_is_refused_where_its_devices_are_not_right(
    tmp_path: Path, arguments: list[str], visible: str | None, part: str
) -> None:
    gpus = FakeGpus(tmp_path, ("GPU-aaaa", "GPU-bbbb")).install()
    environ = {**os.environ, **gpus.environ(), "JANGADA_HOME": str(tmp_path)}
    environ |= {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    command = [sys.executable, "-m", "jangada.executor", str(TOYS / "wants_a_gpu"), "--no-env", *arguments]
    answer = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 2
    assert part in answer.stderr.splitlines()[-1]


def test_gpu_seconds_are_in_the_ledger_by_type_and_its_memory_is_free_when_it_has_ended(tmp_path: Path) -> None:
    gpus = FakeGpus(tmp_path).install()
    layer = NvidiaDevices(str(gpus.program))
    with stage(**gpus.environ()) as made:
        with made.executor("on_a_gpu"):
            (job_id,) = made.submit("on_a_gpu", [{}])
            job = made.wait_for(job_id, JobStatus.SUCCEEDED)
            assert layer.used_mib() == {"GPU-aaaa": 1000}
        assert layer.used_mib() == {"GPU-aaaa": 0}
        found = made.connections.ledger("on-a-gpu", "exe_1").usage("2000-01-01", "2999-12-31")
    assert isinstance(job.output, dict)
    assert job.output["visible"] == "GPU-aaaa"
    assert {line.gpu_type for line in found} == {"NVIDIA H200"}
    (used,) = [amounts for line, amounts in found.items() if line.tenant_id == TENANT]
    assert used.gpu_s == job.metrics["gpu_s"]


def test_jobs_of_a_batch_come_and_go_together_over_real_servers_and_their_shares_are_what_is_used(made: Stage) -> None:
    with made.executor("batches", "--max-batch", "4", "--max-wait-ms", "30000"):
        ids = made.submit("batches", [{"number": number, "seconds": 0.05} for number in range(12)])
        jobs = [made.wait_for(job_id, JobStatus.SUCCEEDED, 60) for job_id in ids]
    together = [job.output["together"] for job in jobs if isinstance(job.output, dict)]
    assert [len(each) for each in together] == [4] * 12
    found = made.connections.ledger("batches", "exe_1").usage("2000-01-01", "2999-12-31", deployment="batches")
    (used,) = [amounts for line, amounts in found.items() if line.tenant_id == TENANT]
    assert used.attempts == 12
    # Three batches of four times 50 ms took their slot, whatever each job's own time says.
    assert used.run_s == pytest.approx(sum(job.metrics["slot_s"] or 0.0 for job in jobs), abs=1e-3)
    assert used.run_s < 0.3 * sum(job.metrics["run_s"] or 0.0 for job in jobs)


def test_an_executor_killed_with_a_batch_in_work_loses_none_of_it(made: Stage) -> None:
    with made.executor("batches", "--max-batch", "4", "--max-wait-ms", "30000") as first:
        ids = made.submit("batches", [{"number": number, "seconds": 0.5} for number in range(4)])
        for job_id in ids:
            made.wait_for(job_id, JobStatus.RUNNING)
        first.kill()
    with made.executor("batches", "--max-batch", "4", "--max-wait-ms", "100"):
        jobs = [made.wait_for(job_id, JobStatus.SUCCEEDED, 60) for job_id in ids]
    assert {job.attempt for job in jobs} == {2}
    # Any of them may have been the reason.
    assert all(len(job.output["together"]) == 1 for job in jobs if isinstance(job.output, dict))

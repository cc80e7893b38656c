"""An update to another version loses no job: both versions take from the same queue, the old ones are drained."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jangada.jobs.job import JobStatus
from tests.integration.executor.stage import TOYS, Stage, stage
from tests.servers import until

QUEUE = "dep.rolling"


@pytest.fixture(scope="module")
def made() -> Iterator[Stage]:
    with stage() as running:
        yield running


def version(folder: Path, number: str) -> str:
    """The folder of the toy `sleeps` at that version."""
    copy = folder / number
    shutil.copytree(TOYS / "sleeps", copy)
    manifest = copy / "executor.yml"
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join(f'version: "{number}"' if line.startswith("version:") else line for line in lines))
    return str(copy)


def test_an_update_while_jobs_run_loses_none_and_costs_no_attempt(made: Stage, tmp_path: Path) -> None:
    old, new = version(tmp_path, "1.0.0"), version(tmp_path, "2.0.0")
    jobs = [
        replace(made.make("sleeps", {"seconds": 0.05}, max_attempts=1), queue=QUEUE, deployment="rolling")
        for _ in range(120)
    ]
    made.service.submit_many(jobs)

    def finished() -> int:
        return sum(made.job(job.id).is_final for job in jobs[:60])

    options = ("--queue", QUEUE, "--drain-s", "20")
    with made.executor(old, *options) as before:
        until(lambda: finished() >= 5, 30.0)
        with made.executor(new, *options):
            until(lambda: made.connections.algorithms.get_version("sleeps", "2.0.0"), 30.0)
            before.terminate()
            assert before.wait(timeout=30) == 0
            until(lambda: made.connections.queue.stats(QUEUE).jobs == 0, 60.0)
    ended = [made.job(job.id) for job in jobs]
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}
    ran = [job.ran_by.algorithm_version for job in ended if job.ran_by is not None]
    assert len(ran) == len(jobs)
    assert set(ran) == {"1.0.0", "2.0.0"}
    # Neither took the place of the algorithm's newest record from the other: the first to come keeps it.
    newest = made.connections.algorithms.get("sleeps")
    assert newest is not None
    assert newest.version == "1.0.0"

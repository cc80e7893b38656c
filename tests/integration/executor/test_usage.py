"""What an executor tells the ledger is what it measured: a real process, real servers, real children."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jangada.clock import utc_now
from jangada.deployments.deployment import Deployment
from jangada.deployments.ledger import Used
from jangada.deployments.store_mongo import MongoDeploymentStore
from tests.integration.executor.stage import TENANT, Stage, stage
from tests.servers import until


@pytest.fixture(scope="module")
def made() -> Iterator[Stage]:
    with stage() as running:
        yield running


def used(made: Stage, deployment: str) -> dict[str | None, Used]:
    """By tenant."""
    found = made.connections.ledger(deployment, "exe_test").usage("2000-01-01", "2999-12-31", deployment=deployment)
    return {key.tenant_id: amounts for key, amounts in found.items()}


def test_the_sum_of_the_ledger_is_the_sum_of_what_the_jobs_say_within_a_hundredth(made: Stage) -> None:
    ids = made.submit("echo", [{"value": number} for number in range(40)])
    others = [replace(made.make("echo", {"value": number}), tenant_id="globex") for number in range(10)]
    made.service.submit_many(others)
    with made.executor("echo"):
        made.wait_empty("echo")
    jobs = [made.job(job_id) for job_id in ids]
    found = used(made, "echo")
    mine = found[TENANT]
    assert mine.attempts == 40
    assert found["globex"].attempts == 10
    for name in ("queue_s", "setup_s", "run_s", "cpu_s"):
        measured = sum(job.metrics.get(name) or 0.0 for job in jobs)
        assert getattr(mine, name) == pytest.approx(measured, rel=0.01), name
    assert mine.peak_rss_bytes == max(job.metrics["peak_rss_bytes"] or 0.0 for job in jobs)


def test_attempts_that_fail_are_counted_each(made: Stage) -> None:
    (job_id,) = made.submit("raises_in_run", [{"how": "retryable"}], max_attempts=3)
    with made.executor("raises_in_run"):
        made.wait_empty("raises_in_run")
    assert made.job(job_id).attempt == 3
    assert used(made, "raises-in-run")[TENANT].attempts == 3


def test_the_idle_time_of_a_deployment_of_ones_own_is_its_owners(made: Stage) -> None:
    now = utc_now()
    store = MongoDeploymentStore(made.connections.mongo[made.connections.settings.mongo_database])
    assert store.insert(Deployment("globex-echo", "echo", "dep.globex-echo", now, now, tenant_id="globex"))
    job = replace(made.make("echo", {"value": 1}), queue="dep.globex-echo", deployment="globex-echo")
    made.service.submit_many([job])
    began = time.monotonic()
    with made.executor("echo", "--queue", "dep.globex-echo"):
        until(lambda: used(made, "globex-echo").get(TENANT), 60.0)
    # What its slot has been idle since then is written at the end.
    found = used(made, "globex-echo")
    assert found[TENANT].attempts == 1
    idle = found["globex"]
    assert idle.attempts == 0
    assert 0 < idle.idle_s < time.monotonic() - began
    # An executor of one deployment leaves the queue of the algorithm's other jobs alone.
    record = made.connections.algorithms.get("echo")
    assert record is not None
    assert record.queue == "echo"


BURNS = """
import resource
import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel


BUSY = "import time\\nwhile time.process_time() < {seconds}:\\n    pass"


class Input(BaseModel):
    seconds: float
    notes: str
    fails: bool = False


class Output(BaseModel):
    pass


def used() -> float:
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in each)


class Algorithm:
    def run(self, input: Input) -> Output:
        before = used()
        while used() - before < input.seconds:
            pass
        subprocess.run([sys.executable, "-S", "-c", BUSY.format(seconds=input.seconds)], check=True)
        with Path(input.notes).open("a") as notes:
            notes.write(f"{used() - before}\\n")
        if input.fails:
            raise ValueError("as asked for")
        return Output()
"""


def test_the_cpu_seconds_of_the_ledger_are_those_that_the_kernel_counted(made: Stage, tmp_path: Path) -> None:
    """Counted in the algorithm by the kernel's own sums, of its process and those that it started; failures too."""
    folder, notes = tmp_path / "burns", tmp_path / "notes"
    folder.mkdir()
    (folder / "algorithm.py").write_text(BURNS)
    (folder / "executor.yml").write_text('name: burns\nversion: "1.0.0"\n')
    inputs = [{"seconds": 0.15, "notes": str(notes), "fails": number == 3} for number in range(8)]
    made.submit(str(folder), inputs, max_attempts=1)
    with made.executor(str(folder)):
        made.wait_empty(str(folder))
    counted = [float(line) for line in notes.read_text().splitlines()]
    found = used(made, "burns")[TENANT]
    assert (len(counted), found.attempts) == (8, 8)
    assert found.cpu_s == pytest.approx(sum(counted), rel=0.01)

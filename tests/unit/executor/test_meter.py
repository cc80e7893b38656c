"""The meter of one executor, over a ledger in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from jangada.deployments.ledger import Entry, Used
from jangada.deployments.ledger_memory import MemoryUsageLedger
from jangada.errors import StoreUnavailableError
from jangada.executor.journal import Journal
from jangada.executor.meter import SAMPLES_PER_ENTRY, Meter, used_by
from jangada.jobs.outcome import Completion
from jangada.jobs.queue import Lease, LeaseAction

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


class AwayLedger(MemoryUsageLedger):
    """One that can be away."""

    is_away = False

    def append(self, entries: Sequence[Entry]) -> None:
        if self.is_away:
            raise StoreUnavailableError("away")
        super().append(entries)


def make(ledger: MemoryUsageLedger, **more: Any) -> Meter:
    facts: dict[str, Any] = {
        "queue": "dep.ocr",
        "algorithm": "doc-ocr",
        "algorithm_version": "1.0.0",
        "executor_id": "exe_1",
        "deployment": "ocr",
        "owner": lambda _: "acme",
        "idle_slots": lambda: 0,
        "journal": Journal(level="error", text=True),
        "clock": lambda: NOW,
    }
    return Meter(ledger, **(facts | more))


def ended(tenant_id: str = "acme", **metrics: float | None) -> Completion:
    body = orjson.dumps(["doc-ocr", "1.0.0", "ocr", 60, 3]) + b"\nnull"
    lease = Lease("dep.ocr", "job_1", 0, 1, tenant_id, body, LeaseAction.RUN, 0, 0)
    return Completion(lease, metrics=metrics)


def lines(ledger: MemoryUsageLedger) -> dict[tuple[str | None, str], Used]:
    return {(key.tenant_id, key.deployment): used for key, used in ledger.usage("2026-01-01", "2026-12-31").items()}


def test_the_ledger_has_the_sum_of_what_was_measured():
    ledger = MemoryUsageLedger()
    meter = make(ledger)
    measured = [0.001 * at for at in range(500)]
    for at, seconds in enumerate(measured):
        metrics = {"queue_s": 0.5, "setup_s": 0.25, "run_s": seconds, "cpu_s": seconds / 2, "peak_rss_bytes": at}
        meter.exchanged([ended(**metrics)])
        if at % 100 == 0:
            meter.flush()
    meter.stop()
    (used,) = lines(ledger).values()
    assert used.attempts == 500
    assert used.run_s == pytest.approx(sum(measured), rel=1e-6)
    assert used.cpu_s == pytest.approx(sum(measured) / 2, rel=1e-6)
    assert (used.queue_s, used.setup_s, used.peak_rss_bytes) == (250.0, 125.0, 499.0)


def test_each_tenant_pays_its_own_and_the_owner_the_idle_time():
    ledger = MemoryUsageLedger()
    meter = make(ledger)
    meter.exchanged([ended("globex", run_s=1.0), ended("initech", run_s=2.0)])
    meter.idle(7.0)
    meter.stop()
    assert lines(ledger) == {
        ("acme", "ocr"): Used(idle_s=7.0),
        ("globex", "ocr"): Used(attempts=1, run_s=1.0),
        ("initech", "ocr"): Used(attempts=1, run_s=2.0),
    }


def test_what_the_store_does_not_take_now_comes_later_and_once():
    ledger = AwayLedger()
    meter = make(ledger)
    ledger.is_away = True
    meter.exchanged([ended(run_s=1.0)])
    meter.flush()
    meter.exchanged([ended(run_s=2.0)])
    meter.flush()
    assert lines(ledger) == {}
    ledger.is_away = False
    meter.flush()
    meter.stop()
    assert lines(ledger) == {("acme", "ocr"): Used(attempts=2, run_s=3.0)}


def test_an_owner_that_cannot_be_asked_loses_no_idle_time():
    answers = iter([StoreUnavailableError("away"), "acme"])

    def owner(_: str) -> str:
        answer = next(answers)
        if isinstance(answer, StoreUnavailableError):
            raise answer
        return answer

    ledger = MemoryUsageLedger()
    meter = make(ledger, owner=owner)
    meter.idle(3.0)
    meter.flush()
    meter.idle(1.0)
    meter.flush()
    assert lines(ledger) == {("acme", "ocr"): Used(idle_s=4.0)}


def test_the_latest_run_times_are_sampled():
    ledger = MemoryUsageLedger()
    meter = make(ledger)
    meter.exchanged([ended(run_s=float(at)) for at in range(1, 30)])
    meter.stop()
    pulse = ledger.pulse("dep.ocr")
    assert pulse.attempts == 29
    assert pulse.runs_s == tuple(float(at) for at in range(30 - SAMPLES_PER_ENTRY, 30))


def test_a_gpu_is_used_for_as_long_as_the_run_unless_it_was_measured():
    assert used_by({"run_s": 2.0}, gpus=1).gpu_s == 2.0
    assert used_by({"run_s": 2.0, "gpu_s": 0.5}, gpus=1).gpu_s == 0.5
    assert used_by({"run_s": 2.0}, gpus=0).gpu_s == 0.0
    assert used_by({"run_s": 2.0}, gpus=2).gpu_s == 4.0
    ledger = MemoryUsageLedger()
    meter = make(ledger, gpu_type="NVIDIA A100")
    meter.exchanged([ended(run_s=2.0)])
    meter.idle(3.0)
    meter.stop()
    (key,) = ledger.usage("2026-01-01", "2026-12-31")
    assert key.gpu_type == "NVIDIA A100"
    assert lines(ledger) == {("acme", "ocr"): Used(attempts=1, run_s=2.0, gpu_s=2.0, idle_s=3.0, idle_gpu_s=3.0)}


def test_jobs_of_a_batch_use_their_slot_by_shares():
    together = {"run_s": 8.0, "slot_s": 2.0, "batch_jobs": 4.0, "cpu_s": 1.0}
    used = used_by(together, gpus=1)
    assert (used.run_s, used.gpu_s, used.cpu_s) == (2.0, 2.0, 1.0)

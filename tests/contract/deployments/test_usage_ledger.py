"""What every `UsageLedger` promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jangada.deployments.ledger import SAMPLES, Entry, Pulse, UsageLedger, Used
from jangada.deployments.ledger_memory import MemoryUsageLedger
from jangada.deployments.ledger_mongo import MongoUsageLedger
from tests.contract.stores import STORES

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ENTRY = Entry(
    id="exe_1/1",
    at=NOON,
    tenant_id="acme",
    deployment="ocr",
    queue="dep.ocr",
    algorithm="doc-ocr",
    algorithm_version="1.0.0",
    executor_id="exe_1",
    used=Used(attempts=2, queue_s=0.5, setup_s=1.25, run_s=3.0, cpu_s=2.5, peak_rss_bytes=1000.0),
    runs_s=(1.0, 2.0),
)


def made(request: pytest.FixtureRequest, keep_s: float | None) -> UsageLedger:
    if request.param == "memory":
        return MemoryUsageLedger(keep_s=keep_s)
    database: Any = request.getfixturevalue(f"{request.param}_database")
    found = MongoUsageLedger(database, keep_s=keep_s)
    found.create_indexes()
    return found


@pytest.fixture(params=STORES)
def ledger(request: pytest.FixtureRequest) -> UsageLedger:
    return made(request, None)


@pytest.fixture(params=STORES)
def keeping(request: pytest.FixtureRequest) -> UsageLedger:
    """One that keeps two days."""
    return made(request, 2 * 86_400.0)


def totals(ledger: UsageLedger, first: str = "2026-01-01", last: str = "2026-12-31", **where: str) -> dict[Any, Used]:
    found = ledger.usage(first, last, **where)
    return {(key.day, key.tenant_id, key.deployment, key.gpu_type): used for key, used in found.items()}


def test_entries_of_one_line_are_added_up_and_the_peak_is_the_highest(ledger: UsageLedger):
    more = Used(attempts=1, run_s=0.5, cpu_s=0.25, gpu_s=4.0, idle_s=7.5, idle_gpu_s=1.5, peak_rss_bytes=500.0)
    ledger.append([ENTRY, replace(ENTRY, id="exe_1/2", used=more, at=NOON + timedelta(hours=1))])
    assert totals(ledger) == {
        ("2026-01-02", "acme", "ocr", None): Used(
            attempts=3,
            queue_s=0.5,
            setup_s=1.25,
            run_s=3.5,
            cpu_s=2.75,
            gpu_s=4.0,
            idle_s=7.5,
            idle_gpu_s=1.5,
            peak_rss_bytes=1000.0,
        )
    }


def test_writing_an_entry_twice_changes_nothing(ledger: UsageLedger):
    ledger.append([ENTRY])
    ledger.append([ENTRY, replace(ENTRY, used=Used(attempts=50))])
    assert totals(ledger) == {("2026-01-02", "acme", "ocr", None): ENTRY.used}
    assert ledger.pulse("dep.ocr") == Pulse(2, (1.0, 2.0))


def test_lines_are_by_day_tenant_deployment_and_gpu_in_that_order(ledger: UsageLedger):
    one = Used(attempts=1)
    for number, change in enumerate(
        (
            {"at": NOON + timedelta(days=1)},
            {"deployment": "other"},
            {"tenant_id": "globex"},
            {"tenant_id": None},
            {"gpu_type": "A100"},
            {},
        )
    ):
        ledger.append([replace(ENTRY, id=f"x/{number}", used=one, **change)])
    assert list(totals(ledger)) == [
        ("2026-01-02", None, "ocr", None),
        ("2026-01-02", "acme", "ocr", None),
        ("2026-01-02", "acme", "ocr", "A100"),
        ("2026-01-02", "acme", "other", None),
        ("2026-01-02", "globex", "ocr", None),
        ("2026-01-03", "acme", "ocr", None),
    ]


def test_days_tenant_and_deployment_narrow_it(ledger: UsageLedger):
    ledger.append([ENTRY, replace(ENTRY, id="2", tenant_id="globex"), replace(ENTRY, id="3", deployment="other")])
    assert len(totals(ledger, tenant_id="acme")) == 2
    assert len(totals(ledger, tenant_id="acme", deployment="ocr")) == 1
    assert len(totals(ledger, "2026-01-02", "2026-01-02")) == 3
    assert totals(ledger, "2026-01-03", "2026-01-04") == {}


def test_the_pulse_counts_and_keeps_the_latest_run_times(ledger: UsageLedger):
    assert ledger.pulse("dep.ocr") == Pulse()
    ledger.append([replace(ENTRY, id=str(at), runs_s=(float(at),), used=Used(attempts=1)) for at in range(40)])
    assert ledger.pulse("dep.ocr") == Pulse(40, tuple(float(at) for at in range(40 - SAMPLES, 40)))
    assert ledger.pulse("dep.other") == Pulse()


def test_idle_time_does_not_beat(ledger: UsageLedger):
    ledger.append([replace(ENTRY, used=Used(idle_s=3.0), runs_s=())])
    assert ledger.pulse("dep.ocr") == Pulse()


def test_days_past_keeping_go_with_the_next_entry_and_the_pulse_goes_on(keeping: UsageLedger):
    for number, days in enumerate((0, 1, 2, 3)):
        keeping.append([replace(ENTRY, id=f"x/{number}", at=NOON + timedelta(days=days))])
    assert [day for day, *_ in totals(keeping)] == ["2026-01-03", "2026-01-04", "2026-01-05"]
    assert keeping.pulse("dep.ocr").attempts == 8


def test_nothing_goes_where_nothing_is_said_of_keeping(ledger: UsageLedger):
    ledger.append([ENTRY, replace(ENTRY, id="later", at=NOON + timedelta(days=4000))])
    assert len(totals(ledger, last="2999-12-31")) == 2

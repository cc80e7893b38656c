from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jangada.executor.heartbeat import LIVE_LINES, Heartbeat, Reports
from jangada.executor.journal import Journal
from jangada.executor.running import SlotJob
from jangada.jobs.queue import Lease, LeaseState
from tests.unit.executor.made import slot_job


class Execution:
    """Answers renewals as it was told and remembers what was emitted."""

    def __init__(self, *states: LeaseState) -> None:
        self.states = list(states)
        self.emitted: list[tuple[str, str]] = []
        self.before_answer: Any = lambda: None

    def renew(self, leases: Sequence[Lease]) -> list[LeaseState]:
        self.before_answer()
        return self.states

    def emit(self, lease: Lease, events: Sequence[tuple[str, dict[str, Any]]]) -> bool:
        self.emitted += [(lease.job_id, kind) for kind, _ in events]
        return True


def heartbeat(execution: Execution, jobs: list[SlotJob], reports: Reports | None = None) -> tuple[Heartbeat, list[Any]]:
    told: list[Any] = []
    made = Heartbeat(
        execution,  # type: ignore[arg-type]
        {job.lease.job_id: job for job in jobs},
        reports or Reports(),
        Journal(level="error"),
        on_cancel=lambda job: told.append(("cancel", job)),
        on_lost=lambda job: told.append(("lost", job)),
    )
    return made, told


def test_a_renewal_brings_cancels_and_losses() -> None:
    jobs = [slot_job("job_1"), slot_job("job_2"), slot_job("job_3")]
    made, told = heartbeat(Execution(LeaseState.HELD, LeaseState.CANCEL, LeaseState.LOST), jobs)
    made.renew()
    assert told == [("cancel", jobs[1]), ("lost", jobs[2])]


def test_a_job_that_was_stored_during_the_renewal_is_not_lost() -> None:
    job = slot_job()
    execution = Execution(LeaseState.LOST)
    made, told = heartbeat(execution, [job])
    execution.before_answer = made._held.clear
    made.renew()
    assert told == []


def test_only_the_newest_progress_is_sent_and_only_for_held_jobs() -> None:
    held, gone = slot_job("job_1"), slot_job("job_2")
    reports = Reports()
    for step in range(10):
        reports.progress(held, step / 10, None)
        reports.progress(gone, step / 10, None)
    reports.line(held, "stdout", "a line")
    execution = Execution()
    made, _ = heartbeat(execution, [held], reports)
    made.report()
    made.report()
    assert execution.emitted == [("job_1", "job.log"), ("job_1", "job.progress")]


def test_a_flood_of_lines_is_not_sent_live() -> None:
    job, reports = slot_job(), Reports()
    for _ in range(LIVE_LINES + 50):
        reports.line(job, "stdout", "x")
    events = reports.take()[job]
    assert len(events) == LIVE_LINES + 1
    assert events[-1][1]["text"] == "50 lines are not shown live"
    assert not reports

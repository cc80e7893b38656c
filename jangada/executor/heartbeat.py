"""
The thread that keeps leases and tells what running jobs report, whatever the jobs themselves are doing.

It renews each half second while jobs are held, which also brings cancels, and
sends progress and log events at most four times a second.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

from jangada.errors import StoreUnavailableError
from jangada.executor.dealings import Execution
from jangada.executor.journal import Journal
from jangada.executor.running import SlotJob
from jangada.jobs.execution import Notify
from jangada.jobs.queue import LeaseState

RENEW_S = 0.5
REPORT_S = 0.25
BACKOFF_CAP_S = 0.75
LIVE_LINES = 200
"""Lines of one job sent as events per report; what is beyond is only in the kept log."""


class Reports:
    """What running jobs said and has not been sent yet: the last progress and the new lines of each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: dict[SlotJob, dict[str, Any]] = {}
        self._lines: dict[SlotJob, list[dict[str, Any]]] = {}
        self._skipped: dict[SlotJob, int] = {}

    def __bool__(self) -> bool:
        return bool(self._progress or self._lines)

    def progress(self, job: SlotJob, fraction: float, message: str | None) -> None:
        """Remember the newest progress of *job*."""
        with self._lock:
            self._progress[job] = {"progress": fraction, "message": message}

    def line(self, job: SlotJob, stream: str, text: str) -> None:
        """Remember a line of *job*."""
        with self._lock:
            lines = self._lines.setdefault(job, [])
            if len(lines) < LIVE_LINES:
                lines.append({"stream": stream, "text": text})
            else:
                self._skipped[job] = self._skipped.get(job, 0) + 1

    def take(self, job: SlotJob | None = None) -> dict[SlotJob, list[tuple[str, dict[str, Any]]]]:
        """The events to send now, of all jobs or of *job*; they are forgotten here."""
        taken: dict[SlotJob, list[tuple[str, dict[str, Any]]]] = {}
        with self._lock:
            for each in [job] if job is not None else list({**self._progress, **self._lines}):
                events = [("job.log", line) for line in self._lines.pop(each, ())]
                if skipped := self._skipped.pop(each, 0):
                    events.append(("job.log", {"stream": "system", "text": f"{skipped} lines are not shown live"}))
                if progress := self._progress.pop(each, None):
                    events.append(("job.progress", progress))
                if events:
                    taken[each] = events
        return taken

    def forget(self, job: SlotJob) -> None:
        """Drop what is left of *job*."""
        self.take(job)


class Heartbeat:
    """Renews the leases in *held* (job id → job), which the loop fills and empties."""

    def __init__(
        self,
        execution: Execution,
        held: dict[str, SlotJob],
        reports: Reports,
        journal: Journal,
        *,
        on_cancel: Callable[[SlotJob], None],
        on_lost: Callable[[SlotJob], None],
        notify: Notify = lambda _event, _lease, _status: None,
    ) -> None:
        self._execution = execution
        self._held = held
        self._reports = reports
        self._journal = journal
        self._on_cancel = on_cancel
        self._on_lost = on_lost
        self._notify = notify
        self._busy = threading.Event()
        self._stopped = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread; it sleeps until `wake`."""
        self._thread.start()

    def wake(self) -> None:
        """There are leases to keep."""
        if not self._busy.is_set():
            self._busy.set()

    def stop(self) -> None:
        """End the thread; leases are kept no longer."""
        self._stopped.set()
        self._busy.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        renew_at = 0.0
        while not self._stopped.is_set():
            if not self._held:
                self._busy.clear()
                # Looked at again after the clear, so that a wake in between is not slept through.
                if not self._held:
                    self._busy.wait()
                renew_at = time.monotonic() + RENEW_S
            self._stopped.wait(self._pause())
            try:
                if time.monotonic() >= renew_at:
                    self.renew()
                    renew_at = time.monotonic() + RENEW_S
                self.report()
                self._failures = 0
            except StoreUnavailableError as error:
                self._failures += 1
                if self._failures == 1:
                    self._journal.warning("executor.renewal_failed", reason=str(error), held=len(self._held))
            except Exception as error:  # noqa: BLE001 — a lease must not be lost to a bug in a report
                self._journal.error("executor.heartbeat_failed", reason=f"{type(error).__name__}: {error}")

    def _pause(self) -> float:
        if self._failures == 0:
            return REPORT_S
        return random.uniform(0.5, 1.0) * min(BACKOFF_CAP_S, REPORT_S * 2.0**self._failures)

    def renew(self) -> None:
        """Renew once and act on the answers."""
        jobs = list(self._held.values())
        if not jobs:
            return
        states = self._execution.renew([job.lease for job in jobs])
        for job, state in zip(jobs, states, strict=True):
            # It may have been finished while we asked: then a lost lease is what it should be.
            if state is LeaseState.HELD or self._held.get(job.lease.job_id) is not job:
                continue
            if state is LeaseState.CANCEL:
                self._on_cancel(job)
            else:
                self._on_lost(job)

    def report(self) -> None:
        """Send what running jobs reported since the last time."""
        if not self._reports:
            return
        for job, events in self._reports.take().items():
            if self._held.get(job.lease.job_id) is job:
                self._execution.emit(job.lease, events)
                if any(kind == "job.log" for kind, _ in events):
                    self._notify("logs", job.lease, None)

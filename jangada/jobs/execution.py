"""
The executor's side of a job: store what ended, close it in the queue, lease what comes next.

Mongo before Redis: dying between the two repeats the attempt, whose outcome the
store then knows already. The other order could close a job without an outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jangada.clock import Clock, from_ms, to_ms, utc_now
from jangada.errors import StoreUnavailableError
from jangada.jobs import retry
from jangada.jobs.job import (
    JSON,
    Attempt,
    AttemptFailure,
    ErrorCode,
    JobStatus,
    fence,
)
from jangada.jobs.orders import Orders, parse
from jangada.jobs.queue import Finish, JobQueue, Lease, LeaseAction, LeaseState
from jangada.jobs.store import FenceRaise, JobStore, LogLine, Outcome

Notify = Callable[[str, Lease, JobStatus | None], None]
"""Told ``("started", lease, None)`` and ``("completed", lease, status)``, after it is stored; must not block or raise."""


@dataclass(frozen=True, slots=True)
class Completion:
    """
    How one attempt ended.

    Success: `output` or `output_file`. Else exactly one of `failure`, `canceled`
    (the executor stopped it because cancel was asked for) and `handed_back`
    (the executor is going away; the attempt does not count).
    """

    lease: Lease
    output: JSON = None
    output_file: str | None = None
    failure: AttemptFailure | None = None
    started_ms: int | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    logs: Sequence[LogLine] = ()
    handed_back: bool = False
    canceled: bool = False


def _silent(event: str, lease: Lease, status: JobStatus | None) -> None:
    """Notify nobody."""


class JobExecution:
    """One executor's dealings with one queue. Safe to call from several threads."""

    def __init__(
        self,
        queue: JobQueue,
        store: JobStore,
        *,
        queue_name: str,
        executor_id: str,
        lease_s: float = 15.0,
        clock: Clock = utc_now,
        notify: Notify = _silent,
    ) -> None:
        self._queue = queue
        self._store = store
        self._name = queue_name
        self._executor_id = executor_id
        self._lease_s = lease_s
        self._clock = clock
        self._notify = notify
        self._next_due_ms: int | None = None

    @property
    def next_due_ms(self) -> int | None:
        """Earliest instant (queue's clock) at which something not claimable now becomes so, as of the last exchange."""
        return self._next_due_ms

    def exchange(
        self, completions: Sequence[Completion] = (), want: int = 0, *, running: bool = True, settle: int = 32
    ) -> list[Lease]:
        """
        Store what ended, close it in the queue and lease up to *want* jobs to run.

        Ordinarily one grouped write to the store and one call of the queue. A
        failed attempt is retried or made final as `retry.decide` says. Jobs that
        only need their outcome written are settled here and never returned.
        Leases of a second or later attempt raise the job's fence in the store
        first; those refused (final or superseded) are dropped.

        On `StoreUnavailableError` nothing needs undoing: call again with the same
        completions, as often as it takes, while renewing the leases.
        """
        finished, wrote = self._record(completions)
        claimed = self._queue.finish_and_claim(
            self._name,
            self._executor_id,
            finished=finished,
            want=want,
            settle=settle,
            lease_s=self._lease_s,
            running=running,
        )
        self._next_due_ms = claimed.next_due_ms
        for outcome_lease, status in wrote:
            self._notify("completed", outcome_lease, status)
        if not claimed.leases:
            return []
        to_run = [lease for lease in claimed.leases if lease.action is LeaseAction.RUN]
        to_settle = [lease for lease in claimed.leases if lease.action is not LeaseAction.RUN]
        try:
            to_run = self._accept(to_run, to_settle)
            if to_settle:
                self.settle(to_settle)
        except StoreUnavailableError:
            # The store went away between the two: keep no lease that the caller does not know of.
            self._queue.release(self._name, to_run)
            raise
        if running:
            for lease in to_run:
                self._notify("started", lease, None)
        return to_run

    def start(self, leases: Sequence[Lease]) -> None:
        """Say that claimed jobs (``running=False``) have begun to run."""
        self._queue.start(self._name, leases)
        for lease in leases:
            self._notify("started", lease, None)

    def renew(self, leases: Sequence[Lease]) -> list[LeaseState]:
        """Keep *leases*; call each 0.5 s while jobs run, since the answer also brings cancels."""
        return self._queue.renew(self._name, self._executor_id, leases, self._lease_s)

    def emit(self, lease: Lease, events: Sequence[tuple[str, dict[str, Any]]]) -> bool:
        """Append progress, log or output events: ``("job.progress", {"progress": 0.4, "message": "…"})``."""
        return self._queue.emit(self._name, lease, events)

    def release(self, leases: Sequence[Lease]) -> list[bool]:
        """Hand jobs back to the front of the queue; their attempts do not count."""
        return self._queue.release(self._name, leases)

    def wait(self, timeout_s: float) -> bool:
        """Block until something may be claimable, at most *timeout_s*; then call `exchange` in any case."""
        return self._queue.wait_for_bell(self._name, timeout_s)

    def settle(self, leases: Sequence[Lease]) -> None:
        """Write the outcomes of jobs that will not run (any more) and close them."""
        now = self._clock()
        outcomes = [settled(lease, now) for lease in leases]
        self._close(list(leases), outcomes)

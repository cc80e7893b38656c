"""
The executor's side of a job: store what ended, close it in the queue, lease what comes next.

Mongo before Redis: dying between the two repeats the attempt, whose outcome the
store then knows already. The other order could close a job without an outcome.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import count
from secrets import token_hex
from typing import Any

from jangada.clock import Clock, to_ms, utc_now
from jangada.errors import StoreUnavailableError
from jangada.jobs import retry
from jangada.jobs.bell_claims import ClaimingLine
from jangada.jobs.document import attempts_of
from jangada.jobs.job import EPOCH_SHIFT, JobStatus, RanBy, fence
from jangada.jobs.orders import parse
from jangada.jobs.outcome import (
    Completion,
    ended,
    final_event,
    lease_history,
    numbered,
    outcome_of,
    settled,
)
from jangada.jobs.queue import BellClaim, Claimed, Finish, JobQueue, Lease, LeaseAction, LeaseState
from jangada.jobs.store import FenceRaise, JobStore, LogLine, Outcome

__all__ = ["Completion", "JobExecution", "Notify"]

LOOK_S = 10.0
"""How long an idle executor goes without an exchange at most: a thousand of them are to cost Redis next to nothing."""
OVERDUE_S = 0.25
"""The same while something is overdue that the last exchange could not free."""

Notify = Callable[[str, Lease, JobStatus | None], None]
"""Told ``("started", lease, None)`` and ``("completed", lease, status)`` once stored; must neither block nor raise."""


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
        ran_by: RanBy | None = None,
    ) -> None:
        self._queue = queue
        self._store = store
        self._name = queue_name
        self._executor_id = executor_id
        self._lease_s = lease_s
        self._clock = clock
        self._notify = notify
        self._ran_by = ran_by
        self._next_due_ms: int | None = None
        self._due_at: float | None = None
        self._session = token_hex(6)
        self._calls = count()
        self._unheard: list[str] = []
        """Tokens of calls to the queue whose answer never came: they may have claimed jobs."""

    @property
    def next_due_ms(self) -> int | None:
        """Earliest instant (queue's clock) at which something not claimable now becomes so, as of the last exchange."""
        return self._next_due_ms

    def exchange(
        self,
        completions: Sequence[Completion] = (),
        want: int = 0,
        *,
        running: bool = True,
        settle: int = 32,
        call: tuple[str, bool] | None = None,
    ) -> list[Lease]:
        """
        Store what ended, close it in the queue and lease up to *want* jobs to run.

        Ordinarily one grouped write to the store and one call of the queue. A
        failed attempt is retried or made final as `retry.decide` says. Jobs that
        only need their outcome written are settled here and never returned.
        Leases of a second or later attempt raise the job's fence in the store
        first; those refused (final or superseded) are dropped.

        On `StoreUnavailableError` nothing needs undoing: call again with the same
        completions, as often as it takes, while renewing the leases. What an answer
        that got lost had claimed comes with the next one, still in its first attempt.

        *call*: this is somebody else's call, with that token, for the first time or again
        (see `JobQueue.finish_and_claim`); who made it repeats it.
        """
        finished, wrote = self._record(completions)
        if call is not None:
            token, again = call
        else:
            again = bool(self._unheard)
            token = self._unheard.pop() if again else f"{self._session}.{next(self._calls)}"
        try:
            claimed = self._queue.finish_and_claim(
                self._name,
                self._executor_id,
                finished=finished,
                want=want,
                settle=settle,
                lease_s=self._lease_s,
                running=running,
                token=token,
                again=again,
            )
        except StoreUnavailableError:
            self._unheard.append(token)
            raise
        for outcome_lease, status in wrote:
            self._notify("completed", outcome_lease, status)
        return self._take(claimed, want, token, running=running)

    def claim_at_bell(self) -> BellClaim:
        """One job to run, claimed when the bell rings; what it brings is for `heard`, a lost answer for `missed`."""
        return BellClaim(self._executor_id, self._lease_s, f"{self._session}.{next(self._calls)}:bell")

    def heard(self, claim: BellClaim, claimed: Claimed, want: int) -> list[Lease]:
        """What *claim* brought, treated as `exchange` treats it: beyond *want* it is handed back."""
        return self._take(claimed, want, claim.token, running=True)

    def missed(self, claim: BellClaim) -> None:
        """The answer to *claim* will not be heard: what it brought comes with the next `exchange`."""
        self._unheard.append(claim.token)

    def _take(self, claimed: Claimed, want: int, token: str, *, running: bool) -> list[Lease]:
        self._next_due_ms = claimed.next_due_ms
        due = claimed.next_due_ms
        self._due_at = None if due is None else time.monotonic() + (due - claimed.now_ms) / 1000
        if not claimed.leases:
            return []
        to_run = [lease for lease in claimed.leases if lease.action is LeaseAction.RUN]
        to_settle = [lease for lease in claimed.leases if lease.action is not LeaseAction.RUN]
        try:
            to_run = self._accept(to_run)
            if to_settle:
                self.settle(to_settle)
        except StoreUnavailableError:
            # The store went away between the two: keep no lease that the caller does not know of.
            self._give_back(to_run, token)
            raise
        if len(to_run) > want:
            # A lost answer had more than is wanted by now.
            self._give_back(to_run[want:], token)
            del to_run[want:]
        if running:
            for lease in to_run:
                self._notify("started", lease, None)
        return to_run

    def _give_back(self, leases: Sequence[Lease], token: str) -> None:
        try:
            self._queue.release(self._name, leases)
        except StoreUnavailableError:
            self._unheard.append(token)

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

    def tell(self, lease: Lease, events: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """As `emit`, for the last events of an attempt, which an exchange follows at once."""
        self.emit(lease, events)

    def release(self, leases: Sequence[Lease]) -> list[bool]:
        """Hand jobs back to the front of the queue; their attempts do not count."""
        return self._queue.release(self._name, leases)

    def wait(self, timeout_s: float) -> bool:
        """
        Block until something may be claimable, at most *timeout_s*; then call `exchange` in any case.

        It ends by itself when a delay or somebody's lease does, as of the last exchange.
        """
        if self._due_at is not None:
            timeout_s = min(timeout_s, max(0.05, self._due_at - time.monotonic()))
        return self._queue.wait_for_bell(self._name, timeout_s)

    def listen(self, timeout_s: float) -> bool:
        """Block until the bell rings, at most *timeout_s*; whether it rang."""
        return self._queue.wait_for_bell(self._name, timeout_s)

    def bell_line(self) -> ClaimingLine | None:
        """What tells of the bell to a selector; None where only `listen` does."""
        line = self._queue.bell_line(self._name)
        return None if line is None else ClaimingLine(line, self)

    def pass_on(self) -> None:
        """Wake another executor: this one heard the bell and has no room."""
        self._queue.ring(self._name)

    def idle_s(self) -> float:
        """
        How long an executor that hears no bell may go without an exchange.

        Until something is due, as of the last one, and two thirds of a lease (10 s at
        most): whoever dies is seen to hold a lease before it has run out, and the
        exchange at its very end frees the job.
        """
        longest = min(LOOK_S, self._lease_s * 2 / 3)
        if self._due_at is None:
            return longest
        left = self._due_at - time.monotonic()
        return min(longest, left + 0.005 if left > 0 else OVERDUE_S)

    def settle(self, leases: Sequence[Lease]) -> None:
        """Write the outcomes of jobs that will not run (any more) and close them."""
        now = self._clock()
        outcomes = [settled(lease, now, self._executor_id) for lease in leases]
        self._close(list(leases), outcomes)

    def _record(self, completions: Sequence[Completion]) -> tuple[list[Finish], list[tuple[Lease, JobStatus]]]:
        """Bring to the store, and back to the queue, what ended; what is then to be closed, and what of it is new."""
        if not completions:
            return [], []
        now = self._clock()
        outcomes: list[Outcome] = []
        leases: list[Lease] = []
        handed_back: list[Lease] = []
        dead: list[str] = []
        logs: dict[str, list[LogLine]] = {}
        for done in completions:
            if done.logs:
                logs.setdefault(done.lease.job_id, []).extend(numbered(done.logs, done.lease.attempt))
            if done.handed_back:
                handed_back.append(done.lease)
                continue
            orders = done.orders or parse(done.lease.body)
            if done.failure is not None and not done.canceled:
                verdict = retry.decide(
                    done.failure,
                    max_attempts=orders.max_attempts,
                    history=(*orders.history, *done.lease.history),
                    now_ms=to_ms(now),
                    deadline_ms=orders.deadline_ms,
                )
                if isinstance(verdict, retry.RetryAt):
                    entry = ended(done, self._executor_id, now, self._ran_by)
                    self._queue.retry(self._name, done.lease, delay_s=verdict.delay_s, attempt=entry)
                    continue
                dead.append(done.lease.job_id)
            outcomes.append(outcome_of(done, orders, self._executor_id, now, self._ran_by))
            leases.append(done.lease)
        if logs:
            self._store.append_logs_many(logs)
        if handed_back:
            self._queue.release(self._name, handed_back)
        finished, wrote = self._write(leases, outcomes)
        if dead:
            self._queue.bury(self._name, [lease.job_id for lease, _ in wrote if lease.job_id in set(dead)])
        return finished, wrote

    def _write(
        self, leases: list[Lease], outcomes: list[Outcome]
    ) -> tuple[list[Finish], list[tuple[Lease, JobStatus]]]:
        """Store *outcomes*; those that are the job's now are to be closed in the queue."""
        if not outcomes:
            return [], []
        finished: list[Finish] = []
        wrote: list[tuple[Lease, JobStatus]] = []
        refused: list[Lease] = []
        written = self._store.write_outcomes(outcomes)
        for lease, outcome, won in zip(leases, outcomes, written, strict=True):
            if won:
                finished.append(Finish(lease, outcome.status, final_event(outcome)))
                wrote.append((lease, outcome.status))
            else:
                refused.append(lease)
        self._forget_stale(refused)
        return finished, wrote

    def _close(self, leases: list[Lease], outcomes: list[Outcome]) -> None:
        finished, wrote = self._write(leases, outcomes)
        if finished:
            self._queue.finish_and_claim(self._name, self._executor_id, finished=finished, want=0, settle=0)
        dead = [lease.job_id for lease, status in wrote if status is JobStatus.FAILED]
        self._queue.bury(self._name, dead)
        for lease, status in wrote:
            self._notify("completed", lease, status)

    def _accept(self, leases: list[Lease]) -> list[Lease]:
        """
        Of claimed *leases*, those whose attempt the store allows.

        A first attempt needs no leave: nothing older can write.
        """
        again = [lease for lease in leases if lease.attempt > 1]
        if not again:
            return leases
        allowed = self._store.raise_fences(
            [
                FenceRaise(lease.job_id, fence(lease.epoch, lease.attempt), attempts_of(lease_history(lease)))
                for lease in again
            ]
        )
        refused = [lease for lease, yes in zip(again, allowed, strict=True) if not yes]
        self._forget_stale(refused)
        return [lease for lease in leases if lease not in refused]

    def _forget_stale(self, leases: Sequence[Lease]) -> None:
        """
        Drop from the queue what can never end there: jobs that are final or gone, or at a later epoch in the store.

        Of the last kind only those whose lease the queue still honours: else it has
        moved on by itself. Left alone, such a job would be tried in vain for ever.
        """
        if not leases:
            return
        stored = self._store.get_many([lease.job_id for lease in leases])
        ended = [lease.job_id for lease in leases if lease.job_id not in stored or stored[lease.job_id].is_final]
        behind = [
            lease
            for lease in leases
            if lease.job_id not in ended and stored[lease.job_id].fence >> EPOCH_SHIFT > lease.epoch
        ]
        states = self._queue.renew(self._name, self._executor_id, behind, self._lease_s)
        ended += [lease.job_id for lease, state in zip(behind, states, strict=True) if state is not LeaseState.LOST]
        self._queue.drop(self._name, ended)

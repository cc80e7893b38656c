"""An executor's dealings with its queue over HTTPS: what `JobExecution` does, done by the platform."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, replace
from itertools import count
from secrets import token_hex
from typing import Any

from jangada.clock import Clock, to_ms, utc_now
from jangada.errors import StoreUnavailableError
from jangada.jobs.execution import LOOK_S, OVERDUE_S, Notify
from jangada.jobs.job import JobStatus, RanBy
from jangada.jobs.outcome import Completion
from jangada.jobs.queue import Lease, LeaseState
from jangada.remote.bell import hear
from jangada.remote.link import NodeLink
from jangada.remote.wire import completion_values, read_lease, receipt_of

BATCH_BYTES = 4 * 1024 * 1024
"""Outcomes are sent in messages of about this size; one alone may be larger."""

MOST_UNTOLD = 256

OnExchanged = Callable[[Sequence[Completion], Sequence[Lease]], None]
"""Told what is stored and what is claimed."""


class RemoteExecution:
    """
    One executor's dealings with one queue, by the calls of `jangada.executor.dealings.Execution`.

    What an answer that got lost had claimed comes with the next one, as it does there:
    the platform remembers each call by its token. Outcomes may be sent any number of times.
    """

    def __init__(
        self,
        link: NodeLink,
        *,
        queue_name: str,
        executor_id: str,
        ran_by: RanBy,
        lease_s: float = 15.0,
        notify: Notify = lambda _event, _lease, _status: None,
        on_exchanged: OnExchanged = lambda _completions, _leases: None,
        clock: Clock = utc_now,
    ) -> None:
        self._link = link
        self._name = queue_name
        self._us = {"queue": queue_name, "executor_id": executor_id}
        self._ran_by = ran_by
        self._lease_s = lease_s
        self._notify = notify
        self._on_exchanged = on_exchanged
        self._clock = clock
        self._due_at: float | None = None
        self._ahead_ms = 0
        self._session = token_hex(6)
        self._calls = count()
        self._unheard: list[str] = []
        self._untold: list[dict[str, Any]] = []
        """The last events of attempts that ended: they travel with the next exchange, which saves a call."""

    def exchange(
        self, completions: Sequence[Completion] = (), want: int = 0, *, running: bool = True, settle: int = 32
    ) -> list[Lease]:
        """See `JobExecution.exchange`."""
        *before, last = _batches([self._by_their_clock(done) for done in completions])
        ended: dict[str, str] = {}
        for batch in before:
            ended |= self._send(batch, 0, running=running, settle=0)["ended"]
        answer = self._claim(last, want, running=running, settle=settle)
        ended |= answer["ended"]
        leases: list[Lease] = [read_lease(values, self._name) for values in answer["leases"]]
        self._on_exchanged(completions, leases)
        for done in completions:
            status = ended.get(done.lease.job_id)
            if status is not None:
                self._notify("completed", done.lease, JobStatus(status))
        return leases

    def _claim(self, batch: list[dict[str, Any]], want: int, *, running: bool, settle: int) -> dict[str, Any]:
        again = bool(self._unheard)
        token = self._unheard.pop() if again else f"{self._session}.{next(self._calls)}"
        try:
            answer = self._send(batch, want, running=running, settle=settle, token=token, again=again)
        except StoreUnavailableError:
            self._unheard.append(token)
            raise
        due_ms, now_ms = answer["next_due_ms"], answer["now_ms"]
        self._due_at = None if due_ms is None else time.monotonic() + (due_ms - now_ms) / 1000
        self._ahead_ms = now_ms - to_ms(self._clock())
        return answer

    def _send(self, batch: list[dict[str, Any]], want: int, **facts: Any) -> dict[str, Any]:
        ran_by = list(astuple(self._ran_by))
        told = list(self._untold)
        sent = self._us | {"completions": batch, "want": want, "ran_by": ran_by, "told": told} | facts
        answer = self._link.post("/work/exchange", sent)
        del self._untold[: len(told)]
        return answer

    def _by_their_clock(self, done: Completion) -> dict[str, Any]:
        if done.started_ms is not None:
            done = replace(done, started_ms=done.started_ms + self._ahead_ms)
        return completion_values(done)

    def start(self, leases: Sequence[Lease]) -> None:
        """See `JobExecution.start`."""
        if leases:
            self._link.post("/work/start", self._us | _receipts(leases))

    def renew(self, leases: Sequence[Lease]) -> list[LeaseState]:
        """See `JobExecution.renew`."""
        answer = self._link.post("/work/renew", self._us | _receipts(leases))
        return [LeaseState(state) for state in answer["states"]]

    def tell(self, lease: Lease, events: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """See `JobExecution.tell`."""
        told = [{"kind": kind, "data": data} for kind, data in events]
        self._untold.append({"receipt": receipt_of(lease), "events": told})
        # While the platform is away nobody watches either.
        del self._untold[:-MOST_UNTOLD]

    def emit(self, lease: Lease, events: Sequence[tuple[str, dict[str, Any]]]) -> bool:
        """See `JobExecution.emit`."""
        said = {"receipt": receipt_of(lease), "events": [{"kind": kind, "data": data} for kind, data in events]}
        return bool(self._link.post("/work/events", self._us | said)["kept"])

    def listen(self, timeout_s: float) -> bool:
        """See `JobExecution.listen`: a long poll."""
        return hear(self._link, self._name, timeout_s)

    def bell_line(self) -> None:
        """None: there is no socket of the queue's."""
        return

    def pass_on(self) -> None:
        """See `JobExecution.pass_on`."""
        self._link.post("/work/ring", self._us)

    def idle_s(self) -> float:
        """See `JobExecution.idle_s`."""
        longest = min(LOOK_S, self._lease_s * 2 / 3)
        if self._due_at is None:
            return longest
        left = self._due_at - time.monotonic()
        return min(longest, left + 0.005 if left > 0 else OVERDUE_S)


def _receipts(leases: Sequence[Lease]) -> dict[str, Any]:
    return {"receipts": [receipt_of(lease) for lease in leases]}


def _batches(values: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """*values* in messages of bounded size; at least one, which may be empty."""
    batch: list[dict[str, Any]] = []
    size = 0
    for one in values:
        its_size = len(one["output"]) + sum(len(line[2]) for line in one["logs"])
        if batch and size + its_size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += its_size
    yield batch

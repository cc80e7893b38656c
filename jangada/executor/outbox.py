"""Outcomes on their way to the store: kept until they are there, however long that takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from jangada.errors import StoreUnavailableError
from jangada.executor.dealings import Execution
from jangada.executor.journal import Journal
from jangada.jobs.execution import Completion
from jangada.jobs.job import AttemptFailure, ErrorCode
from jangada.jobs.queue import Lease
from jangada.jobs.store import UnstorableError

HAND_BACK_S = 0.9
TRIES = 12
"""How often an outcome is offered by itself before an error that nobody foresaw is taken to last: some 8 s."""

OnLeft = Callable[[Completion, bool], None]
"""Told when a completion has left: *True*, it is stored; *False*, it never can be."""


class Outbox:
    """What ended and is not stored yet. Bounded by what an executor has room for, as no more is claimed meanwhile."""

    def __init__(self, execution: Execution, journal: Journal, on_left: OnLeft) -> None:
        self._execution = execution
        self._journal = journal
        self._on_left = on_left
        self.waiting: list[Completion] = []
        self._tries: dict[str, int] = {}

    def exchange(self, want: int, *, running: bool) -> list[Lease]:
        """Store what waits and claim up to *want*; on any error all of it waits on."""
        sent = list(self.waiting)
        leases = self._execution.exchange(sent, want, running=running)
        del self.waiting[: len(sent)]
        self._tries.clear()
        for completion in sent:
            self._on_left(completion, True)
        return leases

    def isolate(self) -> None:
        """
        An output that no store can hold must not keep the others from being stored, nor be tried for ever.

        What else goes wrong may pass: it is tried again, `TRIES` times.
        """
        sent, self.waiting = self.waiting, []
        for completion in sent:
            try:
                self._execution.exchange([completion], 0)
            except StoreUnavailableError:
                self.waiting.append(completion)
            except UnstorableError as error:
                self._replace(completion, error, ErrorCode.ALGORITHM_ERROR)
            except Exception as error:  # noqa: BLE001 — not foreseen, and nobody knows whether it lasts
                self._try_again(completion, error)
            else:
                self._on_left(completion, True)

    def _try_again(self, completion: Completion, error: Exception) -> None:
        job_id = completion.lease.job_id
        tries = self._tries.pop(job_id, 0) + 1
        if tries >= TRIES:
            self._replace(completion, error, ErrorCode.INTERNAL)
            return
        self._tries[job_id] = tries
        self.waiting.append(completion)

    def _replace(self, completion: Completion, error: Exception, code: ErrorCode) -> None:
        if completion.failure is not None:
            # Not even a plain failure can be stored: its lease runs out, and the queue counts the attempt.
            reason = f"{type(error).__name__}: {error}"
            self._journal.error("job.not_stored", job_id=completion.lease.job_id, reason=reason)
            self._on_left(completion, False)
            return
        failure = AttemptFailure(code, f"the output cannot be stored: {error}"[:1000])
        self.waiting.append(Completion(completion.lease, failure=failure))

    def hand_back(self, leases: Sequence[Lease]) -> int:
        """Store what waits and give *leases* back, trying for less than a second; how many were given back."""
        ended = {completion.lease.job_id for completion in self.waiting}
        back = [Completion(lease, handed_back=True) for lease in leases if lease.job_id not in ended]
        deadline = time.monotonic() + HAND_BACK_S
        while self.waiting or back:
            try:
                self._execution.exchange([*self.waiting, *back], 0)
                self.waiting = []
                return len(back)
            except Exception as error:  # noqa: BLE001 — on the way out the lease's expiry does the rest
                if time.monotonic() > deadline:
                    jobs = len(self.waiting) + len(back)
                    self._journal.error("executor.hand_back_failed", reason=str(error), jobs=jobs)
                    return 0
                time.sleep(0.1)
        return 0

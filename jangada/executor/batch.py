"""
The jobs that a slot runs together: which of those that wait, from when on, and what they share while they run.

Only bookkeeping: `batch_slot.GatheringSlot` talks to the child and tells of ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jangada.algorithms.batching import Batching
from jangada.executor.batch_size import BatchSize
from jangada.executor.running import SlotJob

KILLED = frozenset({"died", "timed_out", "lost"})
"""How an attempt ended that may have taken others with it: the next one of that job is made alone."""


class Gathering:
    """One slot's: what waits becomes batches."""

    def __init__(self, batching: Batching) -> None:
        self._size = BatchSize(batching)
        self.is_possible = True
        """False once its child has said that the algorithm has no ``run_batch``."""

    @property
    def room(self) -> int:
        """How many jobs the next batch takes."""
        return self._size.size if self.is_possible else 1

    def choose(self, jobs: Iterable[SlotJob], now: float) -> list[SlotJob]:
        """Those of *jobs* to run at *now*, in their order; empty while it is worth to wait for more."""
        ready = [job for job in jobs if job.is_prepared and not job.number]
        alone = next((job for job in ready if _is_alone(job)), None)
        if alone is not None:
            return [alone]
        size = self.room
        if len(ready) >= size or (ready and now >= self._until(ready)):
            return ready[:size]
        return []

    def due(self, jobs: Iterable[SlotJob]) -> float | None:
        """When `choose` would begin a batch with no more than is there, by the monotonic clock."""
        ready = [job for job in jobs if job.is_prepared and not job.number]
        return self._until(ready) if ready else None

    def ran(self, jobs: int, took_s: float) -> None:
        """A batch went well."""
        self._size.ran(jobs, took_s)

    def too_many(self, jobs: int) -> None:
        """A batch did not fit into memory."""
        self._size.too_many(jobs)

    def _until(self, ready: Sequence[SlotJob]) -> float:
        return min(job.arrived for job in ready) + (self._size.wait_s if self.is_possible else 0.0)


class Batch:
    """Jobs that their child runs together. *left* are those that have not ended."""

    def __init__(self, jobs: Sequence[SlotJob], began: float) -> None:
        self.size = len(jobs)
        self.began = began
        self.left = list(jobs)
        self.last_number = jobs[-1].number
        self._is_of_one_tenant = len({job.lease.tenant_id for job in jobs}) == 1
        self._unshown = 0

    @property
    def is_unwanted(self) -> bool:
        """Whether nothing of it is wanted any more."""
        return all(job.stop is not None for job in self.left)

    def hearers(self) -> Sequence[SlotJob]:
        """
        Whose log a line belongs to that was printed.

        Nobody knows which input it tells of: it is kept for each job where all are one
        tenant's, and else for none.
        """
        if self._is_of_one_tenant:
            return self.left
        self._unshown += 1
        return ()

    @property
    def note(self) -> str | None:
        """What the log of each job says of lines that it does not have."""
        if not self._unshown:
            return None
        return f"{self._unshown} printed lines are not shown: several tenants' jobs ran together (use context.log)"


def _is_alone(job: SlotJob) -> bool:
    if job.alone:
        return True
    last = job.lease.history[-1] if job.lease.history else None
    return last is not None and last.get("outcome") in KILLED

"""Claims by those who are no executors, of which none is lost with its answer."""

from __future__ import annotations

from itertools import count
from secrets import token_hex

from jangada.errors import StoreUnavailableError
from jangada.jobs.queue import Claimed, JobQueue


class Claims:
    """Claims of *claimant* from one queue, by one thread at a time."""

    def __init__(self, queue: JobQueue, name: str, claimant: str) -> None:
        self._queue = queue
        self._name = name
        self._claimant = claimant
        self._session = token_hex(6)
        self._calls = count()
        self._lost: str | None = None

    def claim(self, want: int, *, settle: int, lease_s: float) -> Claimed:
        """
        Up to *want* jobs and *settle* outcomes to write, first of all what an answer that got lost had claimed.

        That may be more than *want*. Raises `StoreUnavailableError`: call again.
        """
        again = self._lost is not None
        token = self._lost or f"{self._session}.{next(self._calls)}"
        try:
            claimed = self._queue.finish_and_claim(
                self._name, self._claimant, want=want, settle=settle, lease_s=lease_s, token=token, again=again
            )
        except StoreUnavailableError:
            self._lost = token
            raise
        self._lost = None
        return claimed

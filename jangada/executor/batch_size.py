"""How many jobs a slot gathers for ``run_batch``, and how long it waits for them. Pure: no clock, no I/O."""

from __future__ import annotations

from jangada.algorithms.batching import Batching

GAIN = 0.95
"""A bigger batch has to cost each job at most this share of what a smaller one does, else the smaller one is taken."""
LOOK_AGAIN = 64
"""After so many batches the next bigger size is tried again: loads and inputs change."""
_WEIGHT = 0.3


class BatchSize:
    """
    The present size and wait of one slot.

    Without *is_adaptive* they are what *batching* says. With it, sizes are powers of two (and
    the largest allowed); the smallest is taken whose seconds per job are near the best that
    was measured, and the next bigger one is tried while it is unknown. What ran out of
    memory is never tried again, with or without it.
    """

    def __init__(self, batching: Batching) -> None:
        self._batching = batching
        self._most = batching.max_batch
        self._cost_s: dict[int, float] = {}
        """Seconds per job, by size."""
        self._since_look = 0

    @property
    def size(self) -> int:
        """Gather up to so many."""
        if not self._batching.is_adaptive:
            return self._most
        if not self._cost_s:
            return 1
        best = self._best()
        bigger = next((size for size in self._sizes() if size > best), None)
        if bigger is not None and (bigger not in self._cost_s or self._since_look >= LOOK_AGAIN):
            return bigger
        return best

    @property
    def wait_s(self) -> float:
        """
        Wait so long for a batch to fill.

        Adaptive: never longer than what a full batch saves over running its jobs one by one.
        """
        most_s = self._batching.max_wait_ms / 1000
        if not self._batching.is_adaptive:
            return most_s if self._most > 1 else 0.0
        size = self.size
        alone, together = self._cost_s.get(1), self._cost_s.get(size)
        if size == 1:
            return 0.0
        if alone is None or together is None:
            return most_s
        return min(most_s, max(0.0, (alone - together) * size))

    def ran(self, jobs: int, took_s: float) -> None:
        """A batch of so many *jobs* took so long."""
        size = max((each for each in self._sizes() if each <= jobs), default=1)
        cost_s = took_s / max(1, jobs)
        before = self._cost_s.get(size)
        self._cost_s[size] = cost_s if before is None else (1 - _WEIGHT) * before + _WEIGHT * cost_s
        self._since_look = 0 if size > self._best() else self._since_look + 1

    def too_many(self, jobs: int) -> None:
        """So many did not fit into memory."""
        self._most = max(1, min(self._most, jobs // 2))
        self._cost_s = {size: cost for size, cost in self._cost_s.items() if size <= self._most}

    def _sizes(self) -> list[int]:
        sizes = [2**power for power in range(self._most.bit_length()) if 2**power < self._most]
        return [*sizes, self._most]

    def _best(self) -> int:
        """The smallest size that no measured bigger one beats by enough."""
        known = sorted(self._cost_s)
        if not known:
            return 1
        best = known[0]
        for size in known[1:]:
            if self._cost_s[size] < GAIN * self._cost_s[best]:
                best = size
        return best

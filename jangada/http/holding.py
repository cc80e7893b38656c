"""How many requests may hold a thread of this process while they wait."""

from __future__ import annotations

import threading

KEPT_FREE = 16
"""Threads that always stay free for requests that do not wait."""


class Holding:
    """
    Places for requests that wait: `Prefer: wait` and event streams.

    Without a bound, as many watchers as threads would stop every submit.
    """

    def __init__(self, threads: int) -> None:
        self.places = max(1, threads - KEPT_FREE)
        self._free = threading.Semaphore(self.places)

    def enter(self) -> bool:
        """Take a place; False when there is none. Give it back with `leave`."""
        return self._free.acquire(blocking=False)

    def leave(self) -> None:
        """Give a place back."""
        self._free.release()

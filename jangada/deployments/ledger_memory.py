"""The ledger in this process' memory: for tests, and for users' tests."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from jangada.deployments.ledger import SAMPLES, Entry, Pulse, UsageKey, Used, sum_up


class MemoryUsageLedger:
    """A `UsageLedger` that forgets everything with its process."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def create_indexes(self) -> None:
        """See `UsageLedger`."""

    def append(self, entries: Sequence[Entry]) -> None:
        """See `UsageLedger`."""
        with self._lock:
            for entry in entries:
                self._entries.setdefault(entry.id, entry)

    def usage(
        self, first_day: str, last_day: str, *, tenant_id: str | None = None, deployment: str | None = None
    ) -> dict[UsageKey, Used]:
        """See `UsageLedger`."""
        with self._lock:
            entries = list(self._entries.values())
        return sum_up(
            (entry.key, entry.used)
            for entry in entries
            if first_day <= entry.day <= last_day
            and tenant_id in {None, entry.tenant_id}
            and deployment in {None, entry.deployment}
        )

    def pulse(self, queue: str) -> Pulse:
        """See `UsageLedger`."""
        with self._lock:
            entries = [entry for entry in self._entries.values() if entry.queue == queue]
        runs = tuple(run for entry in entries for run in entry.runs_s)
        return Pulse(sum(entry.used.attempts for entry in entries), runs[-SAMPLES:])

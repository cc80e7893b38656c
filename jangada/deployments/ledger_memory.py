"""The ledger in this process' memory: for tests, and for users' tests."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from jangada.deployments.ledger import SAMPLES, Entry, Pulse, UsageKey, Used, first_kept_day, sum_up


class MemoryUsageLedger:
    """A `UsageLedger` that forgets everything with its process."""

    def __init__(self, *, keep_s: float | None = None) -> None:
        self._keep_s = keep_s
        self._entries: dict[str, Entry] = {}
        self._pulses: dict[str, Pulse] = {}
        self._lock = threading.Lock()

    def create_indexes(self) -> None:
        """See `UsageLedger`."""

    def append(self, entries: Sequence[Entry]) -> None:
        """See `UsageLedger`."""
        with self._lock:
            for entry in entries:
                if entry.id in self._entries:
                    continue
                self._entries[entry.id] = entry
                known = self._pulses.get(entry.queue, Pulse())
                runs = (*known.runs_s, *entry.runs_s)[-SAMPLES:]
                self._pulses[entry.queue] = Pulse(known.attempts + entry.used.attempts, runs)
            if entries and self._keep_s is not None:
                first = first_kept_day(entries[-1].at, self._keep_s)
                self._entries = {name: one for name, one in self._entries.items() if one.day >= first}

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
            return self._pulses.get(queue, Pulse())

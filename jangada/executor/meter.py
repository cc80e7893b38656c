"""
What the ledger is told: what attempts used, and how long slots stood ready and idle.

Sums are kept here and written every few seconds, off the path of jobs; an executor
that is killed takes the last of them along, at most `FLUSH_S` of work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from jangada.clock import Clock, utc_now
from jangada.deployments.ledger import Entry, UsageLedger, Used
from jangada.errors import StoreUnavailableError
from jangada.executor.journal import Journal
from jangada.jobs.execution import Completion
from jangada.jobs.orders import parse

FLUSH_S = 5.0
IDLE_FLUSH_S = 60.0
"""The same while no attempt ends: idle executors write little."""
LOOK_S = 0.5
"""How often idle slots are counted."""

SAMPLES_PER_ENTRY = 8
MOST_UNWRITTEN = 1000
"""Entries that are kept while the store is away; the oldest go then."""

Key = tuple[str | None, str]


class Meter:
    """One executor's. `exchanged` may be called by any thread; a thread of its own writes."""

    def __init__(
        self,
        ledger: UsageLedger,
        *,
        queue: str,
        algorithm: str,
        algorithm_version: str,
        executor_id: str,
        deployment: str,
        owner: Callable[[str], str | None],
        idle_slots: Callable[[], int],
        journal: Journal,
        gpu_type: str | None = None,
        gpus: int = 1,
        clock: Clock = utc_now,
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._algorithm = algorithm
        self._version = algorithm_version
        self._executor_id = executor_id
        self._deployment = deployment
        self._owner = owner
        self._idle_slots = idle_slots
        self._journal = journal
        self._gpu_type = gpu_type
        self._gpus = gpus if gpu_type is not None else 0
        self._clock = clock
        self._sums: dict[Key, Used] = {}
        self._runs: dict[Key, list[float]] = {}
        self._idle_s = 0.0
        self._unwritten: list[Entry] = []
        self._numbers = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)

    def start(self) -> None:
        """Begin to count idle time and to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is left and end."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()

    def exchanged(self, completions: Iterable[Completion]) -> None:
        """Add attempts whose end is stored."""
        with self._lock:
            for done in completions:
                orders = done.orders or parse(done.lease.body)
                key = (done.lease.tenant_id, orders.deployment)
                used = used_by(done.metrics, gpus=self._gpus)
                self._sums[key] = self._sums.get(key, Used()).plus(used)
                runs = self._runs.setdefault(key, [])
                if used.run_s:
                    runs.append(used.run_s)
                    del runs[:-SAMPLES_PER_ENTRY]

    def idle(self, seconds: float) -> None:
        """Add the time that slots were ready and had nothing to do."""
        with self._lock:
            self._idle_s += seconds

    def flush(self) -> None:
        """Write what there is; what the store does not take now comes with the next time."""
        try:
            self._collect(self._owner(self._deployment) if self._idle_s else None)
            if self._unwritten:
                self._ledger.append(self._unwritten)
                self._unwritten = []
        except StoreUnavailableError as error:
            del self._unwritten[:-MOST_UNWRITTEN]
            self._journal.warning("usage.not_written", entries=len(self._unwritten), reason=error.detail)

    def _collect(self, owner: str | None) -> None:
        """Turn the sums into entries."""
        with self._lock:
            sums, runs, idle_s = self._sums, self._runs, self._idle_s
            self._sums, self._runs, self._idle_s = {}, {}, 0.0
        if idle_s:
            key = (owner, self._deployment)
            idle = Used(idle_s=idle_s, idle_gpu_s=idle_s * self._gpus)
            sums[key] = sums.get(key, Used()).plus(idle)
        for key, used in sums.items():
            self._numbers += 1
            self._unwritten.append(
                Entry(
                    id=f"{self._executor_id}/{self._numbers}",
                    at=self._clock(),
                    tenant_id=key[0],
                    deployment=key[1],
                    queue=self._queue,
                    algorithm=self._algorithm,
                    algorithm_version=self._version,
                    executor_id=self._executor_id,
                    used=used,
                    gpu_type=self._gpu_type,
                    runs_s=tuple(runs.get(key, ())),
                )
            )

    def _run(self) -> None:
        looked = flushed = time.monotonic()
        while not self._stopped.wait(LOOK_S):
            now = time.monotonic()
            self.idle(self._idle_slots() * (now - looked))
            looked = now
            if now - flushed >= (FLUSH_S if self._sums or self._unwritten else IDLE_FLUSH_S):
                self.flush()
                flushed = now
        self.idle(self._idle_slots() * (time.monotonic() - looked))


def used_by(metrics: Mapping[str, float | None], *, gpus: int) -> Used:
    """
    What one attempt used, by its metrics. A slot has its *gpus* for itself, so it uses them for as long as it runs.

    Of a batch each has its share: together its jobs take their slot no longer than it ran.
    """
    run_s = metrics.get("slot_s") or metrics.get("run_s") or 0.0
    measured = metrics.get("gpu_s")
    return Used(
        attempts=1,
        queue_s=metrics.get("queue_s") or 0.0,
        setup_s=metrics.get("setup_s") or 0.0,
        run_s=run_s,
        cpu_s=metrics.get("cpu_s") or 0.0,
        gpu_s=(run_s * gpus if measured is None else measured) if gpus else 0.0,
        peak_rss_bytes=metrics.get("peak_rss_bytes") or 0.0,
    )

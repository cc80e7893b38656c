"""
The ledger of what was used: entries are added, never changed, and go a day at a time when they are past keeping.

An entry sums up what one executor measured in a few seconds, for one tenant and one
deployment: of attempts how long they waited, were set up and ran, with the child's own
cpu-seconds and peak memory; or of slots that stood warm and idle. One tenant's entries
of a day added up are its bill.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Protocol

SAMPLES = 32
"""So many of the latest run times are kept of each queue, for the scaler."""


@dataclass(frozen=True, slots=True)
class Used:
    """Amounts that can be added up: seconds, but for the counts and the peak."""

    attempts: int = 0
    queue_s: float = 0.0
    setup_s: float = 0.0
    run_s: float = 0.0
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    idle_s: float = 0.0
    """Slots that were ready and had nothing to do."""
    idle_gpu_s: float = 0.0
    peak_rss_bytes: float = 0.0
    """The highest of any attempt."""

    def plus(self, other: Used) -> Used:
        """Both together."""
        sums = {one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)}
        sums["peak_rss_bytes"] = max(self.peak_rss_bytes, other.peak_rss_bytes)
        return replace(self, **sums)


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One line of the ledger. *id* is its writer's, so that writing it twice changes nothing.

    *tenant_id* is who is billed: of attempts the job's tenant, of idle time the owner
    of the deployment, None where it is shared. *gpu_type* None: no GPU.
    """

    id: str
    at: datetime
    tenant_id: str | None
    deployment: str
    queue: str
    algorithm: str
    algorithm_version: str
    executor_id: str
    used: Used
    gpu_type: str | None = None
    runs_s: tuple[float, ...] = ()
    """Some of the run times."""

    @property
    def day(self) -> str:
        """The day in UTC that it is counted to, as ``2026-01-31``."""
        return self.at.strftime("%Y-%m-%d")

    @property
    def key(self) -> UsageKey:
        """The line of the report that it belongs to."""
        return UsageKey(self.day, self.tenant_id, self.deployment, self.algorithm, self.gpu_type)


@dataclass(frozen=True, slots=True)
class UsageKey:
    """What a line of the usage report is about; *tenant_id* None: nobody's in particular."""

    day: str
    tenant_id: str | None
    deployment: str
    algorithm: str
    gpu_type: str | None


@dataclass(frozen=True, slots=True)
class Pulse:
    """What the scaler needs to know of a queue's past: attempts that ended, ever, and the latest run times."""

    attempts: int = 0
    runs_s: tuple[float, ...] = ()


def sum_up(lines: Iterable[tuple[UsageKey, Used]]) -> dict[UsageKey, Used]:
    """All *lines* of one key added up, in the order of day, tenant, deployment."""
    sums: dict[UsageKey, Used] = {}
    for key, used in lines:
        sums[key] = sums.get(key, Used()).plus(used)
    order = sorted(sums, key=lambda key: (key.day, key.tenant_id or "", key.deployment, key.gpu_type or ""))
    return {key: sums[key] for key in order}


def first_kept_day(at: datetime, keep_s: float) -> str:
    """The oldest day of which entries are kept at the instant *at*, where they are for *keep_s*."""
    return (at - timedelta(seconds=keep_s)).strftime("%Y-%m-%d")


class UsageLedger(Protocol):
    """
    Raises `StoreUnavailableError` when the server is away. `ledger_mongo.py` and `ledger_memory.py` implement it.

    One that is made with a time to keep entries for forgets those of older days: who
    writes the first entry of a day removes them.
    """

    def create_indexes(self) -> None:
        """Create what is read by. Idempotent."""
        ...

    def append(self, entries: Sequence[Entry]) -> None:
        """Add *entries*; those whose id is there already are left as they were."""
        ...

    def usage(
        self, first_day: str, last_day: str, *, tenant_id: str | None = None, deployment: str | None = None
    ) -> dict[UsageKey, Used]:
        """The sums of these days, both included, of one tenant and one deployment if given."""
        ...

    def pulse(self, queue: str) -> Pulse:
        """What ended in that queue."""
        ...

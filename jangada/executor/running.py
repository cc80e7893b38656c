"""What is known of a job while it is in a slot, how it may end, and who is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from jangada.algorithms.batching import Batching
from jangada.executor.capture import JobLog
from jangada.executor.messages import Done, Hello
from jangada.jobs.job import AttemptFailure
from jangada.jobs.orders import Orders
from jangada.jobs.queue import Lease


class StopReason(StrEnum):
    """Why the executor itself ends an attempt."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"
    DEADLINE = "deadline"
    LOST = "lost"
    MEMORY = "memory"


@dataclass(slots=True, eq=False)
class SlotJob:
    """One leased job on its way through a slot."""

    lease: Lease
    orders: Orders
    folder: str
    """Path of its work folder, which exists once somebody needs it."""
    files: dict[str, list[str | None]] | None = None
    uses_desk: bool = False
    """Its files are put in place by the file desk, on a thread that may outlive the job."""
    slot: int = 0
    claimed_cold: bool = False
    """Claimed as `starting`, because no child was ready."""
    is_prepared: bool = True
    """False while its files are being put in place: it waits in its slot."""
    number: int = 0
    """Its number within the child it was sent to; 0: not sent."""
    started: float | None = None
    started_ms: int | None = None
    stop: StopReason | None = None
    kill_at: float | None = None
    limit_s: float = 0.0
    """How long user code may run, from `started`: the job's own limit or its slot's, whichever is less."""
    arrived: float = 0.0
    """When its slot got it, by the monotonic clock."""
    alone: bool = False
    """Never to run together with others: it did, and that went wrong."""
    log: JobLog | None = None
    peak_bytes: int = 0
    metrics: dict[str, float | None] = field(default_factory=dict)

    @property
    def work_dir(self) -> Path:
        """Its work folder."""
        return Path(self.folder)


Ending = Done | AttemptFailure | StopReason
"""How an attempt ended: its output, its failure, or that we stopped it (cancel, lost)."""


@dataclass(frozen=True, slots=True)
class SlotLimits:
    """What a slot enforces. Seconds, bytes. *execution_timeout_s* bounds an attempt whose job allows more."""

    grace_s: float = 5.0
    memory_bytes: int | None = None
    recycle_after_jobs: int | None = None
    execution_timeout_s: float | None = None
    batching: Batching | None = None
    """How jobs are gathered to run together; None: one by one."""


class SlotObserver:
    """What a slot tells, called by whoever serves the pool; must not block. The base ignores everything."""

    def ready(self, slot: int, hello: Hello, cold: bool) -> None:
        """Its child can run jobs. *cold*: the first child of the slot, or one after a death."""

    def unavailable(self, slot: int, reason: str, said: list[str]) -> None:
        """Its child cannot be set up, having printed *said*; it will be tried again after a pause."""

    def starting(self, slot: int) -> None:
        """A child is being started."""

    def began(self, job: SlotJob) -> None:
        """User code of *job* starts now."""

    def batch_began(self, slot: int, jobs: int) -> None:
        """So many jobs were given to its child together."""

    def batch_broken_up(self, slot: int, jobs: int, reason: str) -> None:
        """A batch came to no good: those of it that have not ended run one by one, in a new child."""

    def ended(self, job: SlotJob, ending: Ending) -> None:
        """The attempt is over."""

    def progress(self, job: SlotJob, fraction: float, message: str | None) -> None:
        """The running job reported."""

    def line(self, job: SlotJob, stream: str, text: str) -> None:
        """The running job printed or logged a line."""

    def recycled(self, slot: int, reason: str) -> None:
        """An idle child is being replaced."""

"""
The queue: what is live about jobs — order, leases, attempts, progress, events.

One protocol, two implementations with one contract suite: `queue_redis.py` and
`queue_memory.py`. Every method names the queue it works on; a queue's keys share
one hash tag, so every call is atomic and works on Redis Cluster. Times are decided
by the queue's own clock (Redis TIME), never by the caller's.

Losing everything here loses no job: `sweep` rebuilds it from the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from jangada.jobs.job import Priority
from jangada.jobs.queue_view import JobEvent, LiveJob, QueueControl, QueueStats, WaitingJob

if TYPE_CHECKING:
    from jangada.jobs.bell_line import BellLine

__all__ = [
    "Admission",
    "CancelResult",
    "Claimed",
    "Finish",
    "JobEvent",
    "JobQueue",
    "Lease",
    "LeaseAction",
    "LeaseState",
    "LiveJob",
    "QueueControl",
    "QueueEntry",
    "QueueLimits",
    "QueueStats",
    "WaitingJob",
]


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """
    A job as the queue sees it. *body* is opaque to it (the executor's orders, JSON).

    Times in ms since 1970 or None; *not_before_ms* delays, *expires_ms* bounds the wait.
    """

    job_id: str
    tenant_id: str
    body: bytes
    priority: Priority = Priority.NORMAL
    weight: float = 1.0
    epoch: int = 0
    max_attempts: int = 3
    not_before_ms: int | None = None
    expires_ms: int | None = None
    deadline_ms: int | None = None
    """Bounds the waits after the first attempt, to which *expires_ms* no longer applies."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Caps checked atomically with the enqueue; None is no cap. Counted: unfinished jobs and their body bytes."""

    queue_jobs: int | None = 100_000
    queue_bytes: int | None = 512 * 1024 * 1024
    tenant_jobs: int | None = None
    tenant_bytes: int | None = None


class Admission(StrEnum):
    """What the queue said to one entry."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    """It already holds a job of that id at this epoch or a later one; nothing changed."""
    QUEUE_FULL = "queue_full"
    TENANT_FULL = "tenant_full"
    DRAINING = "draining"
    """The queue takes nothing new (`JobQueue.drain`)."""


class LeaseAction(StrEnum):
    """What the holder of a lease has to do with the job."""

    RUN = "run"
    SETTLE_EXPIRED = "settle_expired"
    """Its time in the queue passed: write `expired`. Between two attempts, its deadline: write `failed`."""
    SETTLE_LOST = "settle_lost"
    """Its attempts are used up by executors that vanished: write `failed: executor_lost`."""
    SETTLE_CANCELED = "settle_canceled"
    """Cancel was asked for and nobody runs it: write `canceled`."""


# Not frozen, as all that is made for every job on its way through an executor: that triples what making one costs.
@dataclass(slots=True)
class Lease:
    """The time-limited right of one executor to finish one attempt of one job."""

    queue: str
    job_id: str
    epoch: int
    attempt: int
    """Number of this attempt, from 1 (a settle action carries the next number: it too raises the fence)."""
    tenant_id: str
    body: bytes
    action: LeaseAction
    claimed_ms: int
    enqueued_ms: int
    history: tuple[dict[str, Any], ...] = ()
    """Attempts before this one: ``{"number", "outcome", "error", "executor_id", "ended_ms"}``."""


@dataclass(slots=True)  # not frozen: as Lease
class Finish:
    """Tell the queue that the attempt's outcome is stored: the job leaves it."""

    lease: Lease
    status: str
    """The final status, published as the job's last event."""
    event: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to `finish_and_claim`: per finish whether the lease was still held; new leases; when to look again."""

    finished: list[bool]
    leases: list[Lease]
    next_due_ms: int | None
    """Earliest instant at which a delayed job or an expiring lease could become claimable, if any."""
    now_ms: int = 0
    """The queue's clock at this call, to measure `next_due_ms` against."""


@dataclass(frozen=True, slots=True)
class BellClaim:
    """What to claim when the bell rings: one job to run at once. *token* as in `JobQueue.finish_and_claim`."""

    executor_id: str
    lease_s: float
    token: str


class LeaseState(StrEnum):
    """What became of a lease that its holder wants to renew."""

    HELD = "held"
    CANCEL = "cancel"
    """Held and renewed, but the job's cancel was asked for."""
    LOST = "lost"


class CancelResult(StrEnum):
    """What a cancel did."""

    TAKEN = "taken"
    """It waited; the caller now holds a SETTLE_CANCELED lease on it and writes the outcome."""
    SIGNALED = "signaled"
    """It runs; its executor is told at its next renewal (each 0.5 s while jobs run)."""
    UNKNOWN = "unknown"
    """Not in this queue."""


class JobQueue(Protocol):
    """The atomic moves. Every implementation raises `StoreUnavailableError` when its server is away."""

    def admit(self, queue: str, entries: Sequence[QueueEntry], limits: QueueLimits) -> list[Admission]:
        """
        Say what `enqueue_many` would say now, and change nothing.

        Asked before the store is written while jobs are being refused, so that
        overload costs no write; only `enqueue_many` decides.
        """
        ...

    def enqueue_many(
        self, queue: str, entries: Sequence[QueueEntry], limits: QueueLimits | None = None
    ) -> list[Admission]:
        """
        Add the entries that their caps allow, in one atomic call, and ring the bell. Idempotent by job id.

        An entry with a higher epoch than the one held replaces it (sweep after a loss).
        Without *limits* it is a job that was accepted before: no cap holds it up, nor a drain.
        """
        ...

    def finish_and_claim(
        self,
        queue: str,
        executor_id: str,
        *,
        finished: Sequence[Finish] = (),
        want: int = 0,
        settle: int = 32,
        lease_s: float = 15.0,
        running: bool = True,
        token: str | None = None,
        again: bool = False,
    ) -> Claimed:
        """
        In one atomic call: close *finished*, make due what is due (delayed jobs,
        expired leases, expired waits, ageing), then lease up to *want* jobs to run,
        in fair order, and up to *settle* jobs that only need their outcome written.

        *running* marks the claimed jobs `running` at once; False marks them
        `starting` (the child is still loading) until `start`.

        *token* makes the call repeatable: when its answer was lost, the executor
        calls with the same token and *again*, and gets the leases of the lost answer
        (renewed, even if they are more than *want*, which they count towards).
        Remembered for as long as the leases would have lasted, for the last call only.
        """
        ...

    def start(self, queue: str, leases: Sequence[Lease]) -> None:
        """Move claimed jobs from `starting` to `running` and say so as an event; stale leases change nothing."""
        ...

    def renew(self, queue: str, executor_id: str, leases: Sequence[Lease], lease_s: float = 15.0) -> list[LeaseState]:
        """Push the expiry of held leases; called each 0.5 s while jobs run, so it also brings cancels."""
        ...

    def retry(self, queue: str, lease: Lease, *, delay_s: float, attempt: dict[str, Any]) -> bool:
        """Put the job back for another attempt after *delay_s*, remembering *attempt* in its history. False: stale."""
        ...

    def release(self, queue: str, leases: Sequence[Lease]) -> list[bool]:
        """Hand jobs back at once, at the front of their band: the attempt does not count (its fence still grows)."""
        ...

    def cancel(self, queue: str, job_id: str, *, executor_id: str) -> tuple[CancelResult, Lease | None]:
        """Cancel: a waiting job is leased to the caller for settling, a running one is flagged."""
        ...

    def emit(self, queue: str, lease: Lease, events: Sequence[tuple[str, dict[str, Any]]]) -> bool:
        """
        Append events (progress, log, output) of a running attempt; progress also updates the live record.

        Streams are capped (oldest go first). False: the lease is stale and nothing was appended.
        """
        ...

    def events(
        self,
        queue: str,
        job_id: str,
        *,
        after: int = 0,
        block_s: float = 0.0,
        limit: int = 500,
        only_end: bool = False,
    ) -> list[JobEvent]:
        """
        Events with a number above *after*, waiting up to *block_s* for the first.

        *only_end*: the caller waits for the job's last event; what comes before may be left out.

        Kept a while after the end, for jobs that were listened to (by this very
        call) or that said more than their status. It does not wait for a job that
        the queue does not hold: whatever became of that one, the store knows.
        """
        ...

    def live(self, queue: str, job_ids: Sequence[str]) -> list[LiveJob | None]:
        """What is live about each job; None when the queue does not hold it."""
        ...

    def wait_for_bell(self, queue: str, timeout_s: float) -> bool:
        """Block until something may be claimable, at most *timeout_s*. A hint: a lost bell costs time, never a job."""
        ...

    def bell_line(self, queue: str) -> BellLine | None:
        """The same for a selector to watch; None where the queue has no socket that one can."""
        ...

    def ring(self, queue: str) -> None:
        """Wake one more waiter: whoever heard the bell has no use for it."""
        ...

    def bury(self, queue: str, job_ids: Sequence[str]) -> None:
        """Put ids of jobs that failed for good on the dead-letter list (capped, newest kept)."""
        ...

    def dead(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[tuple[str, int]]:
        """The dead letters, newest first: (job id, ms)."""
        ...

    def exhume(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        """Take ids off the dead-letter list."""
        ...

    def drop(self, queue: str, job_ids: Sequence[str]) -> None:
        """Forget jobs whatever they are doing (their record is gone or final): leases on them turn stale."""
        ...

    def holds(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        """Whether the queue knows each job: what `sweep` asks."""
        ...

    def stats(self, queue: str) -> QueueStats:
        """Depths, ages and counts."""
        ...

    def peek(self, queue: str, *, limit: int = 20) -> list[WaitingJob]:
        """The jobs that would be claimed next, in that order (ageing apart); changes nothing."""
        ...

    def control(self, queue: str) -> QueueControl:
        """How the queue is held up, if at all."""
        ...

    def pause(self, queue: str) -> QueueControl:
        """Hand out no jobs to run until `resume`; jobs are accepted, what runs goes on, outcomes are still settled."""
        ...

    def drain(self, queue: str) -> QueueControl:
        """Accept no new jobs until `resume`; what is there runs on and is retried as ever."""
        ...

    def resume(self, queue: str) -> QueueControl:
        """End a pause and a drain, and ring the bell. A rate limit stays."""
        ...

    def limit_rate(self, queue: str, per_s: float | None, *, burst: int | None = None) -> QueueControl:
        """
        Hand out at most *per_s* jobs a second, on average; None ends the limit.

        A token bucket by the queue's clock that holds *burst* jobs at most, by
        default what one second allows (at least one). Every claim to run counts,
        repeated attempts too. Raises `ValueError` unless *per_s* > 0 and *burst* ≥ 1.
        """
        ...

    def lock(self, name: str, ttl_s: float) -> bool:
        """Try to be the one process that does *name* for *ttl_s* (sweep). Not fair, not renewable."""
        ...

    def now_ms(self) -> int:
        """The queue's clock, in ms since 1970: what all who share the queue agree on, however wrong their own are."""
        ...

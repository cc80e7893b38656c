"""Service, executor and clock on memory implementations: what the unit tests of this folder share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jangada.clock import to_ms
from jangada.errors import StoreUnavailableError
from jangada.ids import new_id
from jangada.jobs.execution import JobExecution
from jangada.jobs.job import Job, JobStatus, Webhook
from jangada.jobs.queue import Lease, QueueLimits
from jangada.jobs.queue_memory import MemoryJobQueue
from jangada.jobs.service import JobService
from jangada.jobs.store_memory import MemoryJobStore
from tests.unit.jobs.life import turning_clock

QUEUE = "toy"
HOOK = Webhook("https://example.com/hook")


class Flaky:
    """
    Passes every call on to *inner*, but those named in `away` fail as if the server were away.

    Of those named in `deaf` the answer gets lost, once: they did what they do.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.away: set[str] = set()
        self.deaf: set[str] = set()
        self.calls: list[str] = []
        self.inserted: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if name in self.away:
                raise StoreUnavailableError("away", retry_after_s=2)
            if name == "insert_many":
                self.inserted += args[0]
            answer = method(*args, **kwargs)
            if name in self.deaf:
                self.deaf.discard(name)
                raise StoreUnavailableError("the answer got lost", retry_after_s=2)
            return answer

        return call


@dataclass
class Desk:
    limits: QueueLimits = field(default_factory=QueueLimits)

    def __post_init__(self) -> None:
        self.clock, self.turn, _ = turning_clock(datetime(2026, 1, 1, tzinfo=UTC))
        self.memory = MemoryJobQueue(now_ms=lambda: to_ms(self.clock()))
        self.queue: Any = Flaky(self.memory)
        self.store: Any = Flaky(MemoryJobStore())
        self.service = JobService(self.queue, self.store, clock=self.clock, limits=self.limits)
        self.told: list[tuple[str, str, JobStatus | None]] = []
        self.execution = self.executor("exe_1")

    def executor(self, executor_id: str) -> JobExecution:
        def notify(event: str, lease: Lease, status: JobStatus | None) -> None:
            self.told.append((event, lease.job_id, status))

        return JobExecution(
            self.queue, self.store, queue_name=QUEUE, executor_id=executor_id, clock=self.clock, notify=notify
        )

    def job(self, **changes: Any) -> Job:
        fields: dict[str, Any] = {
            "id": new_id("job"),
            "tenant_id": "acme",
            "algorithm": "toy",
            "algorithm_version": "1",
            "deployment": "toy",
            "queue": QUEUE,
            "input": {"n": 1},
            "created_at": self.clock(),
        }
        return Job(**(fields | changes))

    def submit(self, **changes: Any) -> Job:
        return self.service.submit(self.job(**changes))

    def get(self, job: Job) -> Job:
        return self.service.get(job.id, job.tenant_id)

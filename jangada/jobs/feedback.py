"""What people say of a job's output; read by whoever watches an algorithm's accuracy."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from jangada.jobs.job import JSON


@dataclass(frozen=True, slots=True)
class Feedback:
    """One person's word on one job. *algorithm* and its version are kept, since the job itself is purged one day."""

    id: str
    job_id: str
    tenant_id: str
    algorithm: str
    algorithm_version: str
    correct: bool | None
    label: JSON
    comment: str | None
    created_at: datetime


class FeedbackStore(Protocol):
    """Raises `StoreUnavailableError` when its server is away."""

    def add(self, feedback: Feedback) -> None:
        """Keep it."""
        ...

    def of_job(self, job_id: str, tenant_id: str) -> list[Feedback]:
        """Everything said of one job, oldest first."""
        ...


class MemoryFeedbackStore:
    """Implements `FeedbackStore` in this process' memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[Feedback] = []

    def add(self, feedback: Feedback) -> None:
        """See `FeedbackStore.add`."""
        with self._lock:
            self._kept.append(feedback)

    def of_job(self, job_id: str, tenant_id: str) -> list[Feedback]:
        """See `FeedbackStore.of_job`."""
        with self._lock:
            return [one for one in self._kept if one.job_id == job_id and one.tenant_id == tenant_id]

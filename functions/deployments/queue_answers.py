"""What the routes of queues read and answer."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from jangada.http.body import RequestModel

MOST_REQUEUED = 200


class RateLimit(BaseModel):
    """At most *per_s* jobs are handed out a second, *burst* at once after a quiet time."""

    per_s: float
    burst: int


class ReadyJobs(BaseModel):
    """Jobs that may be claimed, by the priority they wait in."""

    high: int
    normal: int
    low: int


class QueueObject(BaseModel):
    """A queue at a glance."""

    name: str
    object: Literal["queue"]
    algorithms: list[str] = Field(description="whose jobs wait here")
    paused: bool = Field(description="hands out no jobs")
    draining: bool = Field(description="takes no new jobs")
    rate_limit: RateLimit | None
    jobs: int = Field(description="all unfinished ones")
    ready: ReadyJobs
    delayed: int
    leased: int = Field(description="in the hands of executors")
    settling: int = Field(description="only their outcome is still to be written")
    dead: int = Field(description="failed for good, and not requeued")
    bytes: int
    oldest_s: float | None = Field(description="age of the job that waits longest")
    tenants: dict[str, int] = Field(description="unfinished jobs by tenant")


class QueuePage(BaseModel):
    """Queues, by name."""

    data: list[QueueObject]
    has_more: bool
    next_cursor: str | None


class WaitingJobObject(BaseModel):
    """A job that waits to be claimed."""

    id: str
    object: Literal["waiting_job"]
    tenant: str
    priority: Literal["high", "normal", "low"]
    age_s: float
    attempts: int


class WaitingJobs(BaseModel):
    """The jobs that are claimed next, in that order."""

    data: list[WaitingJobObject]


class DeadLetterObject(BaseModel):
    """A job that failed for good."""

    id: str
    object: Literal["dead_letter"]
    tenant: str
    algorithm: str
    algorithm_version: str | None
    attempts: int
    error: dict[str, Any] | None
    died_at: str


class DeadLetterList(BaseModel):
    """Dead letters, newest first."""

    data: list[DeadLetterObject]


class RequeuedJob(BaseModel):
    """What became of one dead letter."""

    id: str
    new_job: str | None = Field(description="the job that does the same again")
    error: str | None = Field(description="why there is none; the dead letter stays on the list")


class RequeuedJobs(BaseModel):
    """What became of each, oldest first."""

    data: list[RequeuedJob]
    has_more: bool = Field(description="there may be more; call again")


class RateRequest(RequestModel):
    """Body of ``PUT /v1/queues/{name}/rate``; `per_s` null ends the limit."""

    per_s: float | None = Field(gt=0, le=1_000_000)
    burst: int | None = Field(default=None, ge=1, le=1_000_000_000)


class RequeueRequest(RequestModel):
    """Body of ``POST /v1/queues/{name}/requeue``: *jobs*, else those that every given field fits; `{}` is all."""

    jobs: list[str] | None = Field(default=None, max_length=MOST_REQUEUED)
    tenant: str | None = Field(default=None, max_length=63)
    error_code: str | None = Field(default=None, max_length=63)
    algorithm_version: str | None = Field(default=None, max_length=63)
    older_than_s: float | None = Field(default=None, ge=0, le=1e9)
    newer_than_s: float | None = Field(default=None, ge=0, le=1e9)

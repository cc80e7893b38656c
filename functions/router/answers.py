"""What the routes answer, for the OpenAPI document; the answers themselves are made by hand, for speed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from jangada.http.openapi import Problem

from .requests import JobRequest

Status = Literal["queued", "starting", "running", "succeeded", "failed", "canceled", "expired"]


class FileReference(BaseModel):
    """A file, by its id."""

    file: str


class JobError(BaseModel):
    """Why a job did not succeed; never a stack trace."""

    code: Literal[
        "invalid_input",
        "algorithm_error",
        "timeout",
        "deadline",
        "oom",
        "gpu_oom",
        "executor_lost",
        "canceled",
        "dependency",
        "internal",
    ]
    message: str
    retryable: bool
    details: dict[str, Any]


class RanByObject(BaseModel):
    """
    What ran an attempt.

    The digest is there where the executor was told its image's, the model where its deployment names one.
    """

    algorithm_version: str
    image_digest: str | None = Field(examples=["sha256:5f0f…"])
    model: str | None = Field(examples=["invoice-types@production"])


class AttemptObject(BaseModel):
    """One try that was not the job's success."""

    number: int
    outcome: Literal["failed", "timed_out", "lost", "canceled", "died", "handed_back"]
    error: dict[str, Any] | None
    ended_at: str | None
    ran_by: RanByObject | None


class PolicyObject(BaseModel):
    """The limits in force, in seconds."""

    queue_ttl_s: float | None
    execution_timeout_s: float
    deadline_s: float | None
    max_attempts: int


class JobMetrics(BaseModel):
    """Where the time went, in seconds."""

    queue_s: float | None
    setup_s: float | None
    run_s: float | None
    cpu_s: float | None
    gpu_s: float | None
    peak_rss_bytes: float | None


class JobUrls(BaseModel):
    """Where the job and what belongs to it are found."""

    self: str
    events: str
    logs: str
    cancel: str


class JobObject(BaseModel):
    """A job. A final status never changes."""

    id: str = Field(examples=["job_01J9ZK5V7Q8E2R4T6Y8U0I2O4P"])
    object: Literal["job"]
    algorithm: str
    algorithm_version: str
    deployment: str
    model: dict[str, Any] | None
    status: Status
    status_detail: str | None
    progress: float | None = Field(description="0 to 1")
    priority: Literal["low", "normal", "high"]
    attempt: int
    attempts: list[AttemptObject]
    policy: PolicyObject
    input: Any = Field(default=None, description="null when it became a file")
    input_file: FileReference | None
    output: Any
    output_file: FileReference | None = Field(description="the output when it is over 256 KiB of JSON")
    error: JobError | None
    metadata: dict[str, Any]
    unique_key: str | None
    retry_of: str | None
    created_at: str
    run_at: str | None = Field(description="not to run before this instant")
    claimed_at: str | None
    started_at: str | None
    completed_at: str | None
    expires_at: str | None
    deadline_at: str | None
    ran_by: RanByObject | None = Field(description="what ran the attempt that decided the outcome")
    metrics: JobMetrics
    urls: JobUrls


class JobPage(BaseModel):
    """Jobs, newest first."""

    data: list[JobObject]
    has_more: bool
    next_cursor: str | None


class JobBatch(BaseModel):
    """Jobs to submit in one call, at most 10,000; as NDJSON one in each line."""

    model_config = {"json_schema_extra": {"type": "array"}}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        """An array of `JobRequest`."""
        del core_schema
        item = handler(JobRequest.__pydantic_core_schema__)
        return {"type": "array", "items": item, "minItems": 1, "maxItems": 10_000, "description": cls.__doc__}


class BatchJob(BaseModel):
    """An accepted job, without what was just sent."""

    id: str
    object: Literal["job"]
    algorithm: str
    deployment: str
    status: Status
    metadata: dict[str, Any]
    created_at: str
    urls: JobUrls


class BatchOutcome(BaseModel):
    """What became of one item: `job`, or `error`."""

    index: int
    status: int = Field(description="202, or the status that it would have got by itself")
    job: BatchJob | None = None
    error: Problem | None = None


class BatchResult(BaseModel):
    """The items' outcomes, in the order of the items."""

    object: Literal["list"]
    accepted: int
    refused: int
    data: list[BatchOutcome]


class LogLineObject(BaseModel):
    """One line that the job printed or logged."""

    number: int
    attempt: int
    stream: str
    text: str
    at: str


class LogPage(BaseModel):
    """Lines in order; ask on with `after` the last number."""

    data: list[LogLineObject]
    has_more: bool


class FeedbackObject(BaseModel):
    """Feedback as it was kept."""

    id: str
    job_id: str
    correct: bool | None
    label: Any
    comment: str | None
    created_at: str


class DeliveryAttemptObject(BaseModel):
    """One sending."""

    at: str
    duration_ms: int
    status: int | None
    error: str | None


class DeliveryObject(BaseModel):
    """One event of one job on its way to one URL."""

    id: str
    object: Literal["webhook_delivery"]
    job_id: str
    event: Literal["started", "output", "logs", "completed"]
    type: str
    url: str
    format: Literal["standard", "cloudevents"]
    state: Literal["pending", "delivered", "failed"]
    attempts: list[DeliveryAttemptObject]
    next_at: str | None
    created_at: str


class DeliveryPage(BaseModel):
    """Deliveries, newest first."""

    data: list[DeliveryObject]
    has_more: bool
    next_cursor: str | None


class SecretObject(BaseModel):
    """The secret that signs this tenant's webhooks; during a rotation the previous one signs too."""

    secret: str = Field(examples=["whsec_…"])
    created_at: str
    previous: str | None
    previous_until: str | None

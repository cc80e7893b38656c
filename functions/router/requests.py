"""What the routes read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import AwareDatetime, BeforeValidator, Field, field_validator

from jangada.http.body import RequestModel

MAX_METADATA_BYTES = 16 * 1024
MAX_LABEL_BYTES = 256 * 1024
_YEAR_S = 366 * 86_400.0


def _text(value: Any) -> Any:
    """Instants are written as text: a bare number could be seconds or milliseconds."""
    if not isinstance(value, str):
        raise ValueError("expected an instant as RFC 3339 writes it, as 2026-01-31T12:00:00Z")
    return value


Seconds = Annotated[float, Field(gt=0, le=_YEAR_S)]
Instant = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_text)]
AlgorithmName = Annotated[str, Field(min_length=1, max_length=63, examples=["doc-metadata"])]


class PolicyRequest(RequestModel):
    """The limits of one job, in seconds; what is left out comes from the algorithm."""

    queue_ttl_s: Seconds | None = Field(default=None, description="`expired` when it does not run by then")
    execution_timeout_s: Seconds | None = Field(default=None, description="of each attempt; at most the algorithm's")
    deadline_s: Seconds | None = Field(default=None, description="from acceptance to the end")
    max_attempts: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="at most the algorithm's"
    )


class WebhookRequest(RequestModel):
    """Where to tell of the job. `completed` is always sent."""

    url: Annotated[str, Field(min_length=1, max_length=2048, examples=["https://app.example.com/hooks"])]
    events: Annotated[list[Literal["started", "output", "logs", "completed"]], Field(max_length=4)] = Field(
        default_factory=lambda: ["completed"]  # type: ignore[arg-type]  # a list of one literal
    )
    format: Literal["standard", "cloudevents"] = "standard"


class UniqueRequest(RequestModel):
    """At most one job with this key, of the tenant and the algorithm."""

    key: Annotated[str, Field(min_length=1, max_length=255, examples=["invoice A-17"])]
    for_s: Seconds | None = Field(
        default=None, description="so long from acceptance, whatever becomes of the job; else until it has ended"
    )
    on_duplicate: Literal["return", "refuse"] = Field(
        default="return", description="a second submit gets the first job, or 409 `duplicate_job`"
    )


class DeploymentJobRequest(RequestModel):
    """One job to submit to a deployment, which knows its algorithm."""

    input: Any = Field(default=None, description="as the algorithm's `input_schema` says")
    affinity: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None, description="while a canary runs, jobs of one affinity go to the same version"
    )
    priority: Literal["low", "normal", "high"] = "normal"
    policy: PolicyRequest = Field(default_factory=PolicyRequest)
    run_at: Instant | None = Field(
        default=None, description="not before this instant (RFC 3339); at most a year ahead, and one in the past is now"
    )
    delay_s: Seconds | None = Field(default=None, description="the same, from acceptance; not beside `run_at`")
    unique: UniqueRequest | None = None
    webhook: WebhookRequest | None = None
    metadata: dict[str, Any] = Field(default_factory=dict, description="yours, at most 16 KiB of JSON; kept as it is")

    @field_validator("metadata")
    @classmethod
    def _metadata_is_small(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        if metadata:
            size = len(orjson.dumps(metadata))
            if size > MAX_METADATA_BYTES:
                raise ValueError(f"has {size} bytes of JSON, at most {MAX_METADATA_BYTES} are kept")
            if len(metadata) > 64:
                raise ValueError(f"has {len(metadata)} keys, at most 64 are kept")
            if any(not key or "\0" in key or len(key) > 128 for key in metadata):
                raise ValueError("keys have 1 to 128 characters and no NUL")
        return metadata


class JobRequest(DeploymentJobRequest):
    """One job to submit."""

    algorithm: AlgorithmName
    deployment: AlgorithmName | None = Field(
        default=None, description="your tenant's default for the algorithm unless given, else the shared one"
    )


class FeedbackRequest(RequestModel):
    """What a person says of an output."""

    correct: bool | None = None
    label: Any = Field(default=None, description="what the output should have been")
    comment: Annotated[str, Field(max_length=4000)] | None = None

    @field_validator("label")
    @classmethod
    def _label_is_small(cls, label: Any) -> Any:
        size = len(orjson.dumps(label))
        if size > MAX_LABEL_BYTES:
            raise ValueError(f"has {size} bytes of JSON, at most {MAX_LABEL_BYTES} are kept")
        return label

"""What the routes answer, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .plan_requests import PlanRequest
from .wishes import Wish


class AlgorithmLimits(BaseModel):
    """What one attempt may use."""

    execution_timeout_s: float
    memory_mib: int | None
    grace_s: float
    max_attempts: int


class AlgorithmObject(BaseModel):
    """An algorithm as its newest executor described it."""

    name: str
    object: Literal["algorithm"]
    version: str
    description: str
    device: Literal["cpu", "gpu", "cpu+gpu"]
    limits: AlgorithmLimits
    input_schema: dict[str, Any] = Field(description="JSON Schema draft 2020-12")
    output_schema: dict[str, Any] = Field(description="JSON Schema draft 2020-12")
    default_deployment: str
    updated_at: str


class AlgorithmPage(BaseModel):
    """Algorithms, by name."""

    data: list[AlgorithmObject]
    has_more: bool
    next_cursor: str | None


class LastStart(BaseModel):
    """What the latest start of a replica took, in seconds."""

    total_s: float
    phases_s: dict[str, float]


class LaneObject(BaseModel):
    """One version of a deployment at work."""

    track: Literal["stable", "canary"]
    algorithm_version: str | None
    state: Literal["idle", "starting", "ready", "waiting", "paused"] = Field(
        description="`waiting`: something is wanted that no node could start yet"
    )
    wanted: int = Field(description="replicas to have")
    reason: str | None = Field(description="why so many", examples=["first_job", "backlog", "idle"])
    since: str | None
    ready: int
    starting: int
    draining: int
    queued: int = Field(description="jobs that wait")
    running: int
    backlog_s: float = Field(description="seconds of work that wait")
    last_start: LastStart | None
    problem: str | None = Field(description="why there is nobody to run it", examples=["no node offers gpu ≥ 24 GiB"])


class DeploymentStatus(BaseModel):
    """How far the wish is fulfilled."""

    state: Literal["idle", "starting", "ready", "waiting", "paused"]
    lanes: list[LaneObject]


class DeploymentUrls(BaseModel):
    """Where it and its jobs are found."""

    self: str
    jobs: str


class DeploymentObject(Wish):
    """A deployment: the wish, and how far it is fulfilled."""

    model_config = ConfigDict(extra="ignore")

    name: str
    object: Literal["deployment"]
    algorithm: str
    algorithm_version: str = Field(description="the newest that is known, where none was wished")
    device: Literal["cpu", "gpu", "cpu+gpu"]
    tenant: str | None = Field(description="whose alone it is; null: shared by all")
    is_default: bool = Field(description="jobs for the algorithm come here unless they name another")
    previous_version: str | None = Field(description="what a rollback goes back to")
    generation: int = Field(description="grows with each change; 0: nobody asked for it, each algorithm has it")
    status: DeploymentStatus
    urls: DeploymentUrls
    created_at: str
    updated_at: str


class DeploymentPage(BaseModel):
    """Deployments, by name."""

    data: list[DeploymentObject]
    has_more: bool
    next_cursor: str | None


class PlanObject(PlanRequest):
    """What the tenants that are bound to it may wish for."""

    model_config = ConfigDict(extra="ignore")

    name: str
    object: Literal["plan"]


class PlanList(BaseModel):
    """Plans, by name."""

    data: list[PlanObject]

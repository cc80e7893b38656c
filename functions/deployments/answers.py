"""What the routes answer, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


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


class DeploymentObject(BaseModel):
    """Where jobs of an algorithm go. Each algorithm has one default deployment, of its own name."""

    name: str
    object: Literal["deployment"]
    algorithm: str
    algorithm_version: str
    device: Literal["cpu", "gpu", "cpu+gpu"]
    is_default: bool
    updated_at: str


class DeploymentPage(BaseModel):
    """Deployments, by name."""

    data: list[DeploymentObject]
    has_more: bool
    next_cursor: str | None

"""What the route of usage answers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class UsageLine(BaseModel):
    """What was used on one day by one tenant of one deployment."""

    day: str = Field(examples=["2026-01-31"], description="in UTC")
    tenant: str | None = Field(description="null: nobody's, as the idle time of shared deployments")
    deployment: str
    algorithm: str
    gpu_type: str | None
    attempts: int
    queue_s: float
    setup_s: float
    run_s: float
    cpu_s: float = Field(description="of the child and its processes")
    gpu_s: float
    idle_s: float = Field(description="slots that were ready and had nothing to do")
    idle_gpu_s: float
    peak_rss_bytes: float = Field(description="the highest of any attempt")
    cost: float | None = Field(
        description="by the deployment's present prices: cpu and idle seconds, gpu and idle gpu seconds; "
        "null for one that is gone"
    )


class UsageReport(BaseModel):
    """What was used, by day, tenant and deployment."""

    object: Literal["usage"]
    first_day: str
    last_day: str
    data: list[UsageLine]

"""What the routes of plans read."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from jangada.http.body import RequestModel

Limit = Annotated[int, Field(ge=0, le=2**40)]


class PlanRequest(RequestModel):
    """Body of ``PUT /v1/plans/{name}``: limits on all deployments of one tenant together; null is no limit."""

    tenants: Annotated[list[Annotated[str, Field(min_length=1, max_length=63)]], Field(max_length=10_000)] = Field(
        default=[], description="bound to this plan, and to no other from now on"
    )
    max_deployments: Limit | None = None
    max_replicas: Limit | None = Field(default=None, description="sum of `scaling.max`")
    max_cpu_millicores: Limit | None = Field(default=None, description="at the maximum of replicas")
    max_memory_mib: Limit | None = Field(default=None, description="at the maximum of replicas")
    max_gpus: Limit | None = Field(default=None, description="at the maximum of replicas")
    allows_online: bool = Field(default=True, description="whether replicas may be kept while nothing is asked")

"""Plans: what the tenants that are bound to one may wish for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from jangada.deployments.deployment import Deployment, Mode
from jangada.errors import PlanExceededError


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Limits on all deployments of one tenant together, at their maximum of replicas; None is no limit.

    *tenants* are those it is bound to; a tenant is bound to one plan at most.
    """

    name: str
    tenants: tuple[str, ...] = ()
    max_deployments: int | None = None
    max_replicas: int | None = None
    max_cpu_millicores: int | None = None
    max_memory_mib: int | None = None
    max_gpus: int | None = None
    allows_online: bool = True
    """Whether replicas may be kept while nothing is asked: mode online, a minimum, a buffer, warm windows."""


def plan_of(tenant_id: str, plans: Iterable[Plan]) -> Plan | None:
    """The plan that the tenant is bound to."""
    return next((plan for plan in plans if tenant_id in plan.tenants), None)


def without(tenants: Iterable[str], plans: Iterable[Plan]) -> list[Plan]:
    """Those of *plans* that bind any of *tenants*, binding them no more."""
    leaving = set(tenants)
    return [
        replace(plan, tenants=tuple(one for one in plan.tenants if one not in leaving))
        for plan in plans
        if leaving.intersection(plan.tenants)
    ]


def require_within(plan: Plan | None, tenant_id: str, wished: Deployment, others: Iterable[Deployment]) -> None:
    """
    Raise `PlanExceededError`, naming the limit, unless *wished* beside the tenant's *others* is within *plan*.

    A tenant without a plan may wish for nothing of its own: capacity costs money.
    """
    if plan is None:
        raise PlanExceededError(
            f"tenant {tenant_id} has no plan, and so no deployments of its own; an administrator binds one",
            extra={"limit": {"name": "deployments", "value": 0}},
        )
    mine = [wished, *others]
    limits = (
        ("deployments", "deployments", plan.max_deployments, len(mine)),
        ("replicas", "replicas", plan.max_replicas, sum(one.scaling.maximum for one in mine)),
        ("cpu_millicores", "thousandths of a core", plan.max_cpu_millicores, _sum(mine, "cpu_millicores")),
        ("memory_mib", "MiB of memory", plan.max_memory_mib, _sum(mine, "memory_mib")),
        ("gpus", "GPUs", plan.max_gpus, _gpus(mine)),
    )
    for name, unit, limit, asked in limits:
        if limit is not None and asked > limit:
            raise PlanExceededError(
                f"plan {plan.name} allows {limit} {unit} in all, this would make {asked}",
                extra={"limit": {"name": name, "value": limit, "asked": asked}},
            )
    if not plan.allows_online and _keeps_warm(wished):
        raise PlanExceededError(
            f"plan {plan.name} allows no replicas while nothing is asked: expected mode on-demand, "
            "and neither scaling.min, scaling.buffer nor warm windows",
            extra={"limit": {"name": "online", "value": False}},
        )


def _sum(mine: Iterable[Deployment], what: str) -> int:
    return sum(one.scaling.maximum * int(getattr(one.resources, what)) for one in mine)


def _gpus(mine: Iterable[Deployment]) -> int:
    return sum(one.scaling.maximum * (one.resources.gpu.count if one.resources.gpu else 0) for one in mine)


def _keeps_warm(one: Deployment) -> bool:
    return bool(one.mode is Mode.ONLINE or one.scaling.minimum or one.scaling.buffer or one.warm)

"""What is read and shown of a deployment: the same fields, so that what was shown can be changed and sent back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from jangada.algorithms.batching import LONGEST_WAIT_MS, MOST_TOGETHER
from jangada.deployments.deployment import (
    Batching,
    Canary,
    Deployment,
    GpuNeed,
    Mode,
    Placement,
    Prices,
    Resources,
    Timeouts,
    WarmWindow,
)
from jangada.deployments.scaling import ScalingPolicy, Signal
from jangada.http.body import RequestModel

_YEAR_S = 366 * 86_400.0
_NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_VERSION = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)([-+][0-9A-Za-z.+-]+)?$"

Name = Annotated[str, Field(pattern=_NAME, max_length=63)]
Version = Annotated[str, Field(pattern=_VERSION, max_length=63)]
Seconds = Annotated[float, Field(gt=0, le=_YEAR_S)]
Count = Annotated[int, Field(ge=0, le=10_000)]
Text = Annotated[str, Field(min_length=1, max_length=128)]


class Scaling(RequestModel):
    """How many replicas, by seconds of work that wait. Times in seconds."""

    min: Annotated[int, Field(ge=0, le=1000)] = Field(default=0, description="1 unless given with mode `online`")
    max: Annotated[int, Field(ge=1, le=1000)] = 1
    buffer: Annotated[int, Field(ge=0, le=1000)] = Field(default=0, description="kept free while anything works")
    signal: Literal["backlog", "queue_length"] = "backlog"
    target_s: Seconds = Field(default=10.0, description="so long each job may wait")
    target_jobs: Annotated[float, Field(gt=0, le=1e6)] = Field(
        default=1.0, description="unfinished jobs per replica, for the signal `queue_length`"
    )
    idle_s: Annotated[float, Field(ge=0, le=_YEAR_S)] = Field(
        default=300.0, description="the last replica goes after so long without a job"
    )
    cooldown_s: Annotated[float, Field(ge=0, le=_YEAR_S)] | None = None
    step: Annotated[int, Field(ge=1, le=1000)] | None = None
    uses_forecast: bool = False


class Window(RequestModel):
    """At least `replicas` for `duration_s` from each instant that `cron` names in `timezone`."""

    cron: Annotated[str, Field(min_length=1, max_length=128, examples=["0 8 * * 1-5"])]
    duration_s: Seconds
    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    timezone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"


class Gpu(RequestModel):
    """GPUs of one node, for one replica."""

    count: Annotated[int, Field(ge=1, le=64)] = 1
    min_memory_mib: Annotated[int, Field(ge=0, le=2**24)] = 0
    type_any_of: Annotated[list[Text], Field(max_length=16)] = Field(
        default=[], description="a part of the driver's name of it will do"
    )


class Needs(RequestModel):
    """What one replica takes of its node."""

    cpu_millicores: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    memory_mib: Annotated[int, Field(ge=16, le=2**24)] = 512
    gpu: Gpu | None = None


class Place(RequestModel):
    """Which nodes may run it."""

    labels: Annotated[dict[Text, Annotated[str, Field(max_length=128)]], Field(max_length=32)] = Field(default={})
    trust: Literal["trusted", "any"] = "trusted"


class Batches(RequestModel):
    """Jobs that are given to `run_batch` together."""

    max_batch: Annotated[int, Field(ge=1, le=MOST_TOGETHER)] = Field(default=1, description="1 is no batching")
    max_wait_ms: Annotated[int, Field(ge=0, le=LONGEST_WAIT_MS)] = Field(
        default=0, description="waited for a batch to fill"
    )
    adaptive: bool = Field(default=False, description="both are upper bounds; what is used follows what was measured")


class Limits(RequestModel):
    """Seconds."""

    execution_s: Seconds | None = Field(default=None, description="of each attempt; at most the algorithm's")
    start_s: Seconds = 300.0
    drain_s: Annotated[float, Field(ge=0, le=86_400)] = Field(
        default=30.0, description="what running jobs get when their replica goes"
    )


class Price(RequestModel):
    """For the usage report, in whatever currency you count."""

    cpu_s: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    gpu_s: Annotated[float, Field(ge=0, le=1e9)] = 0.0


class CanaryWish(RequestModel):
    """Another version for a share of the jobs; jobs of one `affinity` go to the same."""

    algorithm_version: Version
    share: Annotated[float, Field(gt=0, le=1)]


class Wish(RequestModel):
    """The changeable part of a deployment."""

    algorithm_version: Version | None = Field(default=None, description="whatever version a node has, unless given")
    model: Text | None = Field(default=None, description="name@alias")
    mode: Literal["online", "on-demand"] = "on-demand"
    scaling: Scaling = Scaling()
    warm: Annotated[list[Window], Field(max_length=16)] = Field(default=[])
    resources: Needs = Needs()
    placement: Place = Place()
    batching: Batches | None = Field(default=None, description="as the algorithm has it, unless given")
    timeouts: Limits = Limits()
    prices: Price = Price()
    canary: CanaryWish | None = None
    default: bool = Field(default=False, description="the tenant's jobs for the algorithm come here unless they say")
    paused: bool = Field(default=False, description="no replicas; jobs are accepted and wait")


class NewDeployment(Wish):
    """Body of ``POST /v1/deployments``."""

    name: Name
    algorithm: Name
    tenant: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="whose alone it is: your own unless given; `*` is shared by all, for administrators"
    )


def wished(wish: Wish, base: Deployment) -> Deployment:
    """*base* with what *wish* says."""
    scaling = wish.scaling
    least = 1 if wish.mode == "online" and "min" not in scaling.model_fields_set else scaling.min
    gpu = wish.resources.gpu
    return Deployment(
        name=base.name,
        algorithm=base.algorithm,
        queue=base.queue,
        created_at=base.created_at,
        updated_at=base.updated_at,
        tenant_id=base.tenant_id,
        algorithm_version=wish.algorithm_version,
        model=wish.model,
        mode=Mode(wish.mode),
        scaling=ScalingPolicy(
            minimum=least,
            maximum=scaling.max,
            buffer=scaling.buffer,
            signal=Signal(scaling.signal),
            target_s=scaling.target_s,
            target_jobs=scaling.target_jobs,
            idle_s=scaling.idle_s,
            cooldown_s=scaling.cooldown_s,
            step=scaling.step,
            uses_forecast=scaling.uses_forecast,
        ),
        warm=tuple(WarmWindow(one.cron, one.duration_s, one.replicas, one.timezone) for one in wish.warm),
        resources=Resources(
            wish.resources.cpu_millicores,
            wish.resources.memory_mib,
            None if gpu is None else GpuNeed(gpu.count, gpu.min_memory_mib, tuple(gpu.type_any_of)),
        ),
        placement=Placement(wish.placement.labels, wish.placement.trust == "any"),
        batching=None
        if wish.batching is None
        else Batching(wish.batching.max_batch, wish.batching.max_wait_ms, wish.batching.adaptive),
        timeouts=Timeouts(wish.timeouts.execution_s, wish.timeouts.start_s, wish.timeouts.drain_s),
        prices=Prices(wish.prices.cpu_s, wish.prices.gpu_s),
        canary=None if wish.canary is None else Canary(wish.canary.algorithm_version, wish.canary.share),
        previous_version=base.previous_version,
        is_default=wish.default,
        is_paused=wish.paused,
        is_implicit=base.is_implicit,
        generation=base.generation,
        rollout=base.rollout,
        rolled_at=base.rolled_at,
    )


def blank(body: NewDeployment, tenant_id: str | None, now: datetime) -> Deployment:
    """What *body* is laid over."""
    return Deployment(body.name, body.algorithm, "", now, now, tenant_id=tenant_id)


def shown(one: Deployment) -> dict[str, Any]:
    """The changeable part of *one*, as `Wish` reads it."""
    scaling, canary, gpu = one.scaling, one.canary, one.resources.gpu
    return {
        "algorithm_version": one.algorithm_version,
        "model": one.model,
        "mode": one.mode.value,
        "scaling": {
            "min": scaling.minimum,
            "max": scaling.maximum,
            "buffer": scaling.buffer,
            "signal": scaling.signal.value,
            "target_s": scaling.target_s,
            "target_jobs": scaling.target_jobs,
            "idle_s": scaling.idle_s,
            "cooldown_s": scaling.cooldown_s,
            "step": scaling.step,
            "uses_forecast": scaling.uses_forecast,
        },
        "warm": [
            {"cron": w.cron, "duration_s": w.duration_s, "replicas": w.replicas, "timezone": w.timezone}
            for w in one.warm
        ],
        "resources": {
            "cpu_millicores": one.resources.cpu_millicores,
            "memory_mib": one.resources.memory_mib,
            "gpu": gpu
            and {
                "count": gpu.count,
                "min_memory_mib": gpu.min_memory_mib,
                "type_any_of": list(gpu.type_any_of),
            },
        },
        "placement": {
            "labels": dict(one.placement.labels),
            "trust": "any" if one.placement.allows_untrusted else "trusted",
        },
        "batching": one.batching
        and {
            "max_batch": one.batching.max_batch,
            "max_wait_ms": one.batching.max_wait_ms,
            "adaptive": one.batching.is_adaptive,
        },
        "timeouts": {
            "execution_s": one.timeouts.execution_s,
            "start_s": one.timeouts.start_s,
            "drain_s": one.timeouts.drain_s,
        },
        "prices": {"cpu_s": one.prices.cpu_s, "gpu_s": one.prices.gpu_s},
        "canary": None
        if canary is None or not canary.share
        else {"algorithm_version": canary.algorithm_version, "share": canary.share},
        "default": one.is_default,
        "paused": one.is_paused,
    }


def merged(known: Any, patch: Any) -> Any:
    """*patch* laid over *known* by the rules of a JSON merge patch (RFC 7396): null is what it is when left out."""
    if not isinstance(patch, dict):
        return patch
    result = dict(known) if isinstance(known, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result

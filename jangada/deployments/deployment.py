"""
The record of a deployment: the wish that this algorithm version is there for these callers, so and so much of it.

Pure: no I/O, no clock of its own. What a record may hold is checked in `rules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from jangada.algorithms.batching import Batching
from jangada.deployments.queues import CANARY_SUFFIX
from jangada.deployments.scaling import ScalingPolicy


class Mode(StrEnum):
    """Whether anything is there while nothing is asked."""

    ONLINE = "online"
    """At least one replica, always."""
    ON_DEMAND = "on-demand"
    """None until the first job comes, and none again after the idle time."""


class Trust(StrEnum):
    """Who runs a machine."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"


class Track(StrEnum):
    """The two versions that a deployment may have beside each other."""

    STABLE = "stable"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class WarmWindow:
    """From each instant that *cron* names, for *duration_s*, at least *replicas* are there; in *timezone*."""

    cron: str
    duration_s: float
    replicas: int = 1
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class GpuNeed:
    """*count* GPUs of one node, each of at least *min_memory_mib* and of one of the types; no type named: of any."""

    count: int = 1
    min_memory_mib: int = 0
    type_any_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resources:
    """What one replica takes of a node. Thousandths of a core, MiB."""

    cpu_millicores: int = 1000
    memory_mib: int = 512
    gpu: GpuNeed | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Which nodes may run it: those that have all *labels*; untrusted ones only when *allows_untrusted*."""

    labels: Mapping[str, str] = field(default_factory=dict)
    allows_untrusted: bool = False


@dataclass(frozen=True, slots=True)
class Timeouts:
    """
    Seconds. *execution_s* bounds each attempt, None leaves it to the algorithm; *start_s* a replica's start;
    *drain_s* what running jobs get when a replica goes.
    """

    execution_s: float | None = None
    start_s: float = 300.0
    drain_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Prices:
    """For the usage report, in whatever currency the operator counts."""

    cpu_s: float = 0.0
    gpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Canary:
    """
    Another algorithm version that gets *share* (0 to 1) of the jobs, chosen by their key.

    One that ends stays, with share 0 and the stable version, until its queue is empty.
    """

    algorithm_version: str | None
    share: float
    rollout: int = 1
    rolled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """
    One version of a deployment at work: what replicas are counted, scaled and claimed by.

    *rollout* grows when replicas have to be replaced by ones that are started anew, last
    at *rolled_at*; *algorithm_version* None is whatever version a node has.
    """

    name: str
    deployment: str
    track: Track
    queue: str
    algorithm: str
    algorithm_version: str | None
    rollout: int
    rolled_at: datetime


@dataclass(frozen=True, slots=True)
class Deployment:
    """
    One wish. *tenant_id* None: shared by all tenants. *algorithm_version* None: whatever version a node has.

    *generation* grows with every change, *rollout* with those that replace the
    replicas. *is_default*: its tenant's jobs for the algorithm come here unless they
    name another. *previous_version* is what a rollback goes back to. *is_implicit*:
    nobody asked for it; it is the shared one that each algorithm has.
    """

    name: str
    algorithm: str
    queue: str
    created_at: datetime
    updated_at: datetime
    tenant_id: str | None = None
    algorithm_version: str | None = None
    model: str | None = None
    mode: Mode = Mode.ON_DEMAND
    scaling: ScalingPolicy = field(default_factory=ScalingPolicy)
    warm: tuple[WarmWindow, ...] = ()
    resources: Resources = field(default_factory=Resources)
    placement: Placement = field(default_factory=Placement)
    batching: Batching | None = None
    """None: as the algorithm has it."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    prices: Prices = field(default_factory=Prices)
    canary: Canary | None = None
    previous_version: str | None = None
    is_default: bool = False
    is_paused: bool = False
    is_implicit: bool = False
    generation: int = 1
    rollout: int = 1
    rolled_at: datetime | None = None

    @property
    def stable(self) -> Lane:
        """The lane of the version itself."""
        return Lane(
            name=self.name,
            deployment=self.name,
            track=Track.STABLE,
            queue=self.queue,
            algorithm=self.algorithm,
            algorithm_version=self.algorithm_version,
            rollout=self.rollout,
            rolled_at=self.rolled_at or self.created_at,
        )

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The stable lane, and the canary's when there is one."""
        if self.canary is None:
            return (self.stable,)
        canary = replace(
            self.stable,
            name=self.name + CANARY_SUFFIX,
            track=Track.CANARY,
            queue=self.queue + CANARY_SUFFIX,
            algorithm_version=self.canary.algorithm_version,
            rollout=self.canary.rollout,
            rolled_at=self.canary.rolled_at or self.created_at,
        )
        return (self.stable, canary)

    def serves(self, tenant_id: str) -> bool:
        """Whether that tenant's jobs may come here."""
        return self.tenant_id is None or self.tenant_id == tenant_id


_ADAPTER = TypeAdapter(Deployment)


def to_json(deployment: Deployment) -> dict[str, Any]:
    """The record as JSON values; `from_json` reads it."""
    values: dict[str, Any] = _ADAPTER.dump_python(deployment, mode="json")
    return values


def from_json(values: Mapping[str, Any]) -> Deployment:
    """What `to_json` wrote. Fields that this version does not know are left out."""
    return _ADAPTER.validate_python(dict(values))

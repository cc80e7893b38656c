"""The record of a node: a machine that runs replicas, as its agent describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from jangada.deployments.deployment import Trust
from jangada.deployments.gpu import Gpu

HEARTBEAT_S = 3.0
"""How often an agent says that its node, and what runs there, is alive."""
NODE_LEASE_S = 6.0
"""How long that holds. Compared by the clocks of the machines: they are to agree within a second."""
FORGOTTEN_AFTER = timedelta(days=1)
"""How long a node that is not heard of is still shown."""


__all__ = ["FORGOTTEN_AFTER", "HEARTBEAT_S", "NODE_LEASE_S", "Engine", "Gpu", "Node"]


class Engine(StrEnum):
    """How a node runs a replica."""

    PROCESS = "process"
    DOCKER = "docker"


@dataclass(frozen=True, slots=True)
class Node:
    """
    A machine and what it offers to replicas in all. It is alive until *lease_until*.

    *algorithms* are those it can start, name → versions; None: whatever is asked,
    as where images are pulled.
    """

    id: str
    name: str
    cpu_millicores: int
    memory_mib: int
    lease_until: datetime
    gpus: tuple[Gpu, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    trust: Trust = Trust.TRUSTED
    engines: tuple[Engine, ...] = (Engine.PROCESS,)
    algorithms: Mapping[str, tuple[str, ...]] | None = None

    def is_alive(self, now: datetime) -> bool:
        """Whether its agent was heard of in time."""
        return self.lease_until > now

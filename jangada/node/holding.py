"""What an agent knows of a replica that it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from jangada.deployments.replica import ReplicaStatus
from jangada.node.engine import Order


@dataclass(slots=True)
class Held:
    """
    One replica that this node runs. Times are monotonic seconds.

    *phases_s* begins with what the agent itself took, and is complete when it is ready.
    """

    order: Order
    started: float
    status: ReplicaStatus = ReplicaStatus.STARTING
    phases_s: dict[str, float] = field(default_factory=dict)
    is_lost: bool = False
    """Its place belongs to another: it ends, and nothing is said of it any more."""

    @property
    def id(self) -> str:
        """The replica's."""
        return self.order.replica.id

    @property
    def is_going(self) -> bool:
        """Whether it was told to end."""
        return self.is_lost or self.status is ReplicaStatus.DRAINING

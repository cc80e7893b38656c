"""
Where wishes and what fulfils them are kept: one protocol, `store_mongo.py` and `store_memory.py` implement it.

Every method raises `StoreUnavailableError` when the server is away. Instants are
whole milliseconds, by the caller's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from jangada.deployments.deployment import Deployment, Lane
from jangada.deployments.node import Node
from jangada.deployments.plan import Plan
from jangada.deployments.replica import Replica, ReplicaStatus, Wanted


class DeploymentStore(Protocol):
    """Deployments, the replicas wanted of each lane, nodes, and the replicas that there are."""

    def create_indexes(self) -> None:
        """Create what is read by. Idempotent."""
        ...

    # --- wishes ------------------------------------------------------------------

    def insert(self, deployment: Deployment) -> bool:
        """Add one; False when there is one of that name."""
        ...

    def get(self, name: str) -> Deployment | None:
        """The deployment of that name, or None."""
        ...

    def page(self) -> list[Deployment]:
        """Every deployment, by name."""
        ...

    def replace(self, deployment: Deployment, *, generation: int) -> bool:
        """Keep *deployment* in place of the one of its name, if that one still has *generation*; else False."""
        ...

    def delete(self, name: str, *, generation: int | None = None) -> bool:
        """Forget one, and what is wanted of its lanes; False when there is none (of that generation, if given)."""
        ...

    def lock_wishes(self, tenant_id: str, holder: str, *, now: datetime, until: datetime) -> bool:
        """
        Be the only one to change *tenant_id*'s deployments, until `unlock_wishes` or *until*; False: another is.

        Of several that try at once one gets it, so what each adds up before it writes is all there is.
        """
        ...

    def unlock_wishes(self, tenant_id: str, holder: str) -> None:
        """Let others change them; nothing when *holder* is it no more."""
        ...

    def put_wanted(self, wanted: Wanted) -> None:
        """Keep *wanted* in place of what was wanted of its lane."""
        ...

    def wanted(self) -> dict[str, Wanted]:
        """What is wanted, by lane."""
        ...

    def put_plan(self, plan: Plan) -> None:
        """Keep *plan* in place of the one of its name, and bind its tenants to no other."""
        ...

    def plans(self) -> list[Plan]:
        """Every plan, by name."""
        ...

    def delete_plan(self, name: str) -> bool:
        """Forget one; False when there is none."""
        ...

    # --- what fulfils them ---------------------------------------------------------

    def put_node(self, node: Node) -> None:
        """Register *node*, or describe it anew."""
        ...

    def renew_node(self, node_id: str, until: datetime) -> bool:
        """Its agent is alive; False when the node is not registered (any more), which the agent then mends."""
        ...

    def remove_node(self, node_id: str) -> None:
        """Forget a node that leaves in an orderly way."""
        ...

    def nodes(self) -> list[Node]:
        """Every node, by name, those whose lease has run out too."""
        ...

    def claim_replica(
        self, lane: Lane, node_id: str, *, now: datetime, until: datetime, gpus: tuple[str, ...] = ()
    ) -> Replica | None:
        """
        Take one of the places that the lane is wanted to have and that nobody holds, for *node_id*, until *until*.

        Of agents that try at once each gets a place of its own, and together they never
        get more than are wanted of the lane's rollout. A place whose lease has run out is
        free. None: there is none to take.
        """
        ...

    def renew_replicas(self, node_id: str, until: datetime) -> list[Replica]:
        """Push the leases of all that *node_id* holds, and say which those are: any other it must stop."""
        ...

    def update_replica(
        self,
        replica: Replica,
        status: ReplicaStatus,
        *,
        ready_at: datetime | None = None,
        phases_s: Mapping[str, float] | None = None,
        slots: int | None = None,
        executor_id: str | None = None,
    ) -> bool:
        """Say how far *replica* is; what is None stays. False: its place belongs to another by now."""
        ...

    def release_replica(self, replica: Replica) -> bool:
        """Give the place up. False: it belongs to another by now."""
        ...

    def free_replicas(self, now: datetime) -> int:
        """Free the places whose lease has run out, and forget nodes unheard of for long; how many places."""
        ...

    def replicas(self, lane: str | None = None) -> list[Replica]:
        """Those of a lane, or all; also those whose lease has run out and that nobody freed yet."""
        ...

"""The protocol of what survives the gateway: deployments with their wished replicas, secrets, namespaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from jangada.gateway.deployment import FunctionDeployment


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment and how many replicas it shall have."""

    deployment: FunctionDeployment
    replicas: int


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace for functions and secrets."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A FunctionNamespace [contract §1.2]."""
        return {"name": self.name, "labels": dict(self.labels), "annotations": dict(self.annotations)}


@dataclass(frozen=True, slots=True)
class Shared:
    """
    What gateways of one store know of each other; *others* are their last reports, by id.

    Only one at a time *decides* how many replicas there are.
    """

    decides: bool
    others: Mapping[str, str] = field(default_factory=dict)


class GatewayState(Protocol):
    """
    Shared by all gateways of one store. Every method may raise `StoreUnavailableError`.

    `version` grows with every change of a deployment or of wished replicas, by
    whichever gateway: poll it, and read `deployments` when it has moved.
    """

    async def version(self) -> int:
        """A number that every change makes larger."""

    async def deployments(self) -> Sequence[Deployed]:
        """All of all namespaces."""

    async def put(self, deployment: FunctionDeployment, replicas: int) -> FunctionDeployment:
        """Store it in place of what has its name; returns it with its generation and the first one's creation time."""

    async def set_replicas(self, name: str, namespace: str, replicas: int) -> bool:
        """Wish for *replicas*; False when there is no such function. The generation stays."""

    async def remove(self, name: str, namespace: str) -> bool:
        """Forget the function; False when there was none."""

    async def namespaces(self) -> Sequence[Namespace]:
        """All that were created, sorted by name; the default one is always among them."""

    async def namespace(self, name: str) -> Namespace | None:
        """The one of that name."""

    async def create_namespace(self, namespace: Namespace) -> bool:
        """Store it; False when it exists."""

    async def update_namespace(self, namespace: Namespace) -> bool:
        """Replace labels and annotations; False when it does not exist."""

    async def remove_namespace(self, name: str) -> bool:
        """Forget it, with its secrets; False when it does not exist, or is the default one."""

    async def secret_names(self, namespace: str) -> Sequence[str]:
        """Sorted."""

    async def secret(self, namespace: str, name: str) -> bytes | None:
        """Its content, to the byte."""

    async def create_secret(self, namespace: str, name: str, content: bytes) -> bool:
        """Store it; False when it exists."""

    async def update_secret(self, namespace: str, name: str, content: bytes) -> bool:
        """Replace its content; False when it does not exist."""

    async def remove_secret(self, namespace: str, name: str) -> bool:
        """Forget it; False when it does not exist."""

    async def share(self, gateway: str, report: str, lease_s: float) -> Shared:
        """
        Tell the others *report*; who decides keeps the lease on that, or takes it when it has run out.

        A report counts for *lease_s*. Gateways' clocks must agree to a fraction of that.
        """

    async def resign(self, gateway: str) -> None:
        """That gateway ends: its report counts no more, and another may decide at once."""

    async def close(self) -> None:
        """Release what it holds."""

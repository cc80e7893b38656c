"""The provider protocol: who owns functions and their replicas. `provider_process` implements it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from jangada.gateway.stack import StackFunction


@dataclass(slots=True, eq=False)
class Replica:
    """One running copy of a function that answers at *address* (``http://host:port``, no trailing slash)."""

    function: str
    address: str
    in_flight: int = 0


class Provider(Protocol):
    """Owns functions. All methods are called on the gateway's event loop."""

    async def start(self) -> None:
        """Begin to bring every function up; returns before they are ready."""

    async def stop(self) -> None:
        """Stop every replica: told to drain first, killed after its grace."""

    def functions(self) -> Sequence[StackFunction]:
        """What is deployed, also what has no replica just now."""

    def function(self, name: str, namespace: str) -> StackFunction | None:
        """The function of that name, or None."""

    def ready(self, function: StackFunction) -> Sequence[Replica]:
        """Its replicas that accept requests now."""

    async def wait_ready(self, function: StackFunction, timeout_s: float) -> bool:
        """Wait until it has a ready replica; False when none came in time."""

    def suspect(self, replica: Replica) -> None:
        """The proxy could not connect to *replica*: leave it out until it is known to be ready again."""

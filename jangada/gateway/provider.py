"""
The provider protocol: who owns functions and their replicas.

`provider_process` runs them as child processes, `provider_docker` as containers.
A provider knows only what it was told since its start (and what it finds
running); what is deployed is the `state`'s to know, and `control` tells it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from jangada.gateway.deployment import STATUS_PREFIX, FunctionDeployment


@dataclass(slots=True, eq=False)
class Replica:
    """One running copy of a function that answers at *address* (``http://host:port``, no trailing slash)."""

    function: str
    address: str
    in_flight: int = 0
    instance: str = ""


@dataclass(frozen=True, slots=True)
class FunctionState:
    """
    How a function is: replicas ready to answer, restarts of its replicas since they were started.

    *note* is the last thing that went wrong, *again_in_s* when the next start is tried,
    *limits* says which limits are not enforced here, *outdated* counts the replicas of an
    earlier deployment that still answer.
    """

    available: int = 0
    restarts: int = 0
    note: str = ""
    again_in_s: float | None = None
    limits: str = ""
    outdated: int = 0

    def to_annotations(self) -> dict[str, str]:
        """What `faas-cli describe` shows of it beside the deployment's own; nothing while all is well."""
        found = {"restarts": str(self.restarts) if self.restarts else "", "last-failure": self.note}
        if self.again_in_s is not None:
            found["next-start"] = f"in {self.again_in_s:.1f} s"
        found["limits"] = self.limits
        found["updating"] = f"{self.outdated} replicas of an earlier deployment" if self.outdated else ""
        return {STATUS_PREFIX + name: text for name, text in found.items() if text}


@dataclass(frozen=True, slots=True)
class Usage:
    """What all replicas of a function use now."""

    cpu_millicores: float = 0.0
    memory_bytes: int = 0

    def to_json(self) -> dict[str, float]:
        """As the contract has it."""
        return {"cpu": round(self.cpu_millicores, 3), "totalMemoryBytes": float(self.memory_bytes)}


@dataclass(frozen=True, slots=True)
class LogMessage:
    """One line that a replica wrote; *at* is when it came."""

    name: str
    namespace: str
    instance: str
    at: datetime
    text: str

    def to_json(self) -> dict[str, Any]:
        """As the contract has it."""
        return {
            "name": self.name,
            "namespace": self.namespace,
            "instance": self.instance,
            "timestamp": self.at.isoformat().replace("+00:00", "Z"),
            "text": self.text,
        }


class Provider(Protocol):
    """Owns functions. All methods are called on the gateway's event loop."""

    name: str
    """``process`` or ``docker``: what ``/system/info`` tells."""

    async def start(self) -> None:
        """Find what still runs from before, where that is possible; returns soon."""

    async def stop(self) -> None:
        """The gateway ends: replicas that cannot outlive it are told to drain, and killed after their grace."""

    async def settle(self) -> None:
        """All that is deployed has been applied for the first time: what else still runs from before is nobody's."""

    async def check(self, deployment: FunctionDeployment) -> None:
        """Raise `DeployRefusedError` when it could not be run here. Secrets' existence is `control`'s to check."""

    async def apply(self, deployment: FunctionDeployment, replicas: int) -> None:
        """
        Make *deployment* with *replicas* copies what runs under its name; returns before they are ready.

        The same again changes nothing. Another generation replaces the older
        replicas one by one: a new one is ready before an old one drains. Raises
        `DeployRefusedError`.
        """

    async def remove(self, name: str, namespace: str) -> None:
        """Stop all replicas, drained first; nothing when there is no such function. Returns before they are gone."""

    async def scale(self, name: str, namespace: str, replicas: int) -> None:
        """Have *replicas* copies from now on; returns before they are ready. Nothing when there is no such function."""

    def replicas(self, name: str, namespace: str) -> Sequence[Replica]:
        """The replicas that accept requests now."""

    async def wait_ready(self, name: str, namespace: str, timeout_s: float) -> bool:
        """Wait until there is a ready replica; False when none came in time."""

    def suspect(self, replica: Replica) -> None:
        """The proxy could not connect to *replica*: leave it out until it is known to be ready again."""

    def status(self, name: str, namespace: str) -> FunctionState:
        """How the function is just now; all zero when there is none."""

    async def usage(self, name: str, namespace: str) -> Usage:
        """Processor and memory of all its replicas."""

    def logs(
        self,
        name: str,
        namespace: str,
        *,
        tail: int | None = None,
        follow: bool = False,
        since: datetime | None = None,
        instance: str | None = None,
    ) -> AsyncIterator[LogMessage]:
        """
        Its lines, oldest first: the last *tail* of them, only those after *since* or of *instance* where that is given.

        With *follow* it goes on as lines come and never ends by itself.
        """

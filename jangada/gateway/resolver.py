"""From a name in a path to the replica that takes the request."""

from __future__ import annotations

from jangada.gateway.provider import Replica, StackProvider
from jangada.gateway.stack import DEFAULT_NAMESPACE, StackFunction

MAX_IN_FLIGHT = 1024
"""Requests in one replica at once. A bound for memory only: the function itself answers 429 long before."""


class NoReplicaError(Exception):
    """Raised when no replica can take a request now: none is ready, or all are full."""


def split_name(text: str) -> tuple[str, str]:
    """``a.b.dev`` → function ``a.b``, namespace ``dev``: at the last dot; no dot means the default namespace."""
    name, dot, namespace = text.rpartition(".")
    return (name, namespace) if dot and name else (text, DEFAULT_NAMESPACE)


class Resolver:
    """Chooses the ready replica with the least in flight; waits a moment for a function that is just restarting."""

    def __init__(self, provider: StackProvider, *, wait_s: float = 5.0, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        self._provider = provider
        self._wait_s = wait_s
        self._max_in_flight = max_in_flight
        self._waiting = 0

    def function(self, text: str) -> StackFunction | None:
        """The function that *text* (``name`` or ``name.namespace``) means, or None."""
        return self._provider.function(*split_name(text))

    async def choose(self, function: StackFunction) -> Replica:
        """Return a replica with room. Raises `NoReplicaError`."""
        replicas = self._provider.ready(function)
        if not replicas:
            replicas = await self._wait(function)
        replica = min(replicas, key=_in_flight)
        if replica.in_flight >= self._max_in_flight:
            raise NoReplicaError(f"every replica of {function.name} has {self._max_in_flight} requests in flight")
        return replica

    async def _wait(self, function: StackFunction) -> list[Replica]:
        # Held requests cost memory: at most one replica's worth of them.
        if self._waiting < self._max_in_flight:
            self._waiting += 1
            try:
                await self._provider.wait_ready(function, self._wait_s)
            finally:
                self._waiting -= 1
        replicas = list(self._provider.ready(function))
        if not replicas:
            raise NoReplicaError(f"no replica of {function.name} is ready")
        return replicas

    def suspect(self, replica: Replica) -> None:
        """Report that nothing answers at *replica*."""
        self._provider.suspect(replica)


def _in_flight(replica: Replica) -> int:
    return replica.in_flight

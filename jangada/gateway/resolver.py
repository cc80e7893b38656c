"""From a name in a path to the replica that takes the request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from jangada.gateway.control import Control
from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.provider import Provider, Replica
from jangada.gateway.route import Invocation
from jangada.gateway.stack import DEFAULT_NAMESPACE

MAX_IN_FLIGHT = 1024
"""Requests in one replica at once. A bound for memory only: the function itself answers 429 long before."""


WAKE_WITHIN_S = 100.0
"""How long a request is held for a function that was scaled to zero."""


class NoReplicaError(Exception):
    """Raised when no replica can take a request now: none is ready, or all are full."""


def split_name(text: str) -> tuple[str, str]:
    """``a.b.dev`` → function ``a.b``, namespace ``dev``: at the last dot; no dot means the default namespace."""
    name, dot, namespace = text.rpartition(".")
    return (name, namespace) if dot and name else (text, DEFAULT_NAMESPACE)


class Resolver:
    """
    Chooses the ready replica with the least in flight.

    It waits *wait_s* for a function that is just starting, and `WAKE_WITHIN_S` for
    one that has no replicas by wish: that one is woken, and the request held.
    """

    def __init__(
        self, control: Control, provider: Provider, *, wait_s: float = 5.0, max_in_flight: int = MAX_IN_FLIGHT
    ) -> None:
        self._control = control
        self._provider = provider
        self._wait_s = wait_s
        self._max_in_flight = max_in_flight
        self._waiting = 0
        self._turn = 0

    def function(self, text: str) -> FunctionDeployment | None:
        """The function that *text* (``name`` or ``name.namespace``) means, or None."""
        found = self._control.get(*split_name(text))
        return found.deployment if found is not None else None

    async def lookup(self, text: str) -> FunctionDeployment | None:
        """As `function`; just after the start it waits until it is known what is deployed."""
        return await self._control.lookup(*split_name(text))

    def find_now(self, invocation: Invocation) -> FunctionDeployment | None:
        """Whom *invocation* means, by what is known now; None where `find` has to be asked."""
        if invocation.is_public:
            return self._control.owner(invocation.name)
        return self.function(invocation.name)

    async def find(self, invocation: Invocation) -> FunctionDeployment | None:
        """Whom *invocation* means, None when nobody; just after the start it waits as `lookup` does."""
        if invocation.is_public:
            return await self._control.find_owner(invocation.name)
        return await self.lookup(invocation.name)

    @property
    def is_loaded(self) -> bool:
        """Whether it is known what is deployed."""
        return self._control.is_loaded

    def ready(self, function: FunctionDeployment) -> Replica | None:
        """A replica with room, if there is one now."""
        replica = self._least(self._provider.replicas(function.service, function.namespace))
        return replica if replica is not None and replica.in_flight < self._max_in_flight else None

    async def choose(self, function: FunctionDeployment) -> Replica:
        """Return a replica with room. Raises `NoReplicaError`."""
        replicas = self._provider.replicas(function.service, function.namespace)
        replica = self._least(replicas or await self._wait(function))
        if replica is None:
            raise NoReplicaError(f"no replica of {function.service} is ready")
        if replica.in_flight >= self._max_in_flight:
            raise NoReplicaError(f"every replica of {function.service} has {self._max_in_flight} requests in flight")
        return replica

    def _least(self, replicas: Sequence[Replica]) -> Replica | None:
        """The one with the least in flight; of several such each in turn."""
        if len(replicas) <= 1:
            return replicas[0] if replicas else None
        first = self._turn % len(replicas)
        self._turn += 1
        return min((*replicas[first:], *replicas[:first]), key=_in_flight)

    async def _wait(self, function: FunctionDeployment) -> Sequence[Replica]:
        # Held requests cost memory: at most one replica's worth of them.
        if self._waiting < self._max_in_flight:
            self._waiting += 1
            try:
                deployed = self._control.get(*function.key)
                wait_s = self._wait_s
                if deployed is not None and deployed.replicas == 0:
                    wait_s = WAKE_WITHIN_S
                    # Who asked first may leave; the function wakes all the same.
                    await asyncio.shield(self._control.wake(*function.key))
                await self._provider.wait_ready(*function.key, wait_s)
            finally:
                self._waiting -= 1
        return self._provider.replicas(*function.key)

    def suspect(self, replica: Replica) -> None:
        """Report that nothing answers at *replica*."""
        self._provider.suspect(replica)


def _in_flight(replica: Replica) -> int:
    return replica.in_flight

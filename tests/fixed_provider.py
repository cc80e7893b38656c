"""A provider for tests: its functions and replicas are what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from jangada.gateway.provider import Replica
from jangada.gateway.stack import DEFAULT_NAMESPACE, StackFunction


class FixedProvider:
    """A provider whose functions and replicas the test names."""

    def __init__(self, functions: Sequence[StackFunction], replicas: Sequence[Replica]) -> None:
        self._functions = list(functions)
        self.replicas = list(replicas)
        self.suspected: list[Replica] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def functions(self) -> Sequence[StackFunction]:
        return self._functions

    def function(self, name: str, namespace: str) -> StackFunction | None:
        return next((f for f in self._functions if (f.name, f.namespace) == (name, namespace)), None)

    def ready(self, function: StackFunction) -> Sequence[Replica]:
        return [replica for replica in self.replicas if replica.function == function.name]

    async def wait_ready(self, function: StackFunction, timeout_s: float) -> bool:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not self.ready(function) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        return bool(self.ready(function))

    def suspect(self, replica: Replica) -> None:
        self.suspected.append(replica)
        self.replicas = [other for other in self.replicas if other is not replica]


def function(name: str = "echo", routes: str = "jobs,/problems", namespace: str = DEFAULT_NAMESPACE) -> StackFunction:
    return StackFunction(name, "python3-jangada", "./x", "x:1", namespace, annotations={"jangada.io/routes": routes})

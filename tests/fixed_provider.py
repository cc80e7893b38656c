"""A provider for tests: its functions and replicas are what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from jangada.gateway.control import Control
from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.errors import DeployRefusedError
from jangada.gateway.provider import FunctionState, LogMessage, Replica, Usage
from jangada.gateway.stack import DEFAULT_NAMESPACE
from jangada.gateway.state_memory import MemoryState


class FixedProvider:
    """
    A provider whose replicas the test names; it remembers what it was told.

    Of a function that is scaled from zero the test's replicas become ready at once.
    """

    name = "fixed"

    def __init__(self, functions: Sequence[FunctionDeployment], replicas: Sequence[Replica]) -> None:
        self.stack = list(functions)
        self.replicas_there = list(replicas)
        self.wished: dict[tuple[str, str], int] = {}
        self.applied: list[tuple[FunctionDeployment, int]] = []
        self.removed: list[tuple[str, str]] = []
        self.suspected: list[Replica] = []
        self.lines: list[str] = []
        self.refuses: set[str] = set()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def settle(self) -> None: ...

    async def check(self, deployment: FunctionDeployment) -> None:
        if deployment.image in self.refuses:
            raise DeployRefusedError(f"no image {deployment.image}")

    async def apply(self, deployment: FunctionDeployment, replicas: int) -> None:
        self.wished[deployment.key] = replicas
        self.applied.append((deployment, replicas))

    async def remove(self, name: str, namespace: str) -> None:
        self.wished.pop((name, namespace), None)
        self.removed.append((name, namespace))

    async def scale(self, name: str, namespace: str, replicas: int) -> None:
        self.wished[name, namespace] = replicas

    def replicas(self, name: str, namespace: str) -> Sequence[Replica]:
        if self.wished.get((name, namespace)) == 0:
            return []
        return [replica for replica in self.replicas_there if replica.function == name]

    async def wait_ready(self, name: str, namespace: str, timeout_s: float) -> bool:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not self.replicas(name, namespace) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        return bool(self.replicas(name, namespace))

    def suspect(self, replica: Replica) -> None:
        self.suspected.append(replica)
        self.replicas_there = [other for other in self.replicas_there if other is not replica]

    def status(self, name: str, namespace: str) -> FunctionState:
        return FunctionState(len(self.replicas(name, namespace)))

    async def usage(self, name: str, namespace: str) -> Usage:
        return Usage(12.5, 1024)

    async def logs(self, name: str, namespace: str, *, tail=None, follow=False, since=None, instance=None) -> Any:
        for line in self.lines[-tail:] if tail else self.lines:
            yield LogMessage(name, namespace, "one", datetime(2026, 1, 2, tzinfo=UTC), line)
        while follow:
            await asyncio.sleep(3600)


def function(
    name: str = "echo", routes: str = "jobs,/problems", namespace: str = DEFAULT_NAMESPACE, **facts: Any
) -> FunctionDeployment:
    return FunctionDeployment(name, "x:1", namespace, annotations={"jangada.io/routes": routes}, **facts)


async def started_control(provider: FixedProvider, **options: Any) -> Control:
    """A control over *provider* and a state in memory that has deployed the provider's functions."""
    control = Control(MemoryState(), provider, stack=provider.stack, poll_s=0.01, **options)
    await control.start()
    await control.lookup("none", DEFAULT_NAMESPACE)
    return control

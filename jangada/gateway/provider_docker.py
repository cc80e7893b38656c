"""
Functions as containers of Docker Engine, one per replica.

They outlive the gateway: a later one finds them by their labels. Two gateways of
one platform agree without talking, because a copy's name says what it is; the
Engine lets only one of them create it, the other adopts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from jangada.gateway.deployment import FunctionDeployment, Key
from jangada.gateway.errors import DeployRefusedError
from jangada.gateway.provider import FunctionState, LogMessage, Replica, Usage
from jangada.gateway.provider_docker_engine import (
    ENGINE_ERRORS,
    Container,
    Engine,
    cpu_millicores,
    memory_bytes,
    reason,
)
from jangada.gateway.provider_docker_function import DockerFunction, ReadSecret
from jangada.gateway.provider_docker_logs import Wanted, messages
from jangada.gateway.provider_docker_spec import host_settings
from jangada.logs import get_logger

log = get_logger(part="provider")

_LOOK_EVERY_S = 1.0
_SAMPLE_S = 0.25
_FORGET_AFTER_S = 60.0
"""What was found running, and was not applied so long after all that is deployed was, belongs to no deployment."""


class DockerProvider:
    """
    Implements `Provider` on *engine*; *read_secret* gives the content of secrets.

    Once a second, and whenever something happens, it compares what the Engine has
    with what is wished. While the Engine is away nothing changes.
    """

    name = "docker"

    def __init__(self, engine: Engine, read_secret: ReadSecret) -> None:
        self._engine = engine
        self._read_secret = read_secret
        self._functions: dict[Key, DockerFunction] = {}
        self._containers: dict[Key, list[Container]] = {}
        self._poked = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._settled: float | None = None
        self._readings: dict[str, Mapping[str, Any]] = {}
        self._is_away = False

    async def start(self) -> None:
        """Find what runs from before. Raises `DeployRefusedError` when there is no Engine."""
        try:
            await asyncio.to_thread(self._engine.prepare)
            await self._look()
        except ENGINE_ERRORS as error:
            raise DeployRefusedError(f"no Docker Engine: {reason(error)}") from error
        self._looking = asyncio.create_task(self._keep_looking())

    async def stop(self) -> None:
        """Let go of the containers; they go on."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await asyncio.gather(*(function.close() for function in self._functions.values()))
        await asyncio.to_thread(self._engine.close)

    async def settle(self) -> None:
        """See `Provider`; after a while, since another gateway may just have deployed what we have not read yet."""
        self._settled = self._settled or time.monotonic()

    async def check(self, deployment: FunctionDeployment) -> None:
        """Pulls the image where it is missing. Raises `DeployRefusedError`."""
        host_settings(self._engine.options, deployment)
        try:
            await asyncio.to_thread(self._engine.require_image, deployment.image)
        except ENGINE_ERRORS as error:
            raise DeployRefusedError(f"Docker Engine: {reason(error)}") from error

    async def apply(self, deployment: FunctionDeployment, replicas: int) -> None:
        """See `Provider`."""
        host_settings(self._engine.options, deployment)
        self._of(deployment.key).apply(deployment, replicas)
        self._poked.set()

    async def remove(self, name: str, namespace: str) -> None:
        """See `Provider`."""
        function = self._functions.get((name, namespace))
        if function is not None:
            function.remove()
            self._poked.set()

    async def scale(self, name: str, namespace: str, replicas: int) -> None:
        """See `Provider`."""
        function = self._functions.get((name, namespace))
        if function is not None and function.deployment is not None and not function.is_removed:
            function.apply(function.deployment, replicas)
            # At once, not at the next look: somebody may hold a request for it.
            function.step()

    def replicas(self, name: str, namespace: str) -> Sequence[Replica]:
        """See `Provider`."""
        function = self._functions.get((name, namespace))
        return function.ready() if function is not None else ()

    async def wait_ready(self, name: str, namespace: str, timeout_s: float) -> bool:
        """See `Provider`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not self.replicas(name, namespace):
                    function = self._functions.get((name, namespace))
                    if function is None:
                        return False
                    function.became_ready.clear()
                    await function.became_ready.wait()
        return bool(self.replicas(name, namespace))

    def suspect(self, replica: Replica) -> None:
        """See `Provider`; asks the Engine at once whether it still runs."""
        if any(function.suspect(replica) for function in self._functions.values()):
            self._poked.set()

    def status(self, name: str, namespace: str) -> FunctionState:
        """See `Provider`."""
        function = self._functions.get((name, namespace))
        return function.state() if function is not None else FunctionState()

    async def usage(self, name: str, namespace: str) -> Usage:
        """See `Provider`. The processor's share is since the last time somebody asked, at least a quarter second."""
        function = self._functions.get((name, namespace))
        ids = [copy.container.id for copy in function.copies] if function is not None else []
        if any(id_ not in self._readings for id_ in ids):
            await self._read(ids)
            await asyncio.sleep(_SAMPLE_S)
        before = {id_: self._readings[id_] for id_ in ids if id_ in self._readings}
        await self._read(ids)
        pairs = [(before[id_], self._readings[id_]) for id_ in ids if id_ in before and id_ in self._readings]
        return Usage(
            sum(cpu_millicores(earlier, later) for earlier, later in pairs),
            sum(memory_bytes(later) for _, later in pairs),
        )

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
        """See `Provider`. Of containers that are gone the last thousand lines are kept, until the gateway ends."""
        key = (name, namespace)
        function = self._functions.get(key)
        kept = list(function.kept) if function is not None else []
        return messages(
            self._engine, lambda: self._containers.get(key, ()), kept, Wanted(tail, follow, since, instance)
        )

    def _of(self, key: Key) -> DockerFunction:
        if key not in self._functions:
            self._functions[key] = DockerFunction(key, self._engine, self._read_secret, self._poked.set)
        return self._functions[key]

    async def _keep_looking(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._poked.wait()
            self._poked.clear()
            try:
                await self._look()
            except ENGINE_ERRORS as error:
                if not self._is_away:
                    log.error("docker.away", reason=reason(error))
                self._is_away = True
                await asyncio.sleep(_LOOK_EVERY_S)
            else:
                self._is_away = False

    async def _look(self) -> None:
        known = {key: frozenset(copy.container.id for copy in self._functions[key].copies) for key in self._functions}
        found: dict[Key, list[Container]] = {}
        for container in await asyncio.to_thread(self._engine.list):
            found.setdefault(container.key, []).append(container)
        self._containers = found
        for key in found:
            self._of(key)
        self._drop_orphans()
        for key, function in list(self._functions.items()):
            if known.get(key, frozenset()) != {copy.container.id for copy in function.copies}:
                # Something started or went while we asked: what we were told is older than what we know.
                self._poked.set()
                continue
            function.see(found.get(key, []))
            function.step()
            if function.is_gone and key not in found:
                del self._functions[key]
                await asyncio.to_thread(self._engine.forget_secrets, key)
        there = {container.id for containers in found.values() for container in containers}
        self._readings = {id_: reading for id_, reading in self._readings.items() if id_ in there}

    def _drop_orphans(self) -> None:
        if self._settled is None or time.monotonic() - self._settled < _FORGET_AFTER_S:
            return
        for function in self._functions.values():
            if function.deployment is None and not function.is_removed:
                log.warning("function.orphaned", function=".".join(function.key))
                function.remove()

    async def _read(self, ids: Sequence[str]) -> None:
        read = await asyncio.gather(*(asyncio.to_thread(self._engine.stats, id_) for id_ in ids))
        self._readings |= {id_: reading for id_, reading in zip(ids, read, strict=True) if reading}

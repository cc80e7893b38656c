"""One function's containers: how many there are, one generation after the other, what became of those that ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from jangada.gateway.deployment import FunctionDeployment, Key
from jangada.gateway.errors import DeployRefusedError
from jangada.gateway.probes import Probes
from jangada.gateway.process import Backoff
from jangada.gateway.provider import FunctionState, LogMessage, Replica
from jangada.gateway.provider_docker_copy import Copy
from jangada.gateway.provider_docker_engine import ENGINE_ERRORS, Container, Engine, reason
from jangada.gateway.provider_docker_logs import read_kept
from jangada.gateway.provider_docker_spec import revision
from jangada.logs import get_logger

log = get_logger(part="provider")

ReadSecret = Callable[[str, str], Awaitable[bytes | None]]
"""Namespace and name → the secret's content; None when there is none."""

_STOP_WITHIN_S = 12
_DRAIN_WITHIN_S = 30.0
_KEPT_LINES = 1000


class DockerFunction:
    """
    Brings the containers of one function to what is wished. `see` tells what there is, `step` acts on it.

    With no *deployment* (found running, not yet applied) nothing is changed.
    """

    def __init__(self, key: Key, engine: Engine, read_secret: ReadSecret, poke: Callable[[], None]) -> None:
        self.key = key
        self.deployment: FunctionDeployment | None = None
        self.wished = 0
        self.restarts = 0
        self.is_removed = False
        self.kept: deque[LogMessage] = deque(maxlen=_KEPT_LINES)
        self.became_ready = asyncio.Event()
        self._note = ""
        self._engine = engine
        self._read_secret = read_secret
        self._poke = poke
        self._revision = ""
        self._copies: dict[str, Copy] = {}
        self._starting: set[int] = set()
        self._ending: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._backoff = Backoff()
        self._not_before = 0.0

    @property
    def copies(self) -> Sequence[Copy]:
        """All that run, those that leave too."""
        return tuple(self._copies.values())

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left to do or to know."""
        return self.is_removed and not self._copies and not self._tasks

    def apply(self, deployment: FunctionDeployment, replicas: int) -> None:
        """Wish for *replicas* of *deployment*."""
        wanted = revision(deployment)
        if wanted != self._revision:
            self._backoff, self._not_before = Backoff(), 0.0
        self.deployment, self.wished, self._revision, self.is_removed = deployment, replicas, wanted, False
        for copy in self._copies.values():
            if copy.container.revision == wanted:
                copy.probes = self._probes(copy.container)

    def remove(self) -> None:
        """Wish for nothing any more."""
        self.is_removed, self.wished = True, 0

    def ready(self) -> list[Replica]:
        """Those that accept requests."""
        return [copy.replica for copy in self._copies.values() if copy.is_ready]

    def state(self) -> FunctionState:
        """For `describe`."""
        notes = [copy.note for copy in self._copies.values() if copy.note]
        ready = len(self.ready())
        note = (notes or [self._note])[-1] if ready < self.wished else ""
        again_in_s = self._not_before - time.monotonic()
        soon = again_in_s if note and again_in_s > 0 else None
        stay = (copy for copy in self._copies.values() if not copy.is_leaving)
        outdated = sum(copy.container.revision != self._revision for copy in stay)
        return FunctionState(ready, self.restarts, note, soon, outdated=outdated)

    def suspect(self, replica: Replica) -> bool:
        """Ask *replica* again whether it is ready; False when it is none of ours."""
        for copy in self._copies.values():
            if copy.replica is replica:
                if not copy.is_leaving:
                    copy.probe()
                return True
        return False

    def see(self, containers: Sequence[Container]) -> None:
        """What the Engine has of this function now."""
        there = {one.id: one for one in containers}
        for id_ in [id_ for id_ in self._copies if id_ not in there]:
            self._copies.pop(id_).forget()
        for one in containers:
            copy = self._copies.get(one.id)
            if one.has_ended:
                if one.id not in self._ending:
                    self._begin(self._bury(one, copy), one.id)
            elif copy is None and one.state == "running" and one.address and one.id not in self._ending:
                self._adopt(one)

    def step(self) -> None:
        """Start what is missing, let go what is too much."""
        if self.deployment is None and not self.is_removed:
            return
        current = sorted(
            (copy for copy in self._staying() if self._is_current(copy)), key=lambda copy: copy.container.slot
        )
        if not self.is_removed and time.monotonic() >= self._not_before:
            for slot in self._free_slots(self.wished - len(current) - len(self._starting)):
                self._starting.add(slot)
                self._begin(self._start(slot))
        for copy in current[self.wished :] + [copy for copy in current[: self.wished] if copy.is_hopeless]:
            self._let_go(copy)
        ready_now = sum(copy.is_ready for copy in current)
        old = sorted((copy for copy in self._staying() if not self._is_current(copy)), key=lambda copy: copy.is_ready)
        # An old copy leaves for each new one that is ready: never fewer than before.
        for copy in old[: max(0, len(old) - max(0, self.wished - ready_now))]:
            self._let_go(copy)

    async def close(self) -> None:
        """Stop looking; the containers go on."""
        for copy in self._copies.values():
            copy.forget()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _free_slots(self, count: int) -> list[int]:
        """The lowest numbers that no container has, also none that leaves; every gateway finds the same."""
        taken = self._starting | {
            copy.container.slot for copy in self._copies.values() if copy.container.revision == self._revision
        }
        return list(itertools.islice((slot for slot in itertools.count() if slot not in taken), max(0, count)))

    def _staying(self) -> list[Copy]:
        return [copy for copy in self._copies.values() if not copy.is_leaving]

    def _is_current(self, copy: Copy) -> bool:
        return not self.is_removed and copy.container.revision == self._revision

    def _adopt(self, container: Container) -> None:
        self._copies[container.id] = Copy(container, self._probes(container), self._on_ready)

    def _probes(self, container: Container) -> Probes:
        is_known = self.deployment is not None and container.revision == self._revision
        return Probes.of(self.deployment.annotations if self.deployment is not None and is_known else {})

    def _on_ready(self) -> None:
        self.became_ready.set()
        self._poke()

    def _begin(self, action: Awaitable[None], id_: str = "") -> None:
        async def act() -> None:
            try:
                await action
            finally:
                self._ending.discard(id_)
                self._poke()

        if id_:
            self._ending.add(id_)
        task = asyncio.create_task(act())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, slot: int) -> None:
        deployment = self.deployment
        if deployment is None:
            raise RuntimeError("started without a deployment")
        try:
            if deployment.secrets:
                await self._write_secrets(deployment)
            container = await asyncio.to_thread(self._engine.run, deployment, slot)
            if container is None or container.has_ended:
                return
            if container.id not in self._copies and container.address:
                self._adopt(container)
        except (*ENGINE_ERRORS, DeployRefusedError) as error:
            self._fail(f"cannot start: {reason(error)}", 0.0)
            log.error("function.start_failed", function=".".join(self.key), reason=reason(error))
        finally:
            self._starting.discard(slot)

    async def _write_secrets(self, deployment: FunctionDeployment) -> None:
        contents: dict[str, bytes] = {}
        for name in deployment.secrets:
            content = await self._read_secret(deployment.namespace, name)
            if content is None:
                raise DeployRefusedError(f"unable to find secret: {name}")
            contents[name] = content
        await asyncio.to_thread(self._engine.write_secrets, deployment.key, contents)

    async def _bury(self, container: Container, copy: Copy | None) -> None:
        """A container that ended by itself: keep what it wrote, remove it, and wait before the next."""
        with contextlib.suppress(*ENGINE_ERRORS):
            note = await asyncio.to_thread(self._engine.exit_note, container.id)
            await self._keep_log(container)
            await asyncio.to_thread(self._engine.remove, container.id)
            if copy is not None and not copy.is_leaving:
                log.warning("function.ended", function=".".join(self.key), container=container.name, reason=note)
                self._fail(f"ended with {note}", time.monotonic() - copy.started)
        found = self._copies.pop(container.id, None)
        if found is not None:
            found.forget()

    def _fail(self, note: str, lived_s: float) -> None:
        self._note = note
        self.restarts += 1
        self._not_before = time.monotonic() + self._backoff.after(lived_s)

    def _let_go(self, copy: Copy) -> None:
        copy.leave()
        if copy.is_hopeless:
            self._fail(copy.note, 0.0)
        self._begin(self._drain(copy), copy.container.id)

    async def _drain(self, copy: Copy) -> None:
        deadline = time.monotonic() + _DRAIN_WITHIN_S
        while copy.replica.in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        try:
            await asyncio.to_thread(self._engine.stop, copy.container.id, _STOP_WITHIN_S)
            await self._keep_log(copy.container)
            await asyncio.to_thread(self._engine.remove, copy.container.id)
        except ENGINE_ERRORS as error:
            log.warning("function.stop_failed", function=".".join(self.key), reason=reason(error))
            copy.is_leaving = False
            return
        self._copies.pop(copy.container.id, None)

    async def _keep_log(self, container: Container) -> None:
        self.kept.extend(await asyncio.to_thread(read_kept, self._engine, container, _KEPT_LINES))

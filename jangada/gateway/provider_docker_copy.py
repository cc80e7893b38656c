"""One container of a function, and whether it is ready and lives."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from jangada.gateway.probes import Probe, Probes, Streak
from jangada.gateway.provider import Replica
from jangada.gateway.provider_docker_engine import Container
from jangada.gateway.provider_docker_spec import FUNCTION_PORT
from jangada.logs import get_logger

log = get_logger(part="provider")

_READY_WITHIN_S = 60.0
_EAGER_PROBE_S, _PROBE_S, _EAGER_FOR_S = 0.02, 0.2, 5.0


class Copy:
    """One container of ours that is meant to run. *changed* is called when it has become ready, or has not to stay."""

    def __init__(self, container: Container, probes: Probes, changed: Callable[[], None]) -> None:
        self.container = container
        name = container.key[0]
        self.replica = Replica(name, f"http://{container.address}:{FUNCTION_PORT}", instance=container.id[:12])
        self.probes = probes
        """May be another one later: of a container that was found nothing is known until its deployment is."""
        self.is_ready = False
        self.is_leaving = False
        self.started = time.monotonic()
        self.note = ""
        self._changed = changed
        self._was_ready = False
        self._suspected = asyncio.Event()
        self._probing = [asyncio.create_task(self._watch_ready()), asyncio.create_task(self._watch_health())]

    @property
    def is_hopeless(self) -> bool:
        """Whether it has been given up on."""
        return bool(self.note)

    def probe(self) -> None:
        """Not ready until it says so again."""
        self.is_ready = False
        self._suspected.set()

    def leave(self) -> None:
        """It gets no more requests."""
        self.is_leaving = True
        self.is_ready = False
        self.forget()

    def forget(self) -> None:
        """Ask no more."""
        for task in self._probing:
            task.cancel()

    async def _ask(self, probe: Probe) -> bool:
        # Our own template knows the paths; of another image's it is only known what its author said.
        return await probe.ask(self.container.address, FUNCTION_PORT, may_lack=not probe.is_watched)

    async def _watch_ready(self) -> None:
        while True:
            self._suspected.clear()
            await self._become_ready()
            log.info(
                "function.ready",
                function=".".join(self.container.key),
                container=self.container.name,
                after_s=round(time.monotonic() - self.started, 3),
            )
            self._changed()
            streak = Streak(self.probes.ready, verdict=True)
            while self.is_ready:
                probe = self.probes.ready
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(probe.period_s if probe.is_watched else None):
                        await self._suspected.wait()
                if self._suspected.is_set() or not streak.count(await self._ask(probe)):
                    self.is_ready = False

    async def _become_ready(self) -> None:
        begun = time.monotonic()
        streak = Streak(self.probes.ready, verdict=False)
        while True:
            probe = self.probes.ready
            waited = time.monotonic() - begun
            if waited >= probe.initial_delay_s and streak.count(await self._ask(probe)):
                break
            if waited > _READY_WITHIN_S + probe.initial_delay_s and not self.note:
                self.note = f"not ready within {_READY_WITHIN_S:.0f} s"
            await asyncio.sleep(_EAGER_PROBE_S if waited < _EAGER_FOR_S else _PROBE_S)
        self.is_ready, self.note, self._was_ready = not self.is_leaving, "", True

    async def _watch_health(self) -> None:
        streak: Streak | None = None
        while True:
            probe = self.probes.health
            await asyncio.sleep(probe.period_s if probe is not None else 1.0)
            # One that is still starting is not ill.
            if probe is None or not self._was_ready or time.monotonic() - self.started < probe.initial_delay_s:
                continue
            streak = streak or Streak(probe, verdict=True)
            if not streak.count(await self._ask(probe)):
                self.note = f"unhealthy: {probe.path} fails"
                log.warning("function.unhealthy", function=".".join(self.container.key), container=self.container.name)
                self._changed()
                return

"""Looks at every function once a second and gives it the replicas that `scaling` says."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from jangada.errors import StoreUnavailableError
from jangada.gateway.accounting import Accounting, FunctionAccount
from jangada.gateway.control import Control
from jangada.gateway.deployment import Key
from jangada.gateway.errors import ControlError
from jangada.gateway.provider import Provider
from jangada.gateway.scaling import Load, ScaleMemory, ScalePolicy, decide, read_policy
from jangada.gateway.state import Deployed
from jangada.logs import get_logger

log = get_logger(part="autoscaler")

_EVERY_S = 1.0
_WINDOW_S = 10.0


@dataclass(slots=True)
class _Watch:
    """What is known of one function; *counts* are (when, ended with 200, ended) over the window."""

    since: float
    counts: deque[tuple[float, int, int]] = field(default_factory=deque)
    memory: ScaleMemory = field(default_factory=ScaleMemory)


class Autoscaler:
    """Runs on the gateway's event loop between `start` and `stop`. It sees only this gateway's own requests."""

    def __init__(
        self, control: Control, provider: Provider, accounting: Accounting, *, every_s: float = _EVERY_S
    ) -> None:
        self._control = control
        self._provider = provider
        self._accounting = accounting
        self._every_s = every_s
        self._watches: dict[Key, _Watch] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self, now: float) -> None:
        """One look at all functions; *now* in monotonic seconds."""
        deployed = {one.deployment.key: one for one in self._control.all()}
        for key in [key for key in self._watches if key not in deployed]:
            del self._watches[key]
        for key, one in deployed.items():
            watch = self._watches.setdefault(key, _Watch(now))
            policy = read_policy(one.deployment.labels)
            load = await self._load(one, policy, watch, now)
            replicas, watch.memory = decide(policy, one.replicas, load, watch.memory, now)
            if replicas != one.replicas:
                try:
                    await self._control.scale(*key, replicas)
                except (ControlError, StoreUnavailableError) as error:
                    log.warning("autoscaler.not_scaled", function=one.deployment.qualified_name, reason=str(error))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.look(time.monotonic())
            except Exception:
                log.exception("autoscaler.failed")

    async def _load(self, one: Deployed, policy: ScalePolicy, watch: _Watch, now: float) -> Load:
        account = self._accounting.accounts.get(one.deployment.qualified_name) or FunctionAccount(used_at=watch.since)
        counts = watch.counts
        counts.append((now, account.succeeded, account.ended))
        while len(counts) > 1 and now - counts[0][0] > _WINDOW_S:
            counts.popleft()
        _, succeeded, ended = counts[0]
        millicores = 0.0
        if policy.kind == "cpu" and one.replicas:
            millicores = (await self._provider.usage(*one.deployment.key)).cpu_millicores
        return Load(
            # Over the whole window also when it is not full yet: the first second is no rate.
            ok_per_s=max(0, account.succeeded - succeeded) / _WINDOW_S,
            rps=max(0, account.ended - ended) / _WINDOW_S,
            in_flight=account.in_flight,
            cpu_millicores=millicores,
            idle_s=now - max(account.used_at, watch.since),
        )

"""
Looks at every function once a second and gives it the replicas that `scaling` says.

Gateways that share a store tell each other the load they see, and one of them, which
holds a lease, decides for all: with its own requests and those of the others.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from jangada.errors import StoreUnavailableError
from jangada.gateway.accounting import Accounting, FunctionAccount
from jangada.gateway.control import Control
from jangada.gateway.deployment import Key
from jangada.gateway.errors import ControlError
from jangada.gateway.provider import Provider
from jangada.gateway.scaling import Load, ScaleMemory, decide, read_policy
from jangada.gateway.state import Deployed
from jangada.logs import get_logger

log = get_logger(part="autoscaler")

_EVERY_S = 1.0
_WINDOW_S = 10.0
LEASE_S = 10.0
"""How long a gateway that is silent still decides, and its load still counts."""


@dataclass(slots=True)
class _Watch:
    """What is known of one function; *counts* are (when, ended with 200, ended) over the window."""

    since: float
    counts: deque[tuple[float, int, int]] = field(default_factory=deque)
    memory: ScaleMemory = field(default_factory=ScaleMemory)


class Autoscaler:
    """Runs on the gateway's event loop between `start` and `stop`. While the store is away nothing is scaled."""

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
            await self._control.resign()

    async def look(self, now: float) -> None:
        """One look at all functions; *now* in monotonic seconds."""
        deployed = {one.deployment.key: one for one in self._control.all()}
        for key in [key for key in self._watches if key not in deployed]:
            del self._watches[key]
        seen = {one.deployment.qualified_name: self._seen(one, now) for one in deployed.values()}
        try:
            shared = await self._control.share_load(write_loads(seen, time.time()), LEASE_S)
        except StoreUnavailableError:
            return
        if not shared.decides:
            return
        others = [read_loads(report, time.time()) for report in shared.others.values()]
        for key, one in deployed.items():
            name, watch = one.deployment.qualified_name, self._watches[key]
            policy = read_policy(one.deployment.labels)
            load = together([seen[name], *(loads[name] for loads in others if name in loads)])
            if policy.kind == "cpu" and one.replicas:
                load = replace(load, cpu_millicores=(await self._provider.usage(*key)).cpu_millicores)
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

    def _seen(self, one: Deployed, now: float) -> Load:
        """The load that this gateway sees."""
        watch = self._watches.setdefault(one.deployment.key, _Watch(now))
        if one.replicas and not self._provider.status(*one.deployment.key).available:
            # It is still starting: nobody could have used it, so it is not idle.
            watch.since = now
        account = self._accounting.accounts.get(one.deployment.qualified_name) or FunctionAccount(used_at=watch.since)
        counts = watch.counts
        counts.append((now, account.succeeded, account.ended))
        while len(counts) > 1 and now - counts[0][0] > _WINDOW_S:
            counts.popleft()
        _, succeeded, ended = counts[0]
        return Load(
            # Over the whole window also when it is not full yet: the first second is no rate.
            ok_per_s=max(0, account.succeeded - succeeded) / _WINDOW_S,
            rps=max(0, account.ended - ended) / _WINDOW_S,
            in_flight=account.in_flight,
            idle_s=now - max(account.used_at, watch.since),
        )


def write_loads(loads: Mapping[str, Load], at_s: float) -> str:
    """
    A report for other gateways; *at_s* is the time of day, since a monotonic clock is nobody else's.

    It stays the same while nothing happens.
    """
    said = {
        name: [round(load.ok_per_s, 3), round(load.rps, 3), load.in_flight, round(at_s - load.idle_s)]
        for name, load in loads.items()
    }
    return json.dumps(said, sort_keys=True)


def read_loads(report: str, at_s: float) -> dict[str, Load]:
    """The reverse of `write_loads`."""
    return {
        name: Load(ok_per_s=ok, rps=rps, in_flight=in_flight, idle_s=max(0.0, at_s - used_at))
        for name, (ok, rps, in_flight, used_at) in json.loads(report).items()
    }


def together(loads: Sequence[Load]) -> Load:
    """What all gateways see of one function."""
    return Load(
        ok_per_s=sum(load.ok_per_s for load in loads),
        rps=sum(load.rps for load in loads),
        in_flight=sum(load.in_flight for load in loads),
        idle_s=min(load.idle_s for load in loads),
    )

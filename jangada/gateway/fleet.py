"""All replicas of one function as child processes: how many there are, and one generation after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from jangada.gateway.provider import FunctionState, Replica
from jangada.gateway.replica_process import Found, Launch, ReplicaProcess

_NOT_ENFORCED = "kept, not enforced: functions are processes here"


class Fleet:
    """
    Brings what runs to what is wished, whenever one of both changes.

    While an older generation still runs, new replicas are started one at a time,
    and an old one drains for every new one that is ready: at no moment are fewer
    ready than before. It begins with the replicas that were *found*, whatever
    generation they are of.
    """

    def __init__(self, launch: Launch, replicas: int, changed: Callable[[], None], found: Sequence[Found] = ()) -> None:
        self.launch = launch
        self.wished = replicas
        self.ready: Sequence[Replica] = ()
        self._changed = changed
        self._members: list[ReplicaProcess] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._serial = 0
        self._removed = False
        self._event = asyncio.Event()
        for one in found:
            self._adopt(one)
        self._reconcile()

    @property
    def members(self) -> Sequence[ReplicaProcess]:
        """Those that are meant to stay, and those that an update has yet to replace."""
        return tuple(self._members)

    def update(self, launch: Launch) -> None:
        """Replace what runs by replicas that *launch* describes."""
        self.launch = launch
        self._reconcile()

    def confirm(self, launch: Launch) -> None:
        """What runs is *launch*, whose generation was not known before; replace only what is of another one."""
        for member in self._members:
            if member.launch is self.launch and member.generation in {0, launch.deployment.generation}:
                member.confirm(launch)
        self.launch = launch
        self._reconcile()

    def scale(self, replicas: int) -> None:
        """Have *replicas* from now on."""
        if replicas != self.wished:
            self.wished = replicas
            self._reconcile()

    def suspect(self, replica: Replica) -> None:
        """Leave *replica* out until it says again that it is ready."""
        for member in self._members:
            if member.replica is replica:
                member.suspect()

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait for a ready replica, at most *timeout_s*."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not self.ready:
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                return False
            self._event.clear()
            try:
                async with asyncio.timeout(left_s):
                    await self._event.wait()
            except TimeoutError:
                return False
        return True

    def status(self) -> FunctionState:
        """Ready replicas, restarts, and the last thing that went wrong."""
        notes = [member.note for member in self._members if member.note and not member.is_ready]
        starts = [member.next_start for member in self._members if member.next_start is not None]
        return FunctionState(
            len(self.ready),
            sum(member.restarts for member in self._members),
            notes[-1] if notes else "",
            max(0.0, min(starts) - time.monotonic()) if starts else None,
            limits=_NOT_ENFORCED if self.launch.deployment.limits else "",
            outdated=len(self._old()),
        )

    async def remove(self) -> None:
        """Let every replica drain and end; returns when all are gone."""
        self._removed = True
        for member in list(self._members):
            self._retire(member)
        await asyncio.gather(*self._leaving)

    async def end(self) -> None:
        """End every replica at once."""
        self._removed = True
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*(member.end() for member in self._members), *self._leaving, return_exceptions=True)

    def _reconcile(self) -> None:
        if not self._removed:
            self._retire_old()
            self._start_missing()
            self._retire_surplus()
        self._look()

    def _adopt(self, found: Found) -> None:
        launch, record = self.launch, found.record
        wanted = launch.deployment.generation
        is_current = record.fingerprint == launch.fingerprint and (not wanted or record.generation in {0, wanted})
        if not is_current:
            launch = replace(launch, deployment=replace(launch.deployment, generation=record.generation))
        serial = record.instance.rpartition("-")[2]
        self._serial = max(self._serial, int(serial) + 1 if serial.isdigit() else 0)
        self._members.append(ReplicaProcess(launch, record.index, record.instance, self._reconcile, found))

    def _current(self) -> list[ReplicaProcess]:
        return [member for member in self._members if member.launch is self.launch]

    def _old(self) -> list[ReplicaProcess]:
        return [member for member in self._members if member.launch is not self.launch]

    def _retire_old(self) -> None:
        ready_now = sum(member.is_ready for member in self._current())
        keep = max(0, self.wished - ready_now)
        # The ready ones stay longest.
        old = sorted(self._old(), key=lambda member: member.is_ready)
        for member in old[: max(0, len(old) - keep)]:
            self._retire(member)

    def _start_missing(self) -> None:
        current = self._current()
        missing = self.wished - len(current)
        if self._old():
            coming = sum(not member.is_ready for member in current)
            missing = min(missing, 1 - coming)
        for _ in range(missing):
            taken = {member.index for member in self._members}
            index = next(number for number in range(len(taken) + 1) if number not in taken)
            deployment = self.launch.deployment
            instance = f"{deployment.service}-{deployment.generation}-{self._serial}"
            self._serial += 1
            self._members.append(ReplicaProcess(self.launch, index, instance, self._reconcile))

    def _retire_surplus(self) -> None:
        current = self._current()
        by_worth = sorted(current, key=lambda member: (not member.is_ready, member.index))
        for member in by_worth[self.wished :]:
            self._retire(member)

    def _retire(self, member: ReplicaProcess) -> None:
        self._members.remove(member)
        task = asyncio.create_task(member.retire())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _look(self) -> None:
        self.ready = tuple(member.replica for member in self._members if member.is_ready)
        if self.ready:
            self._event.set()
        self._changed()

"""Finds the replicas that a killed gateway left, and ends those that nobody wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import psutil

from jangada.gateway.deployment import Key
from jangada.gateway.replica_process import STOP_WITHIN_S, Found
from jangada.gateway.replica_record import ReplicaFolder, ReplicaRecord
from jangada.gateway.running_process import RunningProcess, kernel_start


async def find_replicas(folder: ReplicaFolder) -> dict[Key, list[Found]]:
    """The replicas on record that live, by function. Records of those that do not are thrown away."""
    found: dict[Key, list[Found]] = {}
    for record in folder.read():
        process = _find(record)
        if process is None:
            folder.forget(record.key, record.instance)
        else:
            found.setdefault(record.key, []).append(Found(record, process))
    folder.clear()
    return found


async def end_all(folder: ReplicaFolder, strays: Sequence[Found]) -> None:
    """SIGTERM, SIGKILL after the grace; returns when all are gone."""
    await asyncio.gather(*(_end(folder, stray) for stray in strays))


async def _end(folder: ReplicaFolder, stray: Found) -> None:
    stray.process.terminate()
    if not await stray.process.wait(STOP_WITHIN_S):
        stray.process.kill()
        await stray.process.wait()
    folder.forget(stray.record.key, stray.record.instance)


def _find(record: ReplicaRecord) -> RunningProcess | None:
    if record.pid:
        return RunningProcess.find(record.pid, record.started)
    # Its gateway died just when it was started: there may be a process, and all that is known is its port.
    wanted = ("--port", str(record.port), "--metrics-port")
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if wanted == tuple(words[4:7]):
                return RunningProcess.find(process.pid, kernel_start(process.pid) or "")
    return None

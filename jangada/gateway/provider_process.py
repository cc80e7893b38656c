"""
The *process* provider: a replica is a process that runs the function template.

It outlives a gateway that is killed. The next gateway finds it by what was written
down, and by the kernel's word that it is still the same process; a gateway that is
told to stop ends them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from jangada.errors import ConfigurationError
from jangada.gateway import lifeline
from jangada.gateway.deployment import FunctionDeployment, Key
from jangada.gateway.fleet import Fleet
from jangada.gateway.function_log import FunctionLog
from jangada.gateway.handlers import Handler, Handlers
from jangada.gateway.process_environment import SecretFiles, SecretSource, environment_of
from jangada.gateway.provider import FunctionState, LogMessage, Replica, Usage
from jangada.gateway.replica_process import Found, Launch
from jangada.gateway.replica_record import ReplicaFolder
from jangada.gateway.replicas_found import end_all, find_replicas
from jangada.gateway.stack import DEFAULT_NAMESPACE
from jangada.logs import get_logger

log = get_logger(part="provider")

_LOCK_WITHIN_S = 10.0


class ProcessProvider:
    """
    Runs a function as ``python <template>/index.py --function <handler> --port N --metrics-port N``.

    Implements `Provider`. *environ* is the whole environment of the platform's
    own functions; those of users get little of it, and their secrets as files in
    the folder that ``JANGADA_SECRETS_DIR`` and ``secret_mount_path`` name. Output
    lands in *log_dir*, what runs is written to *state_file*; what the next gateway
    finds its replicas by lies beside that. Functions that no gateway looks after
    end after *grace_s*.
    """

    name = "process"

    def __init__(
        self,
        handlers: Handlers,
        secrets: SecretSource,
        *,
        environ: Mapping[str, str],
        log_dir: Path,
        state_file: Path,
        python: str = sys.executable,
        grace_s: float = lifeline.GRACE_S,
    ) -> None:
        self._handlers = handlers
        self._log_dir = log_dir
        self._state_file = state_file
        run = state_file.parent.absolute()
        self._secrets = SecretFiles(run / "function-secrets", secrets)
        self._folder = ReplicaFolder(run / "replicas")
        self._lifeline = run / "lifeline"
        self._lock = run / "functions.lock"
        self._environ = dict(environ) | {
            lifeline.PATH_VARIABLE: str(self._lifeline),
            lifeline.GRACE_VARIABLE: f"{grace_s:g}",
        }
        self._python = python
        self._fleets: dict[Key, Fleet] = {}
        self._found: dict[Key, list[Found]] = {}
        self._held: list[int] = []
        self._logs: dict[Key, FunctionLog] = {}
        self._removing: set[asyncio.Task[None]] = set()
        self._cpu_seen: dict[Key, tuple[float, float, dict[int, float]]] = {}

    async def start(self) -> None:
        """Find the replicas that a killed gateway left. Raises `ConfigurationError` when another gateway has them."""
        await self._take_lock()
        self._folder.make()
        # From now on they will not end for want of a gateway.
        self._held.append(lifeline.hold(self._lifeline))
        self._found = await find_replicas(self._folder)
        self._write_state()

    async def stop(self) -> None:
        """SIGTERM to all at once; who has not ended after the grace is killed."""
        for task in self._removing:
            task.cancel()
        await self._end_found()
        await asyncio.gather(*(fleet.end() for fleet in self._fleets.values()), *self._removing, return_exceptions=True)
        self._write_state()
        self._secrets.clear()
        while self._held:
            os.close(self._held.pop())

    async def settle(self) -> None:
        """See `Provider`; strays drain in the background."""
        self._secrets.keep_only(self._fleets.keys())
        self._background(self._end_found())

    async def check(self, deployment: FunctionDeployment) -> None:
        """Raise `DeployRefusedError` when no handler for it lies on this machine."""
        self._handlers.find(deployment)

    async def apply(self, deployment: FunctionDeployment, replicas: int) -> None:
        """See `Provider`."""
        fleet = self._fleets.get(deployment.key)
        if fleet is not None and fleet.launch.deployment == deployment:
            fleet.scale(replicas)
            return
        launch = self._launch(deployment, self._handlers.find(deployment))
        if fleet is None:
            found = self._found.pop(deployment.key, [])
            # As long as nobody knows how many there shall be, none of those that serve is too many.
            wished = replicas if deployment.generation else max(replicas, len(found))
            self._fleets[deployment.key] = Fleet(launch, wished, self._write_state, found)
            return
        fleet.scale(replicas)
        if not fleet.launch.deployment.generation and fleet.launch.fingerprint == launch.fingerprint:
            fleet.confirm(launch)
        else:
            fleet.update(launch)

    async def remove(self, name: str, namespace: str) -> None:
        """See `Provider`."""
        fleet = self._fleets.pop((name, namespace), None)
        if fleet is None:
            return
        self._background(self._drained(fleet, (name, namespace)))
        self._write_state()

    async def scale(self, name: str, namespace: str, replicas: int) -> None:
        """See `Provider`."""
        if (fleet := self._fleets.get((name, namespace))) is not None:
            fleet.scale(replicas)

    def replicas(self, name: str, namespace: str) -> Sequence[Replica]:
        """The replicas whose ``/_/ready`` said yes and that nobody suspects."""
        fleet = self._fleets.get((name, namespace))
        return fleet.ready if fleet is not None else ()

    async def wait_ready(self, name: str, namespace: str, timeout_s: float) -> bool:
        """See `Provider`."""
        fleet = self._fleets.get((name, namespace))
        return fleet is not None and await fleet.wait_ready(timeout_s)

    def suspect(self, replica: Replica) -> None:
        """Take *replica* out; it is asked again whether it is ready."""
        for fleet in self._fleets.values():
            fleet.suspect(replica)

    def status(self, name: str, namespace: str) -> FunctionState:
        """See `Provider`."""
        fleet = self._fleets.get((name, namespace))
        return fleet.status() if fleet is not None else FunctionState()

    async def usage(self, name: str, namespace: str) -> Usage:
        """Of all processes since the last question about this function; over 0.1 s the first time."""
        key = (name, namespace)
        fleet = self._fleets.get(key)
        if fleet is None:
            self._cpu_seen.pop(key, None)
            return Usage()
        if key not in self._cpu_seen:
            self._cpu_seen[key] = (time.monotonic(), 0.0, _measure(fleet)[0])
            await asyncio.sleep(0.1)
        at, millicores, before = self._cpu_seen[key]
        seconds, memory_bytes = _measure(fleet)
        now = time.monotonic()
        # Asked again at once: the last answer is better than one over no time at all.
        if now - at >= 0.05:
            spent_s = sum(max(0.0, spent - before.get(pid, 0.0)) for pid, spent in seconds.items())
            millicores = 1000.0 * spent_s / (now - at)
            self._cpu_seen[key] = (now, millicores, seconds)
        return Usage(millicores, memory_bytes)

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
        """See `Provider`."""
        return self._log((name, namespace)).messages(tail=tail, follow=follow, since=since, instance=instance)

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._removing.add(task)
        task.add_done_callback(self._removing.discard)

    async def _drained(self, fleet: Fleet, key: Key) -> None:
        await fleet.remove()
        if key not in self._fleets:
            self._logs.pop(key, None)
            self._secrets.forget(key)
        self._write_state()

    async def _end_found(self) -> None:
        found, self._found = self._found, {}
        strays = [one for several in found.values() for one in several]
        if strays:
            log.warning("function.strays_ended", functions=sorted({one.record.name for one in strays}))
            await end_all(self._folder, strays)

    def _launch(self, deployment: FunctionDeployment, handler: Handler) -> Launch:
        variables = environment_of(deployment, handler, self._environ, self._secrets.folder(deployment.key))

        async def environ() -> dict[str, str]:
            await self._secrets.write(deployment)
            return variables

        return Launch(
            deployment, handler, self._python, environ, self._log(deployment.key), self._folder,
            _fingerprint(deployment, handler, self._python, variables),
        )  # fmt: skip

    async def _take_lock(self) -> None:
        """One gateway at a time: two would end each other's replicas as strays."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        self._held.append(file)
        deadline = time.monotonic() + _LOCK_WITHIN_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"another gateway keeps its functions in {self._lock.parent}; give this one a --state-file"
                    ) from None
            await asyncio.sleep(0.05)

    def _log(self, key: Key) -> FunctionLog:
        found = self._logs.get(key)
        if found is None:
            found = self._logs[key] = FunctionLog(*key, self._log_dir / f"function-{_part(key)}.log")
        return found

    def _write_state(self) -> None:
        """So that `jangada status` can tell of processes that are not the supervisor's own children."""
        rows: list[dict[str, Any]] = [
            {
                "part": f"function:{_part(key)}" + (f"#{member.index}" if member.index else ""),
                "pid": member.pid,
                "state": member.state,
                "started_at": member.started_at,
                "restarts": member.restarts,
                "port": member.port,
                "note": member.note,
                "needed": member.launch.handler.of_platform,
            }
            for key, fleet in self._fleets.items()
            for member in fleet.members
        ]
        temporary = self._state_file.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(rows), encoding="utf-8")
        temporary.replace(self._state_file)


def _part(key: Key) -> str:
    name, namespace = key
    return name if namespace == DEFAULT_NAMESPACE else f"{name}.{namespace}"


def _fingerprint(deployment: FunctionDeployment, handler: Handler, python: str, environ: Mapping[str, str]) -> str:
    """
    Which replicas may be taken over: those that were started from the same files with the same settings.

    Not the rest of the environment: whoever starts gateways may number them there.
    """
    settings = {name: value for name, value in environ.items() if name.startswith("JANGADA_")}
    said = [deployment.to_json(), str(handler.folder), str(handler.index), python, settings]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _measure(fleet: Fleet) -> tuple[dict[int, float], int]:
    """Processor seconds by process, and bytes of memory, of all replicas with their children."""
    seconds: dict[int, float] = {}
    memory_bytes = 0
    for member in fleet.members:
        if member.pid is None:
            continue
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(member.pid)
            for process in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    seconds[process.pid] = times.user + times.system
                    memory_bytes += process.memory_info().rss
    return seconds, memory_bytes

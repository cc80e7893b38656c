"""The *process* provider: a replica is a child process of the gateway that runs the function template."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from jangada.errors import StoreUnavailableError
from jangada.gateway.deployment import FunctionDeployment, Key
from jangada.gateway.fleet import Fleet
from jangada.gateway.function_log import FunctionLog
from jangada.gateway.handlers import Handler, Handlers
from jangada.gateway.provider import FunctionState, LogMessage, Replica, Usage
from jangada.gateway.replica_process import Launch, private_folder
from jangada.gateway.stack import DEFAULT_NAMESPACE

SecretSource = Callable[[str, str], Awaitable[bytes | None]]
"""Namespace and name to content: `GatewayState.secret`."""

# What any program may need of the machine's environment; a user's function gets nothing else of it.
_INHERITED = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "JANGADA_LOG_LEVEL", "JANGADA_LOG_FORMAT",
})  # fmt: skip


class ProcessProvider:
    """
    Runs a function as ``python <template>/index.py --function <handler> --port N --metrics-port N``.

    Implements `Provider`. *environ* is the whole environment of the platform's
    own functions; those of users get little of it, and their secrets as files in
    the folder that ``JANGADA_SECRETS_DIR`` and ``secret_mount_path`` name. The
    processes end with the gateway. Output lands in *log_dir*, what runs is
    written to *state_file*, secrets' files lie beside that.
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
    ) -> None:
        self._handlers = handlers
        self._secrets = secrets
        self._environ = dict(environ)
        self._log_dir = log_dir
        self._state_file = state_file
        self._secrets_dir = state_file.parent / "function-secrets"
        self._python = python
        self._fleets: dict[Key, Fleet] = {}
        self._logs: dict[Key, FunctionLog] = {}
        self._removing: set[asyncio.Task[None]] = set()
        self._cpu_seen: dict[Key, tuple[float, float, dict[int, float]]] = {}

    async def start(self) -> None:
        """Nothing survived the gateway; secrets' files of before are thrown away."""
        shutil.rmtree(self._secrets_dir, ignore_errors=True)
        self._write_state()

    async def stop(self) -> None:
        """SIGTERM to all at once; who has not ended after the grace is killed."""
        for task in self._removing:
            task.cancel()
        await asyncio.gather(*(fleet.end() for fleet in self._fleets.values()), *self._removing, return_exceptions=True)
        self._write_state()
        shutil.rmtree(self._secrets_dir, ignore_errors=True)

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
            self._fleets[deployment.key] = Fleet(launch, replicas, self._write_state)
        else:
            fleet.scale(replicas)
            fleet.update(launch)

    async def remove(self, name: str, namespace: str) -> None:
        """See `Provider`."""
        fleet = self._fleets.pop((name, namespace), None)
        if fleet is None:
            return
        task = asyncio.create_task(self._drained(fleet, (name, namespace)))
        self._removing.add(task)
        task.add_done_callback(self._removing.discard)
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

    async def _drained(self, fleet: Fleet, key: Key) -> None:
        await fleet.remove()
        if key not in self._fleets:
            self._logs.pop(key, None)
            shutil.rmtree(self._secrets_folder(key), ignore_errors=True)
        self._write_state()

    def _launch(self, deployment: FunctionDeployment, handler: Handler) -> Launch:
        async def environ() -> dict[str, str]:
            await self._write_secrets(deployment)
            return self._environment(deployment, handler)

        return Launch(deployment, handler, self._python, environ, self._log(deployment.key))

    def _environment(self, deployment: FunctionDeployment, handler: Handler) -> dict[str, str]:
        own = {
            "OPENFAAS_NAME": deployment.service,
            "OPENFAAS_NAMESPACE": deployment.namespace,
            "PYTHONUNBUFFERED": "1",
            "secret_mount_path": str(self._secrets_folder(deployment.key)),
        }
        if deployment.env_process:
            own["fprocess"] = deployment.env_process
        if handler.of_platform:
            return self._environ | own | dict(deployment.env_vars)
        inherited = {
            name: value for name, value in self._environ.items() if name in _INHERITED or name.startswith("LC_")
        }
        own["JANGADA_SECRETS_DIR"] = own["secret_mount_path"]
        return inherited | own | dict(deployment.env_vars)

    def _secrets_folder(self, key: Key) -> Path:
        return self._secrets_dir / key[1] / key[0]

    async def _write_secrets(self, deployment: FunctionDeployment) -> None:
        folder = private_folder(self._secrets_folder(deployment.key))
        for path in folder.iterdir():
            if path.name not in deployment.secrets:
                path.unlink(missing_ok=True)
        for name in deployment.secrets:
            # With the store away, what was written at the last start is still right.
            with contextlib.suppress(StoreUnavailableError):
                content = await self._secrets(deployment.namespace, name)
                if content is not None:
                    temporary = folder / f".{name}.{os.getpid()}"
                    temporary.touch(mode=0o600)
                    temporary.write_bytes(content)
                    temporary.replace(folder / name)

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

"""The *process* provider: a replica is a child process of the gateway that runs the function template."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jangada.errors import ConfigurationError
from jangada.gateway.process import Backoff, dies_with_parent, free_port
from jangada.gateway.provider import Replica
from jangada.gateway.stack import Stack, StackFunction
from jangada.logs import get_logger

log = get_logger(part="provider")

_READY_WITHIN_S = 60.0
_STOP_WITHIN_S = 12.0
_PROBE_EVERY_S = 0.05


@dataclass(slots=True)
class _Slot:
    """The place of one replica, whichever process fills it just now."""

    function: StackFunction
    index: int
    state: str = "waiting"
    process: asyncio.subprocess.Process | None = None
    replica: Replica | None = None
    port: int | None = None
    restarts: int = 0
    started_at: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)


class ProcessProvider:
    """
    Runs every function of *stack* as ``python <template>/index.py --function <handler> --port N --metrics-port N``.

    A replica that ends is started again, with backoff. *environ* is the whole
    environment of the platform's processes; a function's own ``environment``
    goes over it. Output lands in *log_dir*, what runs is written to *state_file*.
    """

    def __init__(
        self,
        stack: Stack,
        *,
        environ: Mapping[str, str],
        log_dir: Path,
        state_file: Path,
        secrets_dir: Path,
        python: str = sys.executable,
    ) -> None:
        self._stack = stack
        self._environ = dict(environ)
        self._log_dir = log_dir
        self._state_file = state_file
        self._python = python
        self._changed = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._slots = [
            _Slot(function, index) for function in stack.functions.values() for index in range(function.min_replicas)
        ]
        for function in stack.functions.values():
            self._check(function, secrets_dir)

    async def start(self) -> None:
        """Begin to start every replica."""
        self._tasks = [asyncio.create_task(self._keep(slot)) for slot in self._slots]

    async def stop(self) -> None:
        """SIGTERM to all at once; who has not ended after the grace is killed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def functions(self) -> Sequence[StackFunction]:
        """What the stack holds."""
        return tuple(self._stack.functions.values())

    def function(self, name: str, namespace: str) -> StackFunction | None:
        """The function of that name in that namespace, or None."""
        found = self._stack.functions.get(name)
        return found if found is not None and found.namespace == namespace else None

    def ready(self, function: StackFunction) -> Sequence[Replica]:
        """The replicas whose ``/_/ready`` said yes and that nobody suspects."""
        return [slot.replica for slot in self._slots if slot.function is function and slot.replica is not None]

    async def wait_ready(self, function: StackFunction, timeout_s: float) -> bool:
        """Wait for a ready replica, at most *timeout_s*."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: bool(self.ready(function)))
        return bool(self.ready(function))

    def suspect(self, replica: Replica) -> None:
        """Take *replica* out; its slot asks it again whether it is ready."""
        for slot in self._slots:
            if slot.replica is replica:
                slot.replica = None

    def _check(self, function: StackFunction, secrets_dir: Path) -> None:
        where = f"{self._stack.path}: function {function.name}"
        if not (self._stack.root / function.handler).is_dir():
            raise ConfigurationError(f"{where}: no folder {function.handler}")
        if not self._index(function).is_file():
            raise ConfigurationError(f"{where}: no template {function.lang} (expected {self._index(function)})")
        for secret in function.secrets:
            if not (secrets_dir / secret).is_file():
                raise ConfigurationError(f"{where}: unable to find secret: {secret}")

    def _index(self, function: StackFunction) -> Path:
        return self._stack.root / "template" / function.lang / "index.py"

    async def _keep(self, slot: _Slot) -> None:
        try:
            while True:
                started = time.monotonic()
                try:
                    await self._live(slot)
                except OSError as error:
                    log.error("function.start_failed", function=slot.function.name, reason=str(error))
                delay_s = slot.backoff.after(time.monotonic() - started)
                slot.restarts += 1
                await self._note(slot, "backoff")
                await asyncio.sleep(delay_s)
        finally:
            await self._end(slot)

    async def _live(self, slot: _Slot) -> None:
        """One process from its start to its end."""
        slot.port, metrics_port = free_port(), free_port()
        slot.started_at = time.time()
        log_path = self._log_dir / f"function-{slot.function.name}.log"
        with log_path.open("ab") as output:
            slot.process = await asyncio.create_subprocess_exec(
                self._python, str(self._index(slot.function)),
                "--function", str(self._stack.root / slot.function.handler),
                "--port", str(slot.port), "--metrics-port", str(metrics_port),
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                env=self._environment(slot.function), cwd=self._stack.root,
                # Ctrl-C in the terminal is for the supervisor alone, which stops everything in order.
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGKILL),
            )  # fmt: skip
        await self._note(slot, "starting")
        ended = asyncio.create_task(slot.process.wait())
        try:
            await self._watch(slot, ended)
        finally:
            ended.cancel()
            slot.replica = None

    async def _watch(self, slot: _Slot, ended: asyncio.Task[int]) -> None:
        deadline = time.monotonic() + _READY_WITHIN_S
        process = slot.process
        if process is None:
            raise RuntimeError("no process to watch")
        while not ended.done():
            if slot.replica is None:
                if await _is_ready(slot.port or 0):
                    slot.replica = Replica(slot.function.name, f"http://127.0.0.1:{slot.port}")
                    await self._note(slot, "ready")
                    log.info("function.ready", function=slot.function.name, port=slot.port, pid=process.pid)
                elif time.monotonic() > deadline:
                    log.error("function.never_ready", function=slot.function.name, after_s=_READY_WITHIN_S)
                    process.kill()
                    await process.wait()
                    return
            else:
                deadline = time.monotonic() + _READY_WITHIN_S
            await asyncio.wait([ended], timeout=_PROBE_EVERY_S if slot.replica is None else 0.5)
        log.warning("function.ended", function=slot.function.name, pid=process.pid, exit_code=ended.result())

    def _environment(self, function: StackFunction) -> dict[str, str]:
        names = {"OPENFAAS_NAME": function.name, "OPENFAAS_NAMESPACE": function.namespace}
        return self._environ | names | dict(function.environment)

    async def _note(self, slot: _Slot, state: str) -> None:
        slot.state = state
        self._write_state()
        async with self._changed:
            self._changed.notify_all()

    async def _end(self, slot: _Slot) -> None:
        process, slot.replica = slot.process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(_STOP_WITHIN_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        slot.state = "stopped"
        self._write_state()

    def _write_state(self) -> None:
        """So that `jangada status` can tell of processes that are not the supervisor's own children."""
        rows: list[dict[str, Any]] = [
            {
                "part": f"function:{slot.function.name}" + (f"#{slot.index}" if slot.index else ""),
                "pid": slot.process.pid if slot.process and slot.process.returncode is None else None,
                "state": slot.state,
                "started_at": slot.started_at,
                "restarts": slot.restarts,
                "port": slot.port,
            }
            for slot in self._slots
        ]
        temporary = self._state_file.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(rows), encoding="utf-8")
        temporary.replace(self._state_file)


async def _is_ready(port: int) -> bool:
    try:
        async with asyncio.timeout(2.0):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /_/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                status = await reader.readline()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
    return status.split(b" ")[1:2] == [b"200"]

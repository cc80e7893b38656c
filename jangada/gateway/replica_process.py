"""One replica as a child process: started, watched, started again with backoff, drained, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from jangada.errors import JangadaError
from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.function_log import FunctionLog
from jangada.gateway.handlers import Handler
from jangada.gateway.process import Backoff, dies_with_parent, free_port
from jangada.gateway.provider import Replica
from jangada.logs import get_logger

log = get_logger(part="provider")

_READY_WITHIN_S = 60.0
_STOP_WITHIN_S = 12.0
_DRAIN_WITHIN_S = 30.0
_EAGER_PROBE_S, _PROBE_S, _CALM_PROBE_S = 0.02, 0.1, 0.5
_EAGER_FOR_S = 3.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How replicas of one generation are started; *environ* is asked at every start, so that it sees new secrets."""

    deployment: FunctionDeployment
    handler: Handler
    python: str
    environ: Callable[[], Awaitable[dict[str, str]]]
    log: FunctionLog


class ReplicaProcess:
    """
    Keeps one replica alive until `retire` or `end`.

    *index* is its place among the function's replicas, *changed* is called
    whenever its state is another one.
    """

    def __init__(self, launch: Launch, index: int, instance: str, changed: Callable[[], None]) -> None:
        self.launch = launch
        self.index = index
        self.state = "waiting"
        self.port: int | None = None
        self.restarts = 0
        self.started_at = 0.0
        self.replica = Replica(launch.deployment.service, "", instance=instance)
        self.is_ready = False
        self.is_leaving = False
        self.note = ""
        self._process: asyncio.subprocess.Process | None = None
        self._changed = changed
        self._backoff = Backoff()
        self._task = asyncio.create_task(self._keep())

    @property
    def pid(self) -> int | None:
        """Of the process, while it lives."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def suspect(self) -> None:
        """Ask it again whether it is ready before it gets another request."""
        self._note(self.state, ready=False)

    async def retire(self) -> None:
        """Give it no more requests, let those in flight end, then end it."""
        self.is_leaving = True
        self._note("draining", ready=False)
        deadline = time.monotonic() + _DRAIN_WITHIN_S
        while self.replica.in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await self.end()

    async def end(self) -> None:
        """SIGTERM, and SIGKILL after the grace; returns when the process is gone."""
        self.is_leaving = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        name = self.launch.deployment.qualified_name
        try:
            while True:
                started = time.monotonic()
                try:
                    await self._live()
                except (OSError, ValueError, JangadaError) as error:
                    self.note = f"cannot start: {error}"
                    log.error("function.start_failed", function=name, reason=str(error))
                delay_s = self._backoff.after(time.monotonic() - started)
                self.restarts += 1
                self._note("backoff", ready=False)
                await asyncio.sleep(delay_s)
        finally:
            await self._end_process()
            self._note("stopped", ready=False)

    async def _live(self) -> None:
        """One process from its start to its end."""
        environ = await self.launch.environ()
        self.port, metrics_port = free_port(), free_port()
        self.replica.address = f"http://127.0.0.1:{self.port}"
        self.started_at = time.time()
        handler = self.launch.handler
        self._process = process = await asyncio.create_subprocess_exec(
            self.launch.python, str(handler.index),
            "--function", str(handler.folder),
            "--port", str(self.port), "--metrics-port", str(metrics_port),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=environ, cwd=handler.root,
            # Ctrl-C in the terminal is for the supervisor alone, which stops everything in order.
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGKILL),
        )  # fmt: skip
        self._note("starting", ready=False)
        if process.stdout is None:
            raise RuntimeError("no pipe to read from")
        pump = asyncio.create_task(self.launch.log.pump(self.replica.instance, process.stdout))
        ended = asyncio.create_task(process.wait())
        try:
            await self._watch(process, ended)
            # Its last words may still be in the pipe.
            await asyncio.wait([pump], timeout=0.5)
        finally:
            if self.is_leaving:
                await self._end_process()
            ended.cancel()
            pump.cancel()
            await asyncio.gather(pump, ended, return_exceptions=True)

    async def _watch(self, process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        name = self.launch.deployment.qualified_name
        begun = unready_since = time.monotonic()
        while not ended.done():
            now = time.monotonic()
            if self.is_ready:
                unready_since = now
                pause_s = _CALM_PROBE_S
            elif await is_ready(self.port or 0):
                log.info(
                    "function.ready", function=name, port=self.port, pid=process.pid, after_s=round(now - begun, 3)
                )
                self.note = ""
                self._note("ready", ready=not self.is_leaving)
                continue
            elif now - unready_since > _READY_WITHIN_S:
                log.error("function.never_ready", function=name, after_s=_READY_WITHIN_S)
                self.note = f"not ready within {_READY_WITHIN_S:.0f} s"
                process.kill()
                await process.wait()
                self._note("ended", ready=False)
                return
            else:
                pause_s = _EAGER_PROBE_S if now - begun < _EAGER_FOR_S else _PROBE_S
            await asyncio.wait([ended], timeout=pause_s)
        self.note = f"ended with exit code {ended.result()}"
        # At once: the proxy must not choose it while its last words are read.
        self._note("ended", ready=False)
        log.warning("function.ended", function=name, pid=process.pid, exit_code=ended.result())

    def _note(self, state: str, *, ready: bool) -> None:
        if (state, ready) != (self.state, self.is_ready):
            self.state, self.is_ready = state, ready
            self._changed()

    async def _end_process(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                await process.wait()
        except TimeoutError:
            # What it started is in its session too.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def is_ready(port: int) -> bool:
    """Whether what listens on *port* of this machine says 200 to ``/_/ready``."""
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


def private_folder(path: Path) -> Path:
    """Make *path* and what is above it, readable by its owner alone."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path

"""One replica as a process: started or found, watched, started again with backoff, drained, ended."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from jangada.errors import JangadaError
from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.function_log import FunctionLog
from jangada.gateway.handlers import Handler
from jangada.gateway.probes import Probe, Probes, Streak
from jangada.gateway.process import Backoff, free_port
from jangada.gateway.provider import Replica
from jangada.gateway.replica_output import ReplicaOutput
from jangada.gateway.replica_record import ReplicaFolder, ReplicaRecord
from jangada.gateway.running_process import RunningProcess, kernel_start
from jangada.logs import get_logger

log = get_logger(part="provider")

_HOST = "127.0.0.1"
_READY_WITHIN_S = 60.0
STOP_WITHIN_S = 12.0
_DRAIN_WITHIN_S = 30.0
_EAGER_PROBE_S, _PROBE_S, _CALM_PROBE_S = 0.02, 0.1, 0.5
_EAGER_FOR_S = 3.0


@dataclass(frozen=True, slots=True)
class Launch:
    """
    How replicas of one generation are started; *environ* is asked at every start, so that it sees new secrets.

    *fingerprint* is the same for launches that run the same in the same way.
    """

    deployment: FunctionDeployment
    handler: Handler
    python: str
    environ: Callable[[], Awaitable[dict[str, str]]]
    log: FunctionLog
    folder: ReplicaFolder
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Found:
    """A replica that an earlier gateway started, and that still lives."""

    record: ReplicaRecord
    process: RunningProcess


class ReplicaProcess:
    """
    Keeps one replica alive until `retire` or `end`.

    *index* is its place among the function's replicas, *changed* is called
    whenever its state is another one. *found* is what it goes on with instead of
    starting a process.
    """

    def __init__(
        self, launch: Launch, index: int, instance: str, changed: Callable[[], None], found: Found | None = None
    ) -> None:
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
        self.next_start: float | None = None
        """When it is started again, in monotonic seconds; None while it runs."""
        self._was_ready = False
        self._process: RunningProcess | None = None
        self._output: ReplicaOutput | None = None
        self._record: ReplicaRecord | None = None
        self._changed = changed
        self._backoff = Backoff()
        if found is not None:
            self._go_on_with(found)
        self._task = asyncio.create_task(self._keep())

    @property
    def pid(self) -> int | None:
        """Of the process, while it lives."""
        process = self._process
        return process.pid if process is not None and process.is_running else None

    @property
    def generation(self) -> int:
        """Which deployment its process is of."""
        return self._record.generation if self._record is not None else self.launch.deployment.generation

    def confirm(self, launch: Launch) -> None:
        """What it runs is *launch*, whose generation was not known before."""
        self.launch = launch
        if self._record is not None:
            self._write(replace(self._record, generation=launch.deployment.generation))

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
        if self._process is not None:
            await self._end(self._process)
            self._let_go(self._process)
        self._close_output()
        self.launch.folder.forget(self.launch.deployment.key, self.replica.instance)
        self._note("stopped", ready=False)

    def _go_on_with(self, found: Found) -> None:
        record = found.record
        self._process, self._record = found.process, record
        self.port, self.restarts, self.started_at = record.port, record.restarts, record.started_at
        self.replica.address = f"http://{_HOST}:{record.port}"
        self.state = "starting"
        self._output = self._open_output()
        self._output.start()

    async def _keep(self) -> None:
        name = self.launch.deployment.qualified_name
        while True:
            began = time.monotonic()
            try:
                process = self._process or await self._start()
                await self._live(process)
            except (OSError, ValueError, JangadaError) as error:
                self._close_output()
                self.note = f"cannot start: {error}"
                log.error("function.start_failed", function=name, reason=str(error))
            delay_s = self._backoff.after(time.monotonic() - began)
            self.next_start = time.monotonic() + delay_s
            self.restarts += 1
            self._note("backoff", ready=False)
            await asyncio.sleep(delay_s)

    async def _start(self) -> RunningProcess:
        self.next_start, self._was_ready = None, False
        environ = await self.launch.environ()
        self.port, metrics_port = free_port(), free_port()
        self.replica.address = f"http://{_HOST}:{self.port}"
        self.started_at = time.time()
        handler = self.launch.handler
        self._output = output = self._open_output()
        into = output.open_for_child()
        intent = ReplicaRecord(
            *self.launch.deployment.key, self.replica.instance, self.index, self.launch.deployment.generation,
            self.launch.fingerprint, 0, "", self.started_at, self.port, self.restarts,
        )  # fmt: skip
        # Before there is a process: should we die in between, the next gateway knows what to look for.
        self._write(intent)
        try:
            # In a session of its own: Ctrl-C in the terminal is for the supervisor alone, which stops everything
            # in order. And not tied to us: it outlives a gateway that is killed.
            child = subprocess.Popen(
                [
                    self.launch.python, str(handler.index),
                    "--function", str(handler.folder),
                    "--port", str(self.port), "--metrics-port", str(metrics_port),
                ],
                stdin=subprocess.DEVNULL, stdout=into, stderr=into,
                env=environ, cwd=handler.root, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(into)
        started = kernel_start(child.pid) or ""
        self._write(replace(intent, pid=child.pid, started=started))
        self._process = RunningProcess(child.pid, started, child)
        output.start()
        self._note("starting", ready=False)
        return self._process

    async def _live(self, process: RunningProcess) -> None:
        """One process until it ends."""
        probes = Probes.of(self.launch.deployment.annotations)
        health = asyncio.create_task(self._watch_health(process, probes.health)) if probes.health else None
        try:
            await self._watch(process, probes.ready)
        finally:
            if health is not None:
                health.cancel()
                await asyncio.gather(health, return_exceptions=True)
        self._let_go(process)

    async def _watch(self, process: RunningProcess, probe: Probe) -> None:
        name = self.launch.deployment.qualified_name
        begun = unready_since = time.monotonic()
        streak = Streak(probe, verdict=False)
        while process.is_running:
            now = time.monotonic()
            pause_s = probe.period_s if probe.is_watched else _CALM_PROBE_S
            if not self.is_ready or probe.is_watched:
                # Somebody may have suspected it meanwhile.
                streak = streak if streak.verdict is self.is_ready else Streak(probe, verdict=self.is_ready)
                is_due = now - begun >= probe.initial_delay_s
                ready = is_due and streak.count(await probe.ask(_HOST, self.port or 0))
                if ready and not self.is_ready:
                    self._says_ready(process, now - begun)
                elif not ready and self.is_ready:
                    self.note = f"not ready: {probe.path} fails"
                    self._note(self.state, ready=False)
                    unready_since = now
                if not ready:
                    pause_s = _EAGER_PROBE_S if now - begun < _EAGER_FOR_S else _PROBE_S
            if self.is_ready:
                unready_since = time.monotonic()
            elif now - unready_since > _READY_WITHIN_S + probe.initial_delay_s:
                log.error("function.never_ready", function=name, after_s=_READY_WITHIN_S)
                self.note = f"not ready within {_READY_WITHIN_S:.0f} s"
                await self._end(process)
                self._note("ended", ready=False)
                return
            await process.wait(pause_s)
        self.note = self.note if self.note.startswith("unhealthy") else process.ending
        # At once: the proxy must not choose it while its last words are read.
        self._note("ended", ready=False)
        log.warning("function.ended", function=name, pid=process.pid, exit_code=process.exit_code)

    async def _watch_health(self, process: RunningProcess, probe: Probe) -> None:
        streak = Streak(probe, verdict=True)
        await asyncio.sleep(probe.initial_delay_s)
        while process.is_running:
            await asyncio.sleep(probe.period_s)
            # One that is still starting is not ill.
            if self._was_ready and not streak.count(await probe.ask(_HOST, self.port or 0)):
                self.note = f"unhealthy: {probe.path} fails"
                log.warning("function.unhealthy", function=self.launch.deployment.qualified_name, pid=process.pid)
                await self._end(process)
                return

    def _says_ready(self, process: RunningProcess, after_s: float) -> None:
        name = self.launch.deployment.qualified_name
        log.info("function.ready", function=name, port=self.port, pid=process.pid, after_s=round(after_s, 3))
        self.note, self._was_ready = "", True
        self._note("ready", ready=not self.is_leaving)

    def _note(self, state: str, *, ready: bool) -> None:
        if (state, ready) != (self.state, self.is_ready):
            self.state, self.is_ready = state, ready
            self._changed()

    def _write(self, record: ReplicaRecord) -> None:
        self._record = record
        try:
            self.launch.folder.write(record)
        except OSError as error:
            # On a full disk functions run all the same; only the next gateway would not know this one.
            log.warning("function.not_recorded", function=record.name, reason=str(error))

    def _open_output(self) -> ReplicaOutput:
        instance = self.replica.instance
        return ReplicaOutput(
            self.launch.folder.pipe(self.launch.deployment.key, instance), self.launch.log, instance
        )  # fmt: skip

    def _let_go(self, process: RunningProcess) -> None:
        """It has ended: take its last words."""
        self._close_output()
        process.close()
        self._process = None

    def _close_output(self) -> None:
        if self._output is not None:
            self._output.close()
            self._output = None

    async def _end(self, process: RunningProcess) -> None:
        process.terminate()
        if not await process.wait(STOP_WITHIN_S):
            # What it started is in its session too.
            process.kill()
            await process.wait()


def private_folder(path: Path) -> Path:
    """Make *path* and what is above it, readable by its owner alone."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path

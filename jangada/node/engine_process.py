"""Replicas as child processes of the agent: the embedded platform, and servers without Docker."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jangada.algorithms.manifest import AlgorithmManifest, load_manifest
from jangada.deployments.deployment import Lane
from jangada.deployments.node import Engine
from jangada.errors import ConfigurationError
from jangada.node.engine import Condition, EngineError, Order, Report, Seen, executor_options, read_report

WRONG_USAGE = 2
"""How an executor ends when a setting or a file is wrong."""
KILL_AFTER_S = 5.0
"""An executor that was told to stop gets this beyond its jobs' grace, to hand back what runs."""
_PR_SET_PDEATHSIG = 1
# Loaded before any fork: between fork and exec nothing may take the loader's lock.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(slots=True)
class _Replica:
    process: subprocess.Popen[bytes]
    ready_file: Path
    log: Path
    report: Report | None = None
    killed_at: float | None = None
    """When it is killed, should it still run then."""
    is_hurried: bool = False


class ProcessEngine:
    """
    A `ReplicaEngine`: ``python -m jangada.executor`` for each replica, its log in *logs*, what it says in *run_dir*.

    The kernel tells them to stop when the agent dies, whatever it dies of: they then
    hand their jobs back. To be used from the main thread, which the kernel looks at.
    """

    kind = Engine.PROCESS

    def __init__(
        self,
        versions: Mapping[str, Sequence[AlgorithmManifest]],
        environ: Mapping[str, str],
        *,
        logs: Path,
        run_dir: Path,
    ) -> None:
        self._versions = dict(versions)
        self._environ = {name: value for name, value in environ.items() if name != "JANGADA_METRICS_LISTEN"}
        self._logs = logs
        self._run_dir = run_dir / "executors"
        self._replicas: dict[str, _Replica] = {}

    def algorithms(self) -> Mapping[str, tuple[str, ...]]:
        """Those whose folders lie here, the newest version first."""
        return {name: tuple(one.version for one in versions) for name, versions in self._versions.items()}

    def adopt(self, replicas: Sequence[str]) -> list[str]:  # noqa: ARG002 - none can have outlived its agent
        """None: they end with their agent."""
        shutil.rmtree(self._run_dir, ignore_errors=True)
        return []

    def start(self, order: Order) -> None:
        """See `ReplicaEngine.start`."""
        folder = self._folder_of(order.lane)
        self._run_dir.mkdir(parents=True, exist_ok=True)
        ready_file = self._run_dir / order.replica.id
        # One log for each place: the next replica there writes on, and restarts do not fill the disk with files.
        log = self._logs / f"replica-{order.lane.name}-{order.replica.ordinal}.log"
        try:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    [
                        sys.executable, "-m", "jangada.executor", str(folder),
                        *executor_options(order, ready_file=ready_file),
                    ],
                    env=self._environ | gpu_environ(order),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=_told_when_parent_dies(),  # noqa: PLW1509 - two system calls, no lock
                )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            raise EngineError(f"cannot start an executor: {error}") from error
        self._replicas[order.replica.id] = _Replica(process, ready_file, log)

    def _folder_of(self, lane: Lane) -> Path:
        """Where the wished version lies; the newest, where none is wished. Raises `EngineError`."""
        versions = self._versions.get(lane.algorithm, ())
        wished = lane.algorithm_version
        known = next((one for one in versions if wished in {None, one.version}), None)
        if known is None:
            of = "" if wished is None else f"version {wished} of "
            raise EngineError(f"this node has no {of}algorithm {lane.algorithm}")
        try:
            found = load_manifest(known.folder)
        except ConfigurationError as error:
            raise EngineError(error.detail) from error
        # An author may have gone on writing since the agent was started.
        if found.name != lane.algorithm or wished not in {None, found.version}:
            lies = f"{known.folder} holds version {found.version} of {found.name} by now"
            raise EngineError(f"{lies}, not {known.version} of {lane.algorithm}: start the agent again")
        return known.folder

    def look(self) -> dict[str, Seen]:
        """See `ReplicaEngine.look`."""
        return {replica_id: self._seen(one) for replica_id, one in self._replicas.items()}

    def stop(self, replica_id: str, grace_s: float) -> None:
        """See `ReplicaEngine.stop`."""
        one = self._replicas.get(replica_id)
        if one is None:
            return
        until = time.monotonic() + grace_s + KILL_AFTER_S
        if one.killed_at is None:
            _signal(one.process, signal.SIGTERM)
        if grace_s <= 0 and not one.is_hurried:
            # Told twice, an executor hands back at once; two of the same signal could arrive as one.
            one.is_hurried = True
            _signal(one.process, signal.SIGINT)
        one.killed_at = until if one.killed_at is None else min(one.killed_at, until)

    def kill(self, replica_id: str) -> None:
        """See `ReplicaEngine.kill`."""
        one = self._replicas.get(replica_id)
        if one is not None and one.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(one.process.pid, signal.SIGKILL)

    def forget(self, replica_id: str) -> None:
        """See `ReplicaEngine.forget`."""
        one = self._replicas.pop(replica_id, None)
        if one is not None:
            one.ready_file.unlink(missing_ok=True)

    def close(self) -> None:
        """Kill what still runs."""
        for replica_id, one in list(self._replicas.items()):
            self.kill(replica_id)
            one.process.wait()
            self.forget(replica_id)

    def _seen(self, one: _Replica) -> Seen:
        code = one.process.poll()
        if code is not None:
            asked = one.killed_at is not None
            note = "" if asked else f"{_ending(code)}: {_last_words(one.log)}"
            return Seen(Condition.ENDED, note, will_not_mend=code == WRONG_USAGE and one.report is None)
        if one.killed_at is not None and time.monotonic() > one.killed_at:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(one.process.pid, signal.SIGKILL)
        if one.report is None:
            one.report = read_report(one.ready_file)
        return Seen(Condition.STARTING) if one.report is None else Seen(Condition.READY, report=one.report)


def gpu_environ(order: Order) -> dict[str, str]:
    """
    Which GPUs the executor sees: those of its replica, by UUID, and else none.

    Only the deployment that an algorithm has without anybody's asking sees all: nothing says what it needs.
    """
    if order.deployment.resources.gpu is None and order.deployment.is_implicit:
        return {}
    return {"CUDA_VISIBLE_DEVICES": ",".join(order.replica.gpus)}


def _told_when_parent_dies() -> Callable[[], None]:
    parent = os.getpid()

    def before_exec() -> None:
        if _libc is None:
            return
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        # It may have died between fork and prctl; then no signal ever comes.
        if os.getppid() != parent:
            os._exit(1)

    return before_exec


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _last_words(log: Path) -> str:
    try:
        lines = log.read_bytes()[-4096:].decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:300]

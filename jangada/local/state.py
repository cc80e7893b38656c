"""What the supervisor tells the world: who runs, since when, where. And the lock that says "it runs"."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from jangada.errors import ConfigurationError
from jangada.local.home import Home, write_private


@dataclass(slots=True)
class PartState:
    """
    One part as the state file tells of it.

    *started_at* is seconds since 1970, as the kernel counts them. The platform
    can be up without a part that is not *needed*.
    """

    part: str
    state: str = "waiting"
    pid: int | None = None
    started_at: float | None = None
    restarts: int = 0
    port: int | None = None
    note: str = ""
    needed: bool = True


@dataclass(slots=True)
class PlatformState:
    """The whole; *state* is ``starting``, ``ready``, ``stopping``, ``stopped`` or ``failed``."""

    state: str
    pid: int
    url: str
    home: str
    started_at: float
    note: str = ""
    parts: list[PartState] = field(default_factory=list)

    def write(self, home: Home) -> None:
        """Replace the state file."""
        write_private(home.state_file, json.dumps(asdict(self)))

    @classmethod
    def read(cls, home: Home) -> PlatformState | None:
        """What was written last, by whoever; None when there is nothing readable."""
        try:
            body: dict[str, Any] = json.loads(home.state_file.read_text(encoding="utf-8"))
            parts = [PartState(**part) for part in body.pop("parts")]
            return cls(**body, parts=parts)
        except (OSError, ValueError, TypeError, KeyError):
            return None


@contextlib.contextmanager
def held_lock(home: Home) -> Iterator[bool]:
    """
    Hold the lock of *home* while inside; yields False when another supervisor holds it.

    The kernel drops it with the process, so a stale one cannot exist.
    """
    # "a": whoever finds it held must not empty it.
    with _lock_path(home).open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def is_running(home: Home) -> bool:
    """Whether a supervisor holds the lock of *home*."""
    if not _lock_path(home).exists():
        return False
    try:
        with held_lock(home) as free:
            return not free
    except PermissionError as error:
        raise ConfigurationError(f"cannot open {_lock_path(home)}: no permission") from error


def function_rows(home: Home) -> list[PartState]:
    """The functions' processes as the gateway wrote them down."""
    try:
        return [PartState(**row) for row in json.loads(home.functions_file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


def same_process(pid: int | None, started_at: float | None) -> psutil.Process | None:
    """The process *pid* if it is the one that started then; a recycled pid is somebody else."""
    if pid is None or started_at is None:
        return None
    try:
        process = psutil.Process(pid)
        # A state file holds the clock's reading just around the fork.
        alike = abs(process.create_time() - started_at) < 2.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return process if alike else None


def end_leftovers(home: Home, within_s: float = 8.0) -> int:
    """
    Wait for the parts of a supervisor that was killed, then kill what is left; return how many there were.

    The kernel tells them to end when their supervisor does; this is for those
    that take their time, and for systems whose kernel does not. To be called
    with the lock held.
    """
    old = PlatformState.read(home)
    rows = [*(old.parts if old else ()), *function_rows(home)]
    left = [process for row in rows if (process := same_process(row.pid, row.started_at)) is not None]
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(left, timeout=within_s)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    home.functions_file.unlink(missing_ok=True)
    return len(left)


def stop_running(home: Home, within_s: float = 60.0) -> bool:
    """Tell the running supervisor to stop and wait for it; False when none runs. Raises `TimeoutError`."""
    if not is_running(home):
        return False
    state = PlatformState.read(home)
    if state is None or same_process(state.pid, state.started_at) is None:
        raise ConfigurationError(f"something holds {_lock_path(home)}, but {home.state_file} does not say what")
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + within_s
    while is_running(home):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the supervisor (pid {state.pid}) has not stopped within {within_s:.0f} s")
        time.sleep(0.1)
    return True


def _lock_path(home: Home) -> Path:
    return home.run_dir / "supervisor.lock"

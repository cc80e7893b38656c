"""One part of the platform: a child process that is started, watched, started again, and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jangada.gateway.process import Backoff, dies_with_parent
from jangada.local.probe import Probe
from jangada.local.state import PartState

EXIT_CONFIGURATION = 2
"""How our programs end when a setting or a file is wrong: starting again will not mend it."""


@dataclass(frozen=True, slots=True)
class PartPlan:
    """
    What a part is.

    It starts when every part in *after* is ready, and is ready itself when
    *probe* says so (at once when there is none). One with *once* ends by itself:
    exit code 0 makes it ``done``. The platform is up when all *needed* parts are
    ready; it waits for others *awaited_s* at most, or until they failed. *stage*
    orders the stopping: low stages first. *death_signal* is what the kernel sends
    it should the supervisor vanish.
    """

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    cwd: Path
    log: Path
    after: tuple[str, ...] = ()
    probe: Probe | None = None
    once: bool = False
    needed: bool = True
    awaited_s: float = 0.0
    stage: int = 0
    stop_within_s: float = 15.0
    death_signal: signal.Signals = signal.SIGKILL
    port: int | None = None
    pass_fds: tuple[int, ...] = ()


@dataclass(slots=True)
class Part:
    """A plan and the process that follows it. Times are monotonic seconds unless they say otherwise."""

    plan: PartPlan
    state: str = "waiting"
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    started_at: float | None = None
    restarts: int = 0
    next_start: float = 0.0
    note: str = ""
    failures_before_ready: int = 0
    is_misconfigured: bool = False
    has_been_ready: bool = False
    ends_by: float | None = None
    """Until when a process that is to be started again may take to end."""
    _backoff: Backoff = field(default_factory=Backoff)

    @property
    def is_up(self) -> bool:
        """Ready, or done for good."""
        return self.state in {"ready", "done"}

    def is_awaited(self, for_s: float) -> bool:
        """Whether the platform's start, *for_s* seconds old, still waits for it."""
        if self.is_up:
            return False
        return self.plan.needed or (for_s < self.plan.awaited_s and not self.failures_before_ready)

    def start(self) -> None:
        """Start the process; what cannot even be started counts as one that ended at once."""
        self.started, self.started_at = time.monotonic(), time.time()
        try:
            with self.plan.log.open("ab") as output:
                self.process = subprocess.Popen(
                    list(self.plan.argv),
                    env=dict(self.plan.environ),
                    cwd=self.plan.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    # Ctrl-C in the terminal reaches the supervisor alone.
                    start_new_session=True,
                    preexec_fn=dies_with_parent(self.plan.death_signal),  # noqa: PLW1509 - the supervisor has one thread
                    pass_fds=self.plan.pass_fds,
                )
        except (OSError, subprocess.SubprocessError) as error:
            self._ended(f"cannot start: {error}")
            return
        self.state = "starting"

    def watch(self) -> None:
        """Look at the process: has it ended, is it ready?"""
        if self.process is None or self.state not in {"starting", "ready"}:
            return
        code = self.process.poll()
        if code is None:
            if self.ends_by is not None and time.monotonic() > self.ends_by:
                self.kill_group()
            if self.state == "starting" and not self.plan.once and (self.plan.probe is None or self.plan.probe()):
                self.state, self.has_been_ready, self.note = "ready", True, ""
            return
        self.process = None
        if self.ends_by is not None:
            self.state, self.ends_by, self.note = "waiting", None, ""
            return
        if self.plan.once and code == 0:
            self.state, self.has_been_ready, self.note = "done", True, ""
        else:
            self.is_misconfigured = code == EXIT_CONFIGURATION and not self.has_been_ready
            self._ended(_ending(code))

    def restart(self) -> None:
        """End the process in good order and start it again at once: what it runs from has changed."""
        self.next_start, self._backoff = 0.0, Backoff()
        if self.process is not None and self.ends_by is None:
            self.ends_by = time.monotonic() + self.plan.stop_within_s
            self.tell(signal.SIGTERM)

    def tell(self, number: signal.Signals) -> None:
        """Send *number* if the process lives."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def has_ended(self) -> bool:
        """Whether no process is left; after that the state is ``stopped``."""
        if self.process is not None and self.process.poll() is None:
            return False
        self.process = None
        self.state = "stopped"
        return True

    def kill_group(self) -> None:
        """SIGKILL to the process and what it started in its own session."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def row(self) -> PartState:
        """For the state file."""
        pid = self.process.pid if self.process is not None else None
        return PartState(
            self.plan.name, self.state, pid, self.started_at, self.restarts, self.plan.port if pid else None, self.note
        )

    def _ended(self, note: str) -> None:
        now = time.monotonic()
        self.process = None
        self.state, self.note = "backoff", note
        self.restarts += 1
        if not self.has_been_ready:
            self.failures_before_ready += 1
        self.next_start = now + self._backoff.after(now - self.started)


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"


def last_words(log: Path) -> str:
    """The last line of *log* that says anything."""
    try:
        lines = log.read_bytes()[-4096:].decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")

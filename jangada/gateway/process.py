"""What every child process of the platform needs: to die with its parent, to be restarted without haste, a port."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: between fork and exec nothing may take the loader's lock.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def dies_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """
    A ``preexec_fn`` that makes the kernel send *death_signal* when the parent's creating thread ends.

    Spawn from the main thread: the kernel looks at the thread, not at the
    process. Where there is no such call (macOS) leftovers are found by the
    state file instead.
    """
    parent = os.getpid()

    def before_exec() -> None:
        if _libc is None:
            return
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        # The parent may have died between fork and prctl; then no signal ever comes.
        if os.getppid() != parent:
            os._exit(1)

    return before_exec


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Backoff:
    """
    How long to wait before a restart: doubles from *first_s* to *most_s*; a life of *calm_s* forgets the past.

    It is there to spare the processor from something that ends as soon as it
    starts, not to punish: what worked and was killed comes back at once.
    """

    first_s: float = 0.1
    most_s: float = 10.0
    calm_s: float = 3.0
    _failures: int = 0

    def after(self, lifetime_s: float) -> float:
        """Seconds to wait before the restart of something that lived *lifetime_s*."""
        if lifetime_s >= self.calm_s:
            self._failures = 0
        delay_s = min(self.most_s, self.first_s * 2.0 ** min(self._failures, 20))
        self._failures += 1
        return delay_s

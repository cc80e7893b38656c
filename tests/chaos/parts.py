"""The processes of a platform whose parts a test starts by itself, each kept alive by a thread of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.servers import ROOT, Server

RESTART_S = 0.3
"""What a supervisor takes to notice."""


class Program(Server):
    """A part of the platform: ``python -m <module> …`` with an environment of its own."""

    def __init__(self, folder: Path, arguments: Sequence[str], environ: dict[str, str], *, listens: bool) -> None:
        super().__init__(folder)
        self._arguments = list(arguments)
        self._environ = environ
        self._listens = listens

    def command(self) -> list[str]:
        return [sys.executable, "-m", *(word.replace("{port}", str(self.port)) for word in self._arguments)]

    def environ(self) -> dict[str, str]:
        return self._environ

    def cwd(self) -> Path:
        return ROOT

    def _answers(self) -> bool:
        return super()._answers() if self._listens else self.is_running


class Kept(threading.Thread):
    """
    Starts *server* again whenever it has ended, unless it is to stay down for a while.

    The kernel ties "die with your parent" to the thread that forked: this one lives
    as long as its server may.
    """

    def __init__(self, name: str, server: Server, began: bool = True) -> None:
        super().__init__(name=f"keeps-{name}", daemon=True)
        self.server = server
        self.restarts = 0
        self._began = began
        self._down_until = 0.0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.05):
            if self.server.is_running:
                continue
            if self._began:
                self._over.wait(RESTART_S)
            while time.monotonic() < self._down_until and not self._over.is_set():
                time.sleep(0.02)
            if self._over.is_set():
                break
            self.restarts += self._began
            self._began = True
            try:
                self.server.start()
            except AssertionError:
                # It ended at once, or takes long on a busy machine: looked at again.
                continue
        self.server.stop()

    def signal(self, number: signal.Signals, stay_down_s: float = 0.0) -> bool:
        """Send *number*; False when there is no process just now."""
        if not self.server.is_running:
            return False
        if stay_down_s:
            self._down_until = time.monotonic() + stay_down_s
        try:
            os.kill(self.server.pid, number)
        except (ProcessLookupError, AssertionError):
            return False
        return True

    def end(self) -> None:
        """Stop the server for good."""
        self._over.set()
        if self.is_alive():
            self.join(30)
        else:
            self.server.stop()


def once(arguments: Sequence[str], environ: dict[str, str]) -> None:
    """Run a module to its end; fails with what it said."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr

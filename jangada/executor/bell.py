"""The thread that listens for new jobs."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from jangada.jobs.execution import JobExecution

LISTEN_S = 10.0


class Bell:
    """Listens for new jobs on a thread of its own, only while the loop has asked it to."""

    def __init__(self, execution: JobExecution, on_ring: Callable[[], None]) -> None:
        self._execution = execution
        self._on_ring = on_ring
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def listen(self) -> None:
        """Say once when the bell rings next, or nothing."""
        if not self._wanted.is_set():
            self._wanted.set()

    def stop(self) -> None:
        """Listen no more; the thread ends by itself within `LISTEN_S`."""
        self._stopped.set()
        self._wanted.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wanted.wait()
            self._wanted.clear()
            try:
                heard = False
                while not (heard or self._stopped.is_set()):
                    heard = self._execution.listen(LISTEN_S)
                if not self._stopped.is_set():
                    self._on_ring()
                elif heard:
                    self._execution.pass_on()
            except Exception:  # noqa: BLE001 — the loop meets the same failure and reports it
                time.sleep(random.uniform(0.25, 0.5))
                self._wanted.set()

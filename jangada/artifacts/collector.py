"""The thread that removes expired files, in whatever process starts it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from jangada.errors import JangadaError
from jangada.logs import get_logger

EVERY_S = 60.0

_log = get_logger()


class Collector:
    """
    Calls *collect* each *every_s* seconds, when *is_my_turn* says so.

    *collect* answers how many it removed. A store that is away is tried again the
    next time.
    """

    def __init__(self, collect: Callable[[], int], *, is_my_turn: Callable[[], bool], every_s: float = EVERY_S) -> None:
        self._collect = collect
        self._is_my_turn = is_my_turn
        self._every_s = every_s
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; the first round is one interval away."""
        self._thread = threading.Thread(target=self._run, name="artifact-collector", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, after the round that is going on."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def once(self) -> int:
        """One round, if it is our turn: how many were removed."""
        try:
            removed = self._collect() if self._is_my_turn() else 0
        except JangadaError as error:
            _log.warning("artifacts.collect_failed", reason=error.detail)
            return 0
        if removed:
            _log.info("artifacts.collected", files=removed)
        return removed

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            self.once()

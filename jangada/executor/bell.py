"""Listening for new jobs: on the loop's own selector where the queue can, else on a thread."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable

from jangada.errors import StoreUnavailableError
from jangada.executor.dealings import Execution
from jangada.executor.pool import SlotPool
from jangada.jobs.bell_claims import ClaimingLine, Ring

LISTEN_S = 10.0


class Bell:
    """Listens for new jobs on a thread of its own, only while the loop has asked it to."""

    def __init__(self, execution: Execution, on_ring: Callable[[Ring], None]) -> None:
        self._execution = execution
        self._on_ring = on_ring
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def listen(self, *, claims: bool = False) -> None:  # noqa: ARG002 - a thread that waits claims nothing
        """Say once when the bell rings next, or nothing."""
        if not self._wanted.is_set():
            self._wanted.set()

    def doubt(self) -> None:
        """The server did not answer something else: nothing to do, as this waits for seconds only."""

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
                    self._on_ring(Ring())
                elif heard:
                    self._execution.pass_on()
            except Exception:  # noqa: BLE001 — the loop meets the same failure and reports it
                time.sleep(random.uniform(0.25, 0.5))
                self._wanted.set()


class WatchedBell:
    """
    The same without a thread: whoever serves *pool* hears it.

    `listen` and `stop` are the loop's; what the line says is read by whoever serves the
    pool, which is never asked for while nobody listens.
    """

    def __init__(
        self, line: ClaimingLine, pool: SlotPool, execution: Execution, on_ring: Callable[[Ring], None]
    ) -> None:
        self._line = line
        self._pool = pool
        self._execution = execution
        self._on_ring = on_ring
        self._watched: int | None = None
        self._is_doubted = False

    def start(self) -> None:
        """Nothing is listened to before `listen`."""

    def listen(self, *, claims: bool = False) -> None:
        """
        Say once when the bell rings next, with *claims* also what a claim at that moment brought.

        Raises `StoreUnavailableError`: then nobody listens.
        """
        with self._pool.held():
            doubtful, self._is_doubted = self._is_doubted or self._line.is_overdue, False
            if doubtful and self._watched is not None and not self._line.has_answer:
                self._give_up()
            if self._watched is None:
                self._watched = self._line.ask(claims=claims)
                self._pool.watch_file(self._watched, self._on_answer)
                if doubtful:
                    # The old line may have taken a ring with it.
                    self._on_ring(Ring())

    def doubt(self) -> None:
        """The server did not answer something else: the line may be dead, and the next `listen` takes another."""
        self._is_doubted = True

    def stop(self) -> None:
        """Listen no more. A ring that has come already is passed on, what was claimed at one is handed back."""
        with self._pool.held():
            claiming = self._line.is_claiming
            rang = self._watched is not None and not claiming and self._line.has_answer
            self._give_up()
        with contextlib.suppress(StoreUnavailableError):
            if claiming:
                # Whether an answer has come or not: the bell may be ringing at this very moment.
                self._execution.exchange(want=0, settle=0)
            elif rang:
                self._execution.pass_on()

    def _on_answer(self) -> None:
        claims = self._line.is_claiming
        try:
            ring = self._line.answer()
            if ring is None:
                self._line.ask(claims=claims)
                return
        except StoreUnavailableError:
            # The loop looks, meets the same failure and reports it; it listens again when it is over.
            ring = Ring()
        self._unwatch()
        self._on_ring(ring)

    def _give_up(self) -> None:
        self._unwatch()
        self._line.close()

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._pool.unwatch_file(self._watched)
            self._watched = None

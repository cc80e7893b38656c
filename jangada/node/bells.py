"""Hears the first job of lanes that have no replica."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from jangada.errors import JangadaError
from jangada.jobs.queue import JobQueue

LISTEN_S = 5.0
_AGAIN_S = 0.5

Heard = Callable[[str, float], None]
"""Told the lane and the instant (monotonic), from a thread of ours."""


class Bells:
    """
    A thread for each lane that is listened to, in its queue's blocking call: it costs nobody anything while idle.

    It tells of every ring, until another call of `listen` leaves the lane out.
    """

    def __init__(self, queue: JobQueue, on_heard: Heard) -> None:
        self._queue = queue
        self._on_heard = on_heard
        self._lock = threading.Lock()
        self._wanted: dict[str, str] = {}
        self._listening: set[str] = set()
        self._stopped = False

    def listen(self, lanes: Mapping[str, str]) -> None:
        """Listen to these lanes (name → queue), and to no others; those listened to already go on."""
        with self._lock:
            if self._stopped:
                return
            self._wanted = dict(lanes)
            new = [name for name in lanes if name not in self._listening]
            self._listening.update(new)
        for name in new:
            threading.Thread(target=self._run, args=(name,), name=f"bell-{name}", daemon=True).start()

    def stop(self) -> None:
        """Listen no more; the threads end by themselves."""
        with self._lock:
            self._stopped = True
            self._wanted = {}

    def _run(self, lane: str) -> None:
        while (queue := self._next(lane)) is not None:
            try:
                if not self._queue.wait_for_bell(queue, LISTEN_S):
                    continue
                heard_at = time.monotonic()
                if self._is_wanted(lane):
                    self._on_heard(lane, heard_at)
                else:
                    # An executor listens by now, and it is for that one.
                    self._queue.ring(queue)
            except JangadaError:
                time.sleep(_AGAIN_S)
            except Exception:  # noqa: BLE001 - the connections were closed under us: the agent has ended
                return

    def _next(self, lane: str) -> str | None:
        """Its queue; None when it is listened to no more, and by us neither from now on."""
        with self._lock:
            queue = self._wanted.get(lane)
            if queue is None:
                self._listening.discard(lane)
            return queue

    def _is_wanted(self, lane: str) -> bool:
        with self._lock:
            return lane in self._wanted

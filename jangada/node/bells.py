"""Hears the first job of lanes that have no replica."""

from __future__ import annotations

import contextlib
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

    Each rings once; then `listen` has to be called again.
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
        heard = False
        while not heard and (queue := self._still(lane)) is not None:
            try:
                heard = self._queue.wait_for_bell(queue, LISTEN_S)
            except JangadaError:
                time.sleep(_AGAIN_S)
                continue
            except Exception:  # noqa: BLE001 - the connections were closed under us: the agent has ended
                break
            if heard and self._still(lane) is None:
                # An executor listens by now, and it is for that one.
                self._queue.ring(queue)
                break
            if heard:
                self._on_heard(lane, time.monotonic())
                self._hush(lane, queue)
        with self._lock:
            self._listening.discard(lane)

    def _hush(self, lane: str, queue: str) -> None:
        """One ring is enough: take the others that wait, while nobody else has a use for them."""
        with contextlib.suppress(JangadaError):
            while self._still(lane) is not None and self._queue.wait_for_bell(queue, 0.001):
                pass

    def _still(self, lane: str) -> str | None:
        with self._lock:
            return self._wanted.get(lane)

"""
The thread that owns the slots: it reads what children say and print, keeps their timers, starts and kills them.

Others hand it closures through `call`; nothing else touches a slot.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from jangada.executor import memory
from jangada.executor.process import ChildRecipe
from jangada.executor.running import SlotJob, SlotLimits, SlotObserver, StopReason
from jangada.executor.slots import Slot
from jangada.jobs.job import AttemptFailure

MEMORY_CHECK_S = 0.2
GATHER_S = 0.001
"""While a child has short jobs to go on with, what it says is read this often: many ends cost one wake-up."""


class SlotPool:
    """*count* slots on a thread of their own."""

    def __init__(
        self, count: int, recipe: ChildRecipe, limits: SlotLimits, folder: Path, observer: SlotObserver
    ) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, None)
        self._calls: deque[Callable[[], None]] = deque()
        self._stopped = False
        self._watched: dict[int, list[int]] = {}
        self._memory_check_at = 0.0
        self._gathers = recipe.short
        oom_watch = memory.OomWatch()
        self.slots = [
            Slot(index, recipe, limits, folder / f"slot-{index}", observer, self._watch, self._unwatch, oom_watch)
            for index in range(count)
        ]
        self._thread = threading.Thread(target=self._run, name="slots", daemon=True)

    def start(self) -> None:
        """Start the thread and the first slot's child; the others start when they get a job."""
        self.call(self.slots[0].start)
        self._thread.start()

    def call(self, function: Callable[[], None]) -> None:
        """Have *function* run on the pool's thread, soon."""
        self._calls.append(function)
        try:
            self._wake_out.send(b"\0")
        except BlockingIOError:
            pass  # it is full of wake-ups already
        except OSError:
            self._stopped = True

    def give(self, jobs: list[SlotJob]) -> None:
        """Run *jobs*, each in its slot."""

        def give() -> None:
            for job in jobs:
                self.slots[job.slot].give(job)

        self.call(give)

    def prepared(self, job: SlotJob, failure: AttemptFailure | None) -> None:
        """Tell the slot of *job* that its files are in place, or why they are not."""
        self.call(lambda: self.slots[job.slot].prepared(job, failure))

    def stop_job(self, job: SlotJob, reason: StopReason) -> None:
        """End *job*, wherever it is; nothing when it has ended."""
        self.call(lambda: self.slots[job.slot].stop_job(job, reason))

    def stop(self) -> None:
        """Kill all children and end the thread. Their jobs end without a word."""

        def stop() -> None:
            for slot in self.slots:
                slot.stop_child()
            self._stopped = True

        self.call(stop)
        if self._thread.is_alive():
            self._thread.join()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _run(self) -> None:
        while not self._stopped:
            for key, _ in self._selector.select(self._timeout()):
                if key.data is None:
                    self._answer_calls()
                else:
                    key.data()
            self._tick()
            if self._gathers and any(slot.has_more for slot in self.slots) and not self._calls:
                time.sleep(GATHER_S)

    def _answer_calls(self) -> None:
        try:
            self._wake_in.recv(4096)
        except BlockingIOError:
            return
        while self._calls:
            self._calls.popleft()()

    def _timeout(self) -> float | None:
        timers = [timer for slot in self.slots if (timer := slot.next_timer()) is not None]
        if any(slot.is_ready and slot.jobs for slot in self.slots):
            timers.append(self._memory_check_at)
        if not timers:
            return None
        return max(0.0, min(timers) - time.monotonic())

    def _tick(self) -> None:
        now = time.monotonic()
        check = now >= self._memory_check_at
        if check:
            self._memory_check_at = now + MEMORY_CHECK_S
        for slot in self.slots:
            if slot.child is not None or slot.retry_at is not None:
                slot.tick()
                if check:
                    slot.check_memory()

    def _watch(self, slot: Slot) -> None:
        """Watch the slot's child, also for room in its channel while something is unsent."""
        child = slot.child
        if child is None:
            return
        events = selectors.EVENT_READ if child.flush() else selectors.EVENT_READ | selectors.EVENT_WRITE
        if slot.index in self._watched:
            if self._selector.get_key(child.socket).events != events:
                self._selector.modify(child.socket, events, self._channel_reader(slot))
            return
        self._selector.register(child.socket, events, self._channel_reader(slot))
        self._watched[slot.index] = [child.socket.fileno()]
        for fd in (child.stdout, child.stderr):
            self._selector.register(fd, selectors.EVENT_READ, self._output_reader(slot, fd))
            self._watched[slot.index].append(fd)

    def _channel_reader(self, slot: Slot) -> Callable[[], None]:
        def read() -> None:
            slot.read_channel()
            if slot.child is not None and slot.index in self._watched:
                self._watch(slot)

        return read

    def _output_reader(self, slot: Slot, fd: int) -> Callable[[], None]:
        def read() -> None:
            # The child may have ended, and its descriptors been closed, in this very round of events.
            if fd in self._watched.get(slot.index, ()) and not slot.read_output(fd):
                self._selector.unregister(fd)
                self._watched[slot.index].remove(fd)

        return read

    def _unwatch(self, slot: Slot) -> None:
        for fd in self._watched.pop(slot.index, ()):
            self._selector.unregister(fd)

"""
The slots and who serves them: reads what children say and print, keeps their timers, starts and kills them.

The loop does, whenever it waits: a job goes to its child and an end comes back
without a thread in between. While the loop waits for a server instead, a guard
thread looks after the slots ten times a second, so that no time limit, memory limit
or cancel depends on a server. One at a time, under a lock; all others hand in
closures through `call`.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

from jangada.executor import memory
from jangada.executor.batch_slot import GatheringSlot
from jangada.executor.process import ChildRecipe, slot_folder
from jangada.executor.running import SlotJob, SlotLimits, SlotObserver, StopReason
from jangada.executor.slots import Slot
from jangada.jobs.job import AttemptFailure

MEMORY_CHECK_S = 0.2
GUARD_S = 0.1
"""How late a timer, a cancel or a child's word is seen at most while the loop waits for a server."""
GATHER_S = 0.001
"""While a child has short jobs to go on with, what it says is read this often: many ends cost one wake-up."""


class SlotPool:
    """*count* slots. `start`, then `serve` again and again from one thread, then `stop`."""

    def __init__(
        self, count: int, recipe: ChildRecipe, limits: SlotLimits, folder: Path, observer: SlotObserver
    ) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, self._answer_calls)
        self._calls: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._stopped = False
        self._watched: dict[int, list[int]] = {}
        self._memory_check_at = 0.0
        self._served_at = 0.0
        self._gathers = recipe.short
        oom_watch = memory.OomWatch()
        make = Slot if limits.batching is None else partial(GatheringSlot, limits.batching)
        self.slots = [
            make(index, recipe, limits, slot_folder(folder, index), observer, self._watch, self._unwatch, oom_watch)
            for index in range(count)
        ]
        self._guarded = threading.Event()
        self._guard = threading.Thread(target=self._keep_guard, name="guard", daemon=True)

    def start(self) -> None:
        """Start the first slot's child; the others start when they get a job."""
        with self._lock:
            self.slots[0].start()
        self._guard.start()

    def serve(self, timeout_s: float | None) -> None:
        """Wait for something to happen, at most *timeout_s* (None: for ever), and do what it asks for."""
        gathers = self._gathers and not self._calls and any(slot.has_more for slot in self.slots)
        # While the loop was away for longer, as in an exchange, ends have gathered by themselves.
        if gathers and time.monotonic() < self._served_at + GATHER_S:
            time.sleep(GATHER_S)
        with self._lock:
            self._serve(timeout_s)
        self._served_at = time.monotonic()

    def wake(self) -> None:
        """End the wait of `serve`; safe from any thread and from a signal handler."""
        try:
            self._wake_out.send(b"\0")
        except BlockingIOError:
            pass  # it is full of wake-ups already
        except OSError:
            self._stopped = True

    def held(self) -> threading.Lock:
        """A context in which nobody serves the slots. Not to be entered from what `serve` calls."""
        return self._lock

    def watch_file(self, descriptor: int, on_readable: Callable[[], None]) -> None:
        """Have *on_readable* called by whoever serves the slots; to be called by them, or while they are `held`."""
        self._selector.register(descriptor, selectors.EVENT_READ, on_readable)

    def unwatch_file(self, descriptor: int) -> None:
        """Watch it no more; to be called as `watch_file`."""
        self._selector.unregister(descriptor)

    def call(self, function: Callable[[], None]) -> None:
        """Have *function* run by whoever serves the slots, soon."""
        self._calls.append(function)
        self.wake()

    def give(self, jobs: list[SlotJob]) -> None:
        """Run *jobs*, each in its slot."""
        by_slot: dict[int, list[SlotJob]] = {}
        for job in jobs:
            by_slot.setdefault(job.slot, []).append(job)
        with self._lock:
            for index, its in by_slot.items():
                self.slots[index].give(*its)
        if not self._guarded.is_set():
            self._guarded.set()

    def prepared(self, job: SlotJob, failure: AttemptFailure | None) -> None:
        """Tell the slot of *job* that its files are in place, or why they are not; safe from any thread."""
        self.call(lambda: self.slots[job.slot].prepared(job, failure))

    def stop_job(self, job: SlotJob, reason: StopReason) -> None:
        """End *job*, wherever it is; nothing when it has ended. Safe from any thread."""
        self.call(lambda: self.slots[job.slot].stop_job(job, reason))

    def stop(self) -> None:
        """Kill all children. Their jobs end without a word."""
        with self._lock:
            for slot in self.slots:
                slot.stop_child()
            self._stopped = True
        self._guarded.set()
        if self._guard.is_alive():
            self._guard.join()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _keep_guard(self) -> None:
        while not self._stopped:
            if not any(slot.jobs for slot in self.slots):
                self._guarded.clear()
                # Looked at again after the clear, so that a job given in between is not slept through.
                if not any(slot.jobs for slot in self.slots) and not self._stopped:
                    self._guarded.wait()
            time.sleep(GUARD_S)
            # Taken: the loop serves the slots itself.
            if self._lock.acquire(blocking=False):
                try:
                    if not self._stopped:
                        self._serve(0.0)
                finally:
                    self._lock.release()

    def _serve(self, timeout_s: float | None) -> None:
        for key, _ in self._selector.select(self._patience(timeout_s)):
            key.data()
        self._tick()

    def _answer_calls(self) -> None:
        try:
            self._wake_in.recv(4096)
        except BlockingIOError:
            return
        while self._calls:
            self._calls.popleft()()

    def _patience(self, timeout_s: float | None) -> float | None:
        if timeout_s == 0.0:
            return timeout_s
        timers = [timer for slot in self.slots if (timer := slot.next_timer()) is not None]
        if any(slot.is_ready and slot.jobs for slot in self.slots):
            timers.append(self._memory_check_at)
        if not timers:
            return timeout_s
        due_s = max(0.0, min(timers) - time.monotonic())
        return due_s if timeout_s is None else min(due_s, timeout_s)

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

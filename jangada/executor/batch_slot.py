"""A slot whose jobs run together: it gathers them, sends them as one batch, and tells their ends apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from jangada.algorithms.batching import Batching
from jangada.executor import memory
from jangada.executor.batch import Batch, Gathering
from jangada.executor.messages import Hello, encode_run, encode_run_batch
from jangada.executor.process import ChildProcess, ChildRecipe, describe_exit
from jangada.executor.running import Ending, SlotJob, SlotLimits, SlotObserver, StopReason
from jangada.executor.slots import Slot


class GatheringSlot(Slot):
    """
    A `Slot` that waits for more jobs as *batching* says and hands them to its child together.

    A batch that fails as a whole blames nobody: each of its jobs is to run by itself.
    """

    def __init__(
        self,
        batching: Batching,
        index: int,
        recipe: ChildRecipe,
        limits: SlotLimits,
        folder: Path,
        observer: SlotObserver,
        watch: Callable[[Slot], None],
        unwatch: Callable[[Slot], None],
        oom_watch: memory.OomWatch,
    ) -> None:
        super().__init__(index, recipe, limits, folder, observer, watch, unwatch, oom_watch)
        self._gathering = Gathering(batching)
        self._batch: Batch | None = None
        self._break_reason: str | None = None

    @property
    def room(self) -> int:
        """How many jobs its next batch takes; none while one runs."""
        return 0 if self.jobs and self.jobs[0].number else self._gathering.room

    @property
    def _running(self) -> Sequence[SlotJob]:
        return super()._running if self._batch is None else self._batch.left

    def give(self, *jobs: SlotJob) -> None:
        """See `Slot.give`; from now on they wait for others."""
        now = time.monotonic()
        for job in jobs:
            job.arrived = now
        super().give(*jobs)

    def stop_child(self) -> list[SlotJob]:
        """See `Slot.stop_child`."""
        self._batch = None
        return super().stop_child()

    def next_timer(self) -> float | None:
        """See `Slot.next_timer`; also when what waits is worth no longer wait."""
        timers = [super().next_timer()]
        if self.is_ready and self.jobs and not self.jobs[0].number:
            timers.append(self._gathering.due(self.jobs))
        return min((timer for timer in timers if timer is not None), default=None)

    def check_memory(self) -> None:
        """See `Slot.check_memory`."""
        if self.jobs and self.jobs[0].number:
            super().check_memory()

    def _tick_running(self, now: float) -> None:
        if self._batch is not None:
            self._tick_batch(self._batch, now)
        elif not self.jobs[0].number:
            self._send_waiting()
        else:
            super()._tick_running(now)

    def _tick_batch(self, batch: Batch, now: float) -> None:
        for job in list(batch.left):
            if job.kill_at is not None:
                if now < job.kill_at or self.child is None:
                    continue
                if batch.is_unwanted:
                    self.child.kill()
                    job.kill_at = now + 60
                else:
                    # It ends now; what the child still does, it does for the others.
                    self._leave_batch(batch, job, None)
            elif job.orders.deadline_ms is not None and time.time() * 1000 >= job.orders.deadline_ms:
                self.stop_job(job, StopReason.DEADLINE)
            elif job.started is not None and now >= job.started + job.limit_s:
                self._break_up(f"took longer than {job.limit_s:g} s")
                return

    def _over_cap(self, child: ChildProcess) -> None:
        if self._batch is None:
            super()._over_cap(child)
            return
        used, cap = self._last_rss // memory.MIB, (self._limits.memory_bytes or 0) // memory.MIB
        self._too_many()
        self._break_up(f"used {used} MiB, limit {cap} MiB")

    # --- what comes from the child ----------------------------------------------

    def _on_hello(self, hello: Hello) -> None:
        self._gathering.is_possible = hello.batches
        super()._on_hello(hello)

    def _on_line(self, number: int, stream: str, text: str) -> None:
        if number == 0 or self._batch is None:
            super()._on_line(number, stream, text)
            return
        for job in self._batch.hearers():
            self._keep(job, stream, text)

    def _settle(self) -> None:
        if self._batch is not None:
            self._settle_batch(self._batch)
        super()._settle()

    def _settle_batch(self, batch: Batch) -> None:
        for job in [job for job in batch.left if job.number in self._results]:
            if self._output is not None:
                # What was printed so far is for those that have not ended, too.
                self._output.has_all_of(job.number)
            if batch.note is not None:
                self._keep(job, "system", batch.note)
            self._leave_batch(batch, job, self._results.pop(job.number))
        if batch.left:
            return
        if self._output is not None:
            self._output.has_all_of(batch.last_number)
        if not self._recycling:
            self._gathering.ran(batch.size, time.monotonic() - batch.began)
        self._batch = None
        if self.is_ready and self.jobs:
            self._send_waiting()

    # --- sending ----------------------------------------------------------------

    def _send_soon(self) -> None:
        """Nothing yet: the next `tick` sends, so that others that are ready now too go with it."""

    def _send_waiting(self) -> None:
        if self._batch is not None or self.child is None or self._is_used_up():
            return
        if self.jobs and self.jobs[0].number:
            return
        chosen = self._gathering.choose(self.jobs, time.monotonic())
        if not chosen:
            return
        for job in reversed(chosen):
            self.jobs.remove(job)
            self.jobs.appendleft(job)
        orders = [(self._order(job), job.orders.input_json) for job in chosen]
        if len(chosen) == 1:
            self.child.send(encode_run(*orders[0]))
        else:
            self.child.send(encode_run_batch(orders))
            self._batch = Batch(chosen, time.monotonic())
        for job in chosen:
            self._begin(job)
        self._observer.batch_began(self.index, len(chosen))
        self._watch(self)

    # --- endings ----------------------------------------------------------------

    def _ran_alone(self, job: SlotJob) -> None:
        if job.started is not None:
            self._gathering.ran(1, time.monotonic() - job.started)

    def _too_many(self) -> None:
        if self._batch is not None:
            self._gathering.too_many(self._batch.size)

    def _leave_batch(self, batch: Batch, job: SlotJob, ending: Ending | None) -> None:
        batch.left.remove(job)
        self.jobs.remove(job)
        self._end(job, self._verdict(job, ending))

    def _break_up(self, reason: str) -> None:
        """Nobody can tell which job of the batch it is: each is to show it by itself."""
        if self.child is not None and not self.child.killed:
            self._break_reason = reason
            self.child.kill()

    def _blame(self, child: ChildProcess, code: int) -> bool:
        if self._batch is None:
            return super()._blame(child, code)
        if self._was_gpu_full(self._batch.left):
            self._too_many()
        self._isolate(self._batch, f"its child ended: {describe_exit(code)}")
        return True

    def _isolate(self, batch: Batch, reason: str) -> None:
        self._batch = None
        self._observer.batch_broken_up(self.index, batch.size, self._break_reason or reason)
        self._break_reason = None
        for job in batch.left:
            job.alone = True
            self._keep(job, "system", f"a batch of {batch.size} jobs came to no good: this one runs by itself")

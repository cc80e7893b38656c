"""
The slots of an executor: one child each, and the jobs that were given to it.

A `Slot` lives as long as the executor; its child may die, be recycled and be
replaced, and the jobs that had not begun simply wait for the next one. All of
it runs on whichever thread serves `pool.SlotPool`, one at a time, so there are no locks here.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jangada.executor import memory
from jangada.executor.capture import READ_BYTES, ChildOutput, JobLog
from jangada.executor.gpu_faults import out_of_memory_in
from jangada.executor.messages import (
    PROTOCOL,
    Canceled,
    Decoder,
    Done,
    Failed,
    Hello,
    Leaving,
    Log,
    Progress,
    Run,
    SetupFailed,
    encode_run,
)
from jangada.executor.process import ChildProcess, ChildRecipe, describe_exit
from jangada.executor.running import Ending, SlotJob, SlotLimits, SlotObserver, StopReason
from jangada.executor.verdict import cold_start, death_of, ending_of
from jangada.jobs.job import AttemptFailure, ErrorCode

SETUP_BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
SOFT_LIMIT = 0.8
"""Share of the memory cap above which an idle child is replaced."""
SETUP_LOG_LINES = 50
LAST_WORDS = 30
"""So many lines of a job whose child died are looked at for the reason."""


class Slot:
    """One slot. Every method is called by whoever serves the pool."""

    def __init__(
        self,
        index: int,
        recipe: ChildRecipe,
        limits: SlotLimits,
        folder: Path,
        observer: SlotObserver,
        watch: Callable[[Slot], None],
        unwatch: Callable[[Slot], None],
        oom_watch: memory.OomWatch,
    ) -> None:
        self.index = index
        self.jobs: deque[SlotJob] = deque()
        self.child: ChildProcess | None = None
        self.is_ready = False
        self.retry_at: float | None = None
        self._recipe = recipe
        device = recipe.device(index)
        self._gpus = len(device.gpus) if device is not None else 0
        self._limits = limits
        self._folder = folder
        self._observer = observer
        self._watch = watch
        self._unwatch = unwatch
        self._oom_watch = oom_watch
        self._failures = 0
        self._next_number = 1
        self._cold_start: dict[str, float | None] = {}
        self._recycling = False
        self._setup_error: str | None = None
        self._channel_error: str | None = None
        self._setup_lines: deque[str] = deque(maxlen=SETUP_LOG_LINES)
        self._results: dict[int, Ending] = {}
        self._decoder = Decoder()
        self._output: ChildOutput | None = None
        self._last_rss = 0

    # --- what the pool asks for -------------------------------------------------

    @property
    def has_more(self) -> bool:
        """Whether its child has another job to go on with when the running one ends."""
        return len(self.jobs) > 1 and self.jobs[1].number > 0

    @property
    def room(self) -> int:
        """How many jobs a slot that gathers them may hold; 0 for one that runs them one by one."""
        return 0

    @property
    def _running(self) -> Sequence[SlotJob]:
        """The job whose turn it is."""
        return (self.jobs[0],) if self.jobs else ()

    def start(self) -> None:
        """Start a child unless there is one or its pause after a failed set-up still lasts."""
        if self.child is not None or (self.retry_at is not None and time.monotonic() < self.retry_at):
            return
        self.retry_at = None
        try:
            child = self._recipe.child(self._folder, self.index)
        except OSError as error:
            self._setup_failed(f"the child cannot be started: {error}")
            return
        self.child = child
        self._decoder = Decoder()
        self._output = ChildOutput(
            {"stdout": child.stdout, "stderr": child.stderr}, child.nonce, self._on_line, marked=self._recipe.short
        )
        self._results.clear()
        self._setup_lines.clear()
        self._setup_error = self._channel_error = None
        self._next_number = 1
        self._recycling = False
        self._last_rss = 0
        self._watch(self)
        self._observer.starting(self.index)

    def give(self, *jobs: SlotJob) -> None:
        """Run *jobs* after those already here."""
        most_s = self._limits.execution_timeout_s
        for job in jobs:
            asked_s = job.orders.execution_timeout_s
            job.limit_s = asked_s if most_s is None else min(asked_s, most_s)
            self.jobs.append(job)
        if self.is_ready:
            self._send_waiting()
        else:
            self.start()

    def prepared(self, job: SlotJob, failure: AttemptFailure | None) -> None:
        """The files of *job* are in place, or cannot be; nothing when it was stopped meanwhile."""
        if job not in self.jobs or job.is_prepared:
            return
        if failure is not None:
            self.jobs.remove(job)
            self._end(job, failure)
            return
        job.is_prepared = True
        if self.is_ready:
            self._send_soon()

    def stop_job(self, job: SlotJob, reason: StopReason) -> None:
        """End *job* for *reason*: before it begins, or by signal, grace and kill."""
        if job not in self.jobs or job.stop is not None:
            return
        job.stop = reason
        if job.number == 0 or self.child is None:
            self.jobs.remove(job)
            self._end(job, self._verdict(job, None))
            return
        self.child.cancel(job.number)
        if job in self._running:
            job.kill_at = time.monotonic() + self._grace_s(reason)

    def stop_child(self) -> list[SlotJob]:
        """Kill the child at once and give back every job that has not ended."""
        jobs = list(self.jobs)
        self.jobs.clear()
        if self.child is not None:
            self.child.kill()
            self._unwatch(self)
            self.child.reap()
            self.child = self._output = None
        self.is_ready = False
        return jobs

    def next_timer(self) -> float | None:
        """When `tick` wants to be called, by the monotonic clock."""
        timers = []
        if self.retry_at is not None:
            timers.append(self.retry_at)
        if self.is_ready and self.jobs:
            for job in self._running:
                if job.kill_at is not None:
                    timers.append(job.kill_at)
                elif job.started is not None:
                    timers.append(job.started + job.limit_s)
                    if job.orders.deadline_ms is not None:
                        timers.append(time.monotonic() + max(0.0, job.orders.deadline_ms / 1000 - time.time()))
        return min(timers, default=None)

    def tick(self) -> None:
        """Do what is due: a new try of the set-up, a timeout, a kill."""
        now = time.monotonic()
        if self.retry_at is not None and now >= self.retry_at:
            self.start()
        if self.is_ready and self.jobs:
            self._tick_running(now)

    def _tick_running(self, now: float) -> None:
        job = self.jobs[0]
        if job.kill_at is not None:
            if now >= job.kill_at and self.child is not None:
                self.child.kill()
                job.kill_at = now + 60
        elif job.started is not None:
            if now >= job.started + job.limit_s:
                self.stop_job(job, StopReason.TIMEOUT)
            elif job.orders.deadline_ms is not None and time.time() * 1000 >= job.orders.deadline_ms:
                self.stop_job(job, StopReason.DEADLINE)

    def check_memory(self) -> None:
        """Look at the running job's memory; kill the child when it is over the cap."""
        if self.child is None or not self.is_ready or not self.jobs or self.child.killed:
            return
        self._last_rss = memory.tree_rss_bytes(self.child.pid)
        for job in self._running:
            job.peak_bytes = max(job.peak_bytes, self._last_rss)
        cap = self._limits.memory_bytes
        if cap is not None and self._last_rss > cap:
            self._over_cap(self.child)

    def _over_cap(self, child: ChildProcess) -> None:
        self.jobs[0].stop = StopReason.MEMORY
        child.kill()

    # --- what comes from the child ----------------------------------------------

    def read_channel(self) -> None:
        """Read messages; the end of the channel is the end of the child."""
        child = self.child
        if child is None:
            return
        try:
            data = child.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._died()
            return
        try:
            for message in self._decoder.feed(data):
                self._take(message)
        except (ValueError, IndexError) as error:
            # User code reached the channel, or it is a child of another version: nothing it says can be trusted.
            self._channel_error = str(error)
            child.kill()
        self._settle()

    def read_output(self, descriptor: int) -> bool:
        """Read what was printed; False at its end."""
        if self._output is None:
            return False
        goes_on = self._output.read(descriptor)
        self._settle()
        return goes_on

    def _take(self, message: Any) -> None:
        match message:
            case Progress():
                for job in self._running:
                    if job.number == message.number:
                        self._observer.progress(job, message.fraction, message.message)
            case Log():
                self._line(message.number, "log", message.text)
            case Done():
                self._ended(message.number, message.metrics, message)
            case Failed():
                failure = AttemptFailure(
                    ErrorCode(message.code), message.message, message.retryable, message.retry_after_s
                )
                self._ended(message.number, message.metrics, failure)
            case Canceled():
                self._ended(message.number, message.metrics, StopReason.CANCEL)
            case Leaving():
                self._recycling = True
                if message.out_of_memory:
                    self._too_many()
                self._observer.recycled(self.index, message.reason)
            case Hello():
                self._on_hello(message)
            case SetupFailed():
                self._setup_error = message.message
            case _:
                raise ValueError(f"unexpected {type(message).__name__}")

    def _on_hello(self, hello: Hello) -> None:
        if self.child is None:
            return
        if hello.protocol != PROTOCOL:
            self._setup_error = f"the child speaks protocol {hello.protocol}, this executor {PROTOCOL}"
            raise ValueError(self._setup_error)
        cold = not self._cold_start or self._failures > 0
        self._failures = 0
        self.is_ready = True
        if self._output is not None and not self._recipe.short:
            self._output.has_all_of(0)
        self._cold_start = cold_start(hello, time.monotonic() - self.child.started)
        self._observer.ready(self.index, hello, cold)
        self._send_soon()

    def _ended(self, number: int, metrics: dict[str, float], ending: Ending) -> None:
        # Kept until both streams have passed its end mark, so that its last lines are its own.
        for job in self.jobs:
            if job.number == number:
                job.metrics.update(metrics)
                self._results[number] = ending
                return

    def _settle(self) -> None:
        while self.jobs and self.jobs[0].number in self._results:
            job = self.jobs[0]
            if self._output is not None and not self._output.has_all_of(job.number):
                return
            self.jobs.popleft()
            self._ran_alone(job)
            self._end(job, self._verdict(job, self._results.pop(job.number)))
            self._begin_head()
            if self.is_ready and self.jobs and not self.jobs[0].number:
                self._send_waiting()
        if self.is_ready and not (self.jobs and self.jobs[0].number):
            # Nothing is in the child; what waits here goes to the next one.
            self._maybe_recycle()

    # --- sending ----------------------------------------------------------------

    def _send_soon(self) -> None:
        """There may be more to send."""
        self._send_waiting()

    def _send_waiting(self) -> None:
        frames = bytearray()
        for job in self.jobs:
            if job.number:
                continue
            if self._is_used_up() or not job.is_prepared:
                break
            if job is not self.jobs[0] and not self._recipe.short:
                # Nothing marks the end of what the one before it prints.
                break
            frames += encode_run(self._order(job), job.orders.input_json)
        if frames and self.child is not None:
            self.child.send(bytes(frames))
            self._begin_head()
            self._watch(self)

    def _order(self, job: SlotJob) -> Run:
        job.number = self._next_number
        if job.claimed_cold:
            job.metrics.update(self._cold_start)
        self._next_number += 1
        return Run(job.number, job.lease.job_id, job.lease.attempt, job.folder, job.files, None)

    def _begin_head(self) -> None:
        if self.jobs and self.jobs[0].number and self.jobs[0].started is None:
            self._begin(self.jobs[0])

    def _begin(self, job: SlotJob) -> None:
        job.started = time.monotonic()
        job.started_ms = time.time_ns() // 1_000_000
        if job.stop is not None:
            job.kill_at = job.started + self._grace_s(job.stop)
        self._observer.began(job)

    def _grace_s(self, reason: StopReason) -> float:
        # Nobody waits for a lost attempt, and its job may be running elsewhere by now.
        return min(1.0, self._limits.grace_s) if reason is StopReason.LOST else self._limits.grace_s

    # --- what a slot that gathers jobs keeps account of --------------------------

    def _ran_alone(self, job: SlotJob) -> None:
        """The child reported an end of *job*, which ran by itself."""

    def _too_many(self) -> None:
        """What ran at once did not fit into memory."""

    # --- endings ----------------------------------------------------------------

    def _end(self, job: SlotJob, ending: Ending) -> None:
        if self._gpus and (ran_s := job.metrics.get("slot_s") or _ran_s(job)):
            job.metrics["gpu_s"] = round(ran_s * self._gpus, 6)
        if job.peak_bytes > (job.metrics.get("peak_rss_bytes") or 0):
            job.metrics["peak_rss_bytes"] = float(job.peak_bytes)
        self._observer.ended(job, ending)

    def _verdict(self, job: SlotJob, reported: Ending | None) -> Ending:
        return ending_of(job, reported, rss_bytes=self._last_rss, cap_bytes=self._limits.memory_bytes)

    def _died(self) -> None:
        child = self.child
        if child is None:
            return
        child.kill_group()
        if self._output is not None:
            self._output.finish()
            self._output = None
        self._unwatch(self)
        was_ready, self.is_ready = self.is_ready, False
        self.child = None
        code = child.reap()
        self._settle()
        if not was_ready:
            error = self._setup_error or f"the child ended during set-up: {describe_exit(code)}"
            self._setup_failed(error)
            return
        if not self._blame(child, code):
            self._setup_failed(f"the idle child ended: {describe_exit(code)}")
            return
        for job in list(self.jobs):
            job.number = 0
            if job.started is not None:
                job.started = job.kill_at = None
                job.claimed_cold = False
            if job.stop is not None:
                self.jobs.remove(job)
                self._end(job, self._verdict(job, None))
        self.start()

    def _blame(self, child: ChildProcess, code: int) -> bool:
        """Charge the death of *child* to what ran in it; False when nothing did."""
        if self._recycling:
            # It left because of what it has told of already: whatever else it was sent had not begun.
            return True
        if not (self.jobs and self.jobs[0].number):
            return False
        # Only the one that was running is to blame; the others begin again in the next child.
        job = self.jobs.popleft()
        death = death_of(
            code,
            killed_by_us=child.killed,
            oom_killer_struck=self._oom_watch.struck(),
            rss_bytes=self._last_rss,
            cap_bytes=self._limits.memory_bytes,
            channel_error=self._channel_error,
            gpu_was_full=self._was_gpu_full([job]),
        )
        self._end(job, self._verdict(job, death))
        return True

    def _was_gpu_full(self, jobs: Sequence[SlotJob]) -> bool:
        """Whether the child said so before it died."""
        return any(
            out_of_memory_in(job.log.last(LAST_WORDS), has_gpu=bool(self._gpus)) for job in jobs if job.log is not None
        )

    def _setup_failed(self, reason: str) -> None:
        pause = SETUP_BACKOFF_S[min(self._failures, len(SETUP_BACKOFF_S) - 1)]
        self._failures += 1
        self.retry_at = time.monotonic() + pause
        message = f"the algorithm cannot be set up: {reason}"
        was_full = out_of_memory_in([reason, *self._setup_lines], has_gpu=bool(self._gpus))
        code = ErrorCode.GPU_OOM if was_full else ErrorCode.ALGORITHM_ERROR
        # Waiting jobs get the reason; their retries come after the pause.
        jobs, self.jobs = list(self.jobs), deque()
        for job in jobs:
            for text in self._setup_lines:
                self._keep(job, "stderr", text)
            self._end(job, AttemptFailure(code, message, retryable=True, retry_after_s=pause))
        self._observer.unavailable(self.index, reason, list(self._setup_lines))

    # --- recycling --------------------------------------------------------------

    def _is_used_up(self) -> bool:
        limit = self._limits.recycle_after_jobs
        return self._recycling or (limit is not None and self._next_number > limit)

    def _maybe_recycle(self) -> None:
        if self.child is None or self._recycling:
            return
        reason = None
        limit, cap = self._limits.recycle_after_jobs, self._limits.memory_bytes
        if limit is not None and self._next_number > limit:
            reason = f"ran {self._next_number - 1} jobs"
        elif cap is not None and not self._recipe.short and self._next_number > 1:
            # Not one that ran nothing yet: the next would be no smaller.
            rss = memory.tree_rss_bytes(self.child.pid)
            if rss > SOFT_LIMIT * cap:
                reason = f"uses {rss // memory.MIB} MiB of {cap // memory.MIB}"
        if reason is not None:
            self._recycling = True
            self._observer.recycled(self.index, reason)
            self.child.kill()

    # --- lines ------------------------------------------------------------------

    def _on_line(self, number: int, stream: str, text: str) -> None:
        if number == 0:
            self._setup_lines.append(text)
        else:
            self._line(number, stream, text)

    def _line(self, number: int, stream: str, text: str) -> None:
        for job in self.jobs:
            if job.number == number:
                self._keep(job, stream, text)
                return

    def _keep(self, job: SlotJob, stream: str, text: str) -> None:
        if job.log is None:
            job.log = JobLog(job.lease.attempt)
        at_ms = time.time_ns() // 1_000_000
        job.log.add(stream, text, at_ms)
        self._observer.line(job, stream, text)


def _ran_s(job: SlotJob) -> float | None:
    """How long it ran, by its child, or by its slot where its child could not say."""
    return job.metrics.get("run_s") or (None if job.started is None else time.monotonic() - job.started)

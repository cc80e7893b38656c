"""
The executor's main loop: what ended is stored, what waits is claimed into free slots, all in one exchange.

While it waits it serves the slots itself (`pool.py`). Two threads help it: the
heartbeat, and one that listens for the bell. What happens reaches the loop through
its inbox; only the loop decides.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from jangada.algorithms.references import has_files
from jangada.errors import JangadaError, StoreUnavailableError
from jangada.executor.bell import Bell, WatchedBell
from jangada.executor.completion import completion_of, outcome_word
from jangada.executor.dealings import Execution
from jangada.executor.file_desk import FileDesk
from jangada.executor.files import JobFiles
from jangada.executor.heartbeat import Heartbeat, Reports
from jangada.executor.inbox import Inbox
from jangada.executor.journal import Journal
from jangada.executor.messages import Done, Hello
from jangada.executor.outbox import Outbox
from jangada.executor.pool import SlotPool
from jangada.executor.process import ChildRecipe
from jangada.executor.running import Ending, SlotJob, SlotLimits, SlotObserver, StopReason
from jangada.jobs.bell_claims import Ring
from jangada.jobs.execution import Completion, Notify
from jangada.jobs.orders import parse
from jangada.jobs.queue import Lease

BATCH = 64
"""Short jobs claimed at once; a slot holds up to two batches, so that its child works while one is being stored."""
BACKLOG_S = 0.3
"""A slot holds no more short jobs than it ends in this time: what waits here waits while other executors idle."""
FIRST_GUESS_S = 0.02
"""What a short job takes, before one was seen."""
LOOK_S = 1.0
"""The loop turns at least this often while all its slots are taken or a store is away."""
DEAF_S = 0.002
"""A job that the bell brought may end within this time; only then the bell is worth being listened to meanwhile."""
BACKOFF_CAP_S = 0.75
"""Work goes on within a second of the store's return."""

OnReady = Callable[[Hello], None]


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """How one executor works."""

    concurrency: int = 1
    short: bool = False
    batches: bool = False
    """Each slot takes several jobs and has its child run them together."""
    drain_s: float = 0.0
    """How long running jobs may go on after a stop was asked for, before they are handed back."""


class ExecutorLoop:
    """One executor. `run` returns after `stop`."""

    def __init__(
        self,
        execution: Execution,
        files: JobFiles,
        recipe: ChildRecipe,
        limits: SlotLimits,
        options: LoopOptions,
        *,
        folder: Path,
        journal: Journal,
        on_ready: OnReady = lambda _hello: None,
        notify: Notify = lambda _event, _lease, _status: None,
        observer: SlotObserver | None = None,
    ) -> None:
        self._execution = execution
        self._desk = FileDesk(files, max(2, options.concurrency), journal)
        self._options = options
        self._job_folders = folder / "jobs"
        self._journal = journal
        self._on_ready = on_ready
        self._reports = Reports()
        self._inbox = Inbox(self, self._reports, journal, live=not options.short, observer=observer or SlotObserver())
        self._pool = SlotPool(options.concurrency, recipe, limits, folder, self._inbox)
        self._held: dict[str, SlotJob] = {}
        self._heartbeat = Heartbeat(
            execution,
            self._held,
            self._reports,
            journal,
            on_cancel=lambda job: self._stop_job(job, StopReason.CANCEL),
            on_lost=lambda job: self._stop_job(job, StopReason.LOST),
            notify=notify,
        )
        line = execution.bell_line()
        self._bell: Bell | WatchedBell = (
            Bell(execution, lambda ring: self._call(partial(self.rung, ring)))
            if line is None
            else WatchedBell(line, self._pool, execution, self._inbox.rang)
        )
        self._pace_s = FIRST_GUESS_S
        self._load = [0] * options.concurrency
        self._state = ["starting", *["cold"] * (options.concurrency - 1)]
        self._outbox = Outbox(execution, journal, self._left)
        self._began: list[SlotJob] = []
        self._rings: deque[Ring] = deque()
        """What was claimed when the bell rang, on its way into the slots."""
        self._is_deaf = False
        """The bell brought a job, there is room for more, and nobody listens again yet: see `DEAF_S`."""
        self._hungry = False
        self._schema: dict[str, Any] | None = None
        """The input's, when inputs may hold files."""
        self._is_known = False
        self._unprepared: list[SlotJob] = []
        """Claimed before the first child told what inputs look like."""
        self._failures = 0
        self._retry_at = 0.0
        self._stop_asked: float | None = None
        self._numbers = 0
        self._spare_folders: dict[int, str] = {}
        self._registered = False

    # --- from outside -----------------------------------------------------------

    def run(self) -> None:
        """Claim and run jobs until `stop`; then finish or hand back what runs."""
        self._heartbeat.start()
        self._bell.start()
        self._pool.start()
        try:
            while not self._is_over():
                self._turn()
        finally:
            self._shut_down()

    def stop(self) -> None:
        """Claim no more; safe from a signal handler, the second time it hands back at once."""
        self._call(self._ask_stop)

    @property
    def slot_states(self) -> Counter[str]:
        """How many slots are busy, idle, starting, cold and unavailable, about now."""
        pairs = zip(tuple(self._state), tuple(self._load), strict=True)
        return Counter(("busy" if load else "idle") if state == "ready" else state for state, load in pairs)

    @property
    def unstored(self) -> int:
        """Outcomes that wait for the store, about now."""
        return len(self._outbox.waiting)

    # --- what happens (all on the loop's thread) --------------------------------

    def slot_ready(self, index: int, hello: Hello, cold: bool) -> None:
        """A child is ready: jobs may be claimed for it as running."""
        self._state[index] = "ready"
        self._hungry = True
        if not self._is_known:
            self._is_known = True
            self._schema = hello.input_schema if has_files(hello.input_schema) else None
            for job in self._unprepared:
                self._provide(job)
            self._unprepared.clear()
        if cold:
            self._journal.info("child.ready", slot=index, **{f"{name}_s": took for name, took in hello.phases.items()})
        if not self._registered:
            self._on_ready(hello)
            self._registered = True

    def slot_unavailable(self, index: int) -> None:
        """A child cannot be set up: nothing is claimed for its slot until the next try."""
        self._state[index] = "unavailable"

    def slot_starting(self, index: int) -> None:
        """A child is being started: a job may wait for it, visibly `starting`."""
        self._state[index] = "starting"
        self._hungry = True

    def job_began(self, job: SlotJob) -> None:
        """User code of a job that was claimed as `starting` runs now."""
        self._began.append(job)

    def job_ended(self, job: SlotJob, ending: Ending) -> None:
        """The child is done with a job: its files are kept, then it is ready to be stored."""
        if isinstance(ending, Done) and (ending.saved or ending.spilled):
            self._desk.keep(job, ending, self._kept)
            return
        self._complete(job, ending, None)

    def _kept(self, job: SlotJob, ending: Ending, output_file: str | None) -> None:
        self._call(partial(self._complete, job, ending, output_file))

    def _complete(self, job: SlotJob, ending: Ending, output_file: str | None) -> None:
        self._load[job.slot] -= 1
        self._hungry = True
        self._pace_s = 0.8 * self._pace_s + 0.2 * max(1e-4, job.metrics.get("run_s") or 0.0)
        if self._options.short and not job.uses_desk:
            self._desk.clean_soon(job)
        elif self._desk.clean(job, again=not (self._options.short or self._options.batches or job.uses_desk)):
            # A slot of one job at a time gives its next job the folder that this one left empty.
            self._spare_folders[job.slot] = job.folder
        if ending is StopReason.LOST:
            self._let_go(job.lease)
            self._reports.forget(job)
            self._journal.info("job.lease_lost", job_id=job.lease.job_id, attempt=job.lease.attempt)
            return
        self._outbox.waiting.append(completion_of(job, ending, output_file))

    def _look(self) -> None:
        if self._stop_asked is None and self._has_room:
            self._hungry = True
            return
        # It was listening from before its slots were taken; a lost bell costs no more than time.
        with contextlib.suppress(StoreUnavailableError):
            self._execution.pass_on()

    def rung(self, ring: Ring) -> None:
        """The bell rang: there is a job already, or one to be looked for."""
        if ring.take is None:
            self._look()
        else:
            self._rings.append(ring)

    def _ask_stop(self) -> None:
        if self._stop_asked is not None:
            self._options = replace(self._options, drain_s=0.0)
            return
        self._stop_asked = time.monotonic()
        self._journal.info("executor.stopping", running=len(self._held), drain_s=self._options.drain_s)

    def _is_over(self) -> bool:
        if self._stop_asked is None:
            return False
        if self._options.drain_s <= 0:
            return True
        drained = not self._held and not self._outbox.waiting
        return drained or time.monotonic() >= self._stop_asked + self._options.drain_s

    # --- one turn ---------------------------------------------------------------

    def _turn(self) -> None:
        was_long = not self._take_calls()
        if was_long and not self._is_deaf:
            self._hungry = True
        now = time.monotonic()
        if now < self._retry_at:
            return
        try:
            if self._began:
                self._execution.start([job.lease for job in self._began if job.lease.job_id in self._held])
                self._began = []
            while self._rings:
                self._take(self._rings.popleft())
            if was_long and self._is_deaf:
                self._listen()
            self._exchange()
            if self._failures:
                self._journal.info("executor.reconnected", failures=self._failures)
                self._failures = 0
        except StoreUnavailableError as error:
            self._back_off(str(error))
        except JangadaError as error:
            self._back_off(f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001 — the loop must outlive what it did not foresee
            self._back_off(f"{type(error).__name__}: {error}")
            self._outbox.isolate()

    def _call(self, function: Callable[[], None]) -> None:
        """Have *function* run on the loop's thread; from any other, or from a signal handler."""
        self._inbox.calls.append(function)
        self._pool.wake()

    def _take_calls(self) -> bool:
        """Serve the slots until something happens, then do all that has happened; False when nothing did."""
        calls = self._inbox.calls
        patience_s = 0.0 if calls else self._patience()
        until = time.monotonic() + patience_s
        self._pool.serve(patience_s)
        # A line that was printed, or a look at the memory, is nothing to the loop.
        while not calls:
            left_s = until - time.monotonic()
            if left_s <= 0:
                return False
            self._pool.serve(left_s)
        while calls:
            calls.popleft()()
        return True

    def _patience(self) -> float:
        if self._failures:
            return min(LOOK_S, max(0.01, self._retry_at - time.monotonic()))
        if self._hungry and self._wants()[0] and self._stop_asked is None:
            return 0.0
        if self._stop_asked is not None:
            return 0.05
        if self._is_deaf and self._has_room:
            return DEAF_S
        return self._execution.idle_s() if self._has_room else LOOK_S

    @property
    def _has_room(self) -> bool:
        return any(self._room_in(state) for state in ("ready", "starting", "cold"))

    def _wants(self) -> tuple[int, bool]:
        """How many jobs to claim now, and whether into children that are ready."""
        if self._stop_asked is not None or not self._hungry:
            return 0, True
        warm = self._room_in("ready")
        if warm:
            return min(warm, BATCH), True
        return min(self._room_in("starting") or self._room_in("cold"), BATCH), False

    @property
    def _room(self) -> int:
        """How many jobs a slot may hold."""
        return max(1, min(2 * BATCH, int(BACKLOG_S / self._pace_s))) if self._options.short else 1

    def _room_in(self, state: str) -> int:
        if self._options.batches:
            return sum(self._free_in(index) for index, each in enumerate(self._state) if each == state)
        if state not in self._state:
            return 0
        room = self._room
        free = 0
        for load, each in zip(self._load, self._state, strict=True):
            if each == state and load < room:
                free += room - load
        return free

    def _free_in(self, slot: int) -> int:
        """How many more jobs a slot takes into its next batch."""
        return max(0, self._pool.slots[slot].room - self._load[slot])

    def _exchange(self) -> None:
        want, running = self._wants()
        if not want and not self._outbox.waiting:
            return
        self._send_reports(self._outbox.waiting)
        leases = self._outbox.exchange(want, running=running)
        if len(leases) < want:
            # Nothing more waits; the bell, the clock or a freed slot makes us look again.
            self._hungry = False
        if leases:
            self._dispatch(leases, running=running)
        if not self._hungry:
            # Only now, as what listens may be a thread that takes turns with this one.
            self._listen()

    def _take(self, ring: Ring) -> None:
        # A slot whose child is still to start takes it too, rather than that it goes back.
        room = sum(map(self._room_in, ("ready", "starting", "cold"))) if self._stop_asked is None else 0
        leases = ring.take(room) if ring.take is not None else ()
        self._hungry = ring.left_more or self._hungry
        if leases:
            self._dispatch(leases, running=True)
        self._is_deaf = not self._hungry and self._has_room

    def _listen(self) -> None:
        self._desk.sweep()
        self._is_deaf = False
        try:
            self._bell.listen(claims=self._room_in("ready") > 0 and self._stop_asked is None)
        except StoreUnavailableError:
            # Nobody listens now: the next turn looks, and tries again.
            self._hungry = True
            raise

    def _left(self, completion: Completion, stored: bool) -> None:
        job = self._let_go(completion.lease)
        # A line for each of a thousand jobs a second helps nobody.
        say = self._journal.debug if self._options.short else self._journal.info
        if stored and (not self._options.short or self._journal.is_talkative):
            say(
                "job.ended",
                job_id=completion.lease.job_id,
                attempt=completion.lease.attempt,
                outcome=outcome_word(completion),
                request_id=job.orders.request_id if job else None,
                traceparent=job.orders.traceparent if job else None,
                setup_s=completion.metrics.get("setup_s"),
                run_s=completion.metrics.get("run_s"),
            )

    def _let_go(self, lease: Lease) -> SlotJob | None:
        """Keep *lease* no longer; another lease on the same job, claimed after this one was lost, stays."""
        job = self._held.get(lease.job_id)
        if job is None or job.lease is not lease:
            return None
        return self._held.pop(lease.job_id)

    def _send_reports(self, completions: list[Completion]) -> None:
        if not self._reports:
            return
        for completion in completions:
            job = self._held.get(completion.lease.job_id)
            if job is not None:
                for events in self._reports.take(job).values():
                    self._execution.tell(job.lease, events)

    def _dispatch(self, leases: Sequence[Lease], *, running: bool) -> None:
        jobs = []
        for lease in leases:
            job = self._admit(lease, running=running)
            if job is not None:
                jobs.append(job)
        self._heartbeat.wake()
        self._pool.give(jobs)
        for job in jobs:
            if not self._is_known:
                self._unprepared.append(job)
            elif not job.is_prepared:
                self._provide(job)

    def _provide(self, job: SlotJob) -> None:
        if job.orders.input_file is None and self._schema is None:
            self._pool.prepared(job, None)
        else:
            self._desk.prepare(job, self._schema, self._pool.prepared)

    def _admit(self, lease: Lease, *, running: bool) -> SlotJob | None:
        try:
            orders = parse(lease.body)
        except (ValueError, KeyError, TypeError) as error:
            # Left to its lease: whoever settles it in the end knows no more than we do.
            self._journal.error("job.unreadable", job_id=lease.job_id, reason=f"{type(error).__name__}: {error}")
            return None
        slot = self._freest_slot()
        job = SlotJob(lease, orders, self._folder_in(slot), slot=slot, claimed_cold=not running)
        job.is_prepared = self._is_known and self._schema is None and orders.input_file is None
        job.uses_desk = not job.is_prepared
        self._load[job.slot] += 1
        if self._state[job.slot] == "cold":
            self._state[job.slot] = "starting"
        self._held[lease.job_id] = job
        return job

    def _folder_in(self, slot: int) -> str:
        spare = self._spare_folders.pop(slot, None)
        if spare is not None:
            return spare
        self._numbers += 1
        return f"{self._job_folders}/{self._numbers}"

    def _freest_slot(self) -> int:
        if len(self._load) == 1:
            return 0
        order = {"ready": 0, "starting": 1, "cold": 2, "unavailable": 3}
        if self._options.batches:
            # One full batch before a second one is begun.
            open_ = [index for index in range(len(self._load)) if self._free_in(index)]
            return min(
                open_ or range(len(self._load)), key=lambda index: (order[self._state[index]], -self._load[index])
            )
        room = self._room
        free = [index for index, load in enumerate(self._load) if load < room]
        return min(free or range(len(self._load)), key=lambda index: (order[self._state[index]], self._load[index]))

    def _stop_job(self, job: SlotJob, reason: StopReason) -> None:
        self._pool.stop_job(job, reason)

    # --- when a store is away or a value cannot be stored -------------------------

    def _back_off(self, reason: str) -> None:
        self._failures += 1
        self._bell.doubt()
        pause = random.uniform(0.5, 1.0) * min(BACKOFF_CAP_S, 0.05 * 2.0 ** min(self._failures, 10))
        self._retry_at = time.monotonic() + pause
        if self._failures == 1:
            self._journal.warning("executor.exchange_failed", reason=reason, unstored=len(self._outbox.waiting))

    # --- the end ------------------------------------------------------------------

    def _shut_down(self) -> None:
        self._bell.stop()
        self._pool.stop()
        # What ended in the last moments is stored, what did not is handed back.
        calls = self._inbox.calls
        while calls:
            calls.popleft()()
        self._desk.close()
        for ring in self._rings:
            if ring.take is not None:
                # No room for anything: what was claimed goes back. Else its lease's end does the rest.
                with contextlib.suppress(StoreUnavailableError):
                    ring.take(0)
        handed_back = self._outbox.hand_back([job.lease for job in self._held.values()])
        self._heartbeat.stop()
        self._journal.info("executor.stopped", handed_back=handed_back)

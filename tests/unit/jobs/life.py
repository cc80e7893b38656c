"""
A job's life as a state machine: clients, executors (some of which vanish and come back
late), a clock, a queue that may lose everything, and the sweep, in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from jangada.clock import utc_now
from jangada.errors import JangadaError, QueueDrainingError, StoreUnavailableError
from jangada.ids import new_id
from jangada.jobs.execution import Completion, JobExecution
from jangada.jobs.job import AttemptFailure, ErrorCode, Job, JobStatus, Policy, Priority, Unique
from jangada.jobs.queue import JobQueue, Lease, LeaseAction, LeaseState, QueueLimits
from jangada.jobs.service import JobService
from jangada.jobs.store import JobFilter, JobStore
from jangada.jobs.sweep import sweep_once

QUEUE = "toy"
TENANTS = ("acme", "globex")
LEASE_S = 15.0


@dataclass
class World:
    """What the machine runs on."""

    queue: JobQueue
    store: JobStore
    turn: Callable[[float], None]
    wipe: Callable[[], None]
    clock: Callable[[], datetime]


@dataclass
class Hand:
    """One executor and the leases it believes to hold."""

    execution: JobExecution
    line: Deaf
    leases: list[Lease] = field(default_factory=list)


class Deaf:
    """The queue as an executor meets it; on demand the answer of a claim gets lost on its way."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self.loses_next = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def finish_and_claim(self, *args: Any, **options: Any) -> Any:
        answer = self._queue.finish_and_claim(*args, **options)
        if self.loses_next:
            self.loses_next = False
            raise StoreUnavailableError("the answer got lost")
        return answer


class Life(RuleBasedStateMachine):
    """Subclasses provide `make_world`."""

    jobs = Bundle("jobs")

    def make_world(self) -> World:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.world = self.make_world()
        world = self.world
        self.service = JobService(
            world.queue, world.store, clock=world.clock, limits=QueueLimits(queue_jobs=30, tenant_jobs=20)
        )
        self.hands = [self._hand(f"exe_{number}") for number in range(2)]
        self.vanished: list[Lease] = []
        self.accepted: dict[str, Job] = {}
        self.final: dict[str, Job] = {}
        self.runs: Counter[str] = Counter()
        self.handed_back: Counter[str] = Counter()
        self.wipes = 0
        self.told: Counter[str] = Counter()

    def _hand(self, executor_id: str) -> Hand:
        world = self.world

        def notify(event: str, lease: Lease, status: JobStatus | None) -> None:
            if event == "completed":
                self.told[lease.job_id] += 1

        line = Deaf(world.queue)
        return Hand(
            JobExecution(
                line,  # type: ignore[arg-type]
                world.store,
                queue_name=QUEUE,
                executor_id=executor_id,
                lease_s=LEASE_S,
                clock=world.clock,
                notify=notify,
            ),
            line,
        )

    # clients

    @rule(
        target=jobs,
        tenant=st.sampled_from(TENANTS),
        priority=st.sampled_from(Priority),
        max_attempts=st.integers(1, 3),
        ttl_s=st.sampled_from([None, None, 20.0]),
        deadline_s=st.sampled_from([None, None, 45.0]),
        delay_s=st.sampled_from([None, None, 10.0]),
        unique=st.sampled_from([None, None, None, "a", "b"]),
        unique_s=st.sampled_from([None, 30.0]),
    )
    def submit(
        self,
        tenant: str,
        priority: Priority,
        max_attempts: int,
        ttl_s: float | None,
        deadline_s: float | None,
        delay_s: float | None,
        unique: str | None,
        unique_s: float | None,
    ) -> str:
        now = self.world.clock()
        waits = [seconds for seconds in (ttl_s, deadline_s) if seconds is not None]
        job = Job(
            id=new_id("job"),
            tenant_id=tenant,
            algorithm="toy",
            algorithm_version="1",
            deployment="toy",
            queue=QUEUE,
            input={"n": 1},
            created_at=now,
            priority=priority,
            policy=Policy(queue_ttl_s=ttl_s, deadline_s=deadline_s, max_attempts=max_attempts),
            expires_at=now + timedelta(seconds=min(waits)) if waits else None,
            deadline_at=None if deadline_s is None else now + timedelta(seconds=deadline_s),
            run_at=None if delay_s is None else now + timedelta(seconds=delay_s),
            unique=None if unique is None else Unique(unique, unique_s and now + timedelta(seconds=unique_s)),
        )
        try:
            got = self.service.submit(job)
        except JangadaError:
            assert self.world.store.get(job.id) is None
            return job.id
        if got.id != job.id:
            assert self.world.store.get(job.id) is None
            assert got.unique is not None
            assert (got.unique.key, got.tenant_id) == (unique, tenant)
            assert not got.is_final or got.unique.until is not None
            assert got.id in self.accepted
        else:
            self.accepted[job.id] = job
        return got.id

    @rule(tenant=st.sampled_from(TENANTS))
    def nothing_new_enters_a_draining_queue(self, tenant: str) -> None:
        self.world.queue.drain(QUEUE)
        job = Job(new_id("job"), tenant, "toy", "1", "toy", QUEUE, None, self.world.clock())
        try:
            self.service.submit(job)
        except QueueDrainingError:
            assert self.world.store.get(job.id) is None
        else:
            raise AssertionError("a draining queue took a job")
        self.world.queue.resume(QUEUE)

    @rule(job_id=jobs)
    def submit_again(self, job_id: str) -> None:
        if job_id in self.accepted:
            self.service.submit(self.accepted[job_id])

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        if job_id in self.accepted:
            self.service.cancel(job_id, self.accepted[job_id].tenant_id)

    # executors

    @rule(who=st.integers(0, 1), want=st.integers(0, 4), running=st.booleans(), data=st.data())
    def exchange(self, who: int, want: int, running: bool, data: st.DataObject) -> None:
        hand = self.hands[who]
        ended, kept = [], []
        for lease in hand.leases:
            how = data.draw(st.sampled_from(["keep", "output", "fail", "refuse", "hand_back", "canceled"]))
            if how == "keep":
                kept.append(lease)
            else:
                ended.append(self._completion(lease, how))
        hand.leases = kept + self._exchange(hand, ended, want, running)

    def _exchange(self, hand: Hand, ended: list[Completion], want: int, running: bool) -> list[Lease]:
        for done in ended:
            if done.handed_back and self.world.queue.renew(QUEUE, "x", [done.lease]) != [LeaseState.LOST]:
                self.handed_back[done.lease.job_id] += 1
        leases = hand.execution.exchange(ended, want, running=running)
        assert len(leases) <= want
        for lease in leases:
            assert lease.action is LeaseAction.RUN
            assert lease.job_id in self.accepted
            run_at = self.accepted[lease.job_id].run_at
            assert run_at is None or run_at <= self.world.clock() + timedelta(seconds=1)
            self.runs[lease.job_id] += 1
        return leases

    def _completion(self, lease: Lease, how: str) -> Completion:
        if how == "output":
            return Completion(lease, output={"attempt": lease.attempt, "epoch": lease.epoch})
        if how == "hand_back":
            return Completion(lease, handed_back=True)
        if how == "canceled":
            return Completion(lease, canceled=True)
        failure = AttemptFailure(ErrorCode.DEPENDENCY, "no", retryable=how == "fail")
        return Completion(lease, failure=failure)

    @rule(who=st.integers(0, 1), want=st.integers(1, 3), how=st.sampled_from(["output", "fail"]))
    def an_answer_gets_lost(self, who: int, want: int, how: str) -> None:
        hand = self.hands[who]
        done = [self._completion(lease, how) for lease in hand.leases]
        hand.line.loses_next = True
        try:
            hand.execution.exchange(done, want)
        except StoreUnavailableError:
            hand.leases = self._exchange(hand, done, want, True)
            assert all(lease.attempt == 1 or lease.history for lease in hand.leases)
        else:
            raise AssertionError("the answer was to get lost")

    @rule()
    def pause_and_resume(self) -> None:
        queue = self.world.queue
        queue.pause(QUEUE)
        assert not any(
            lease.action is LeaseAction.RUN for lease in queue.finish_and_claim(QUEUE, "x", want=3, settle=0).leases
        )
        queue.resume(QUEUE)

    @rule()
    def peek_tells_the_next_claim(self) -> None:
        queue = self.world.queue
        # Whatever is due is made so first; what is old would rise in between.
        queue.finish_and_claim(QUEUE, "x", settle=0)
        shown = queue.peek(QUEUE, limit=50)
        assert len(shown) == sum(queue.stats(QUEUE).ready.values())
        assert len({job.job_id for job in shown}) == len(shown)

    @rule(who=st.integers(0, 1))
    def renew(self, who: int) -> None:
        hand = self.hands[who]
        states = hand.execution.renew(hand.leases)
        hand.leases = [lease for lease, state in zip(hand.leases, states, strict=True) if state is not LeaseState.LOST]

    @rule(who=st.integers(0, 1))
    def start_and_tell(self, who: int) -> None:
        hand = self.hands[who]
        hand.execution.start(hand.leases)
        for lease in hand.leases:
            hand.execution.emit(lease, [("job.progress", {"progress": 0.5})])

    @rule(who=st.integers(0, 1))
    def vanish(self, who: int) -> None:
        self.vanished += self.hands[who].leases
        self.hands[who].leases = []

    @rule(how=st.sampled_from(["output", "fail", "refuse"]))
    def come_back_late(self, how: str) -> None:
        if self.vanished:
            lease = self.vanished.pop(0)
            self._exchange(self.hands[0], [self._completion(lease, how)], 0, True)

    # the world

    @rule(seconds=st.sampled_from([1.0, 6.0, 16.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.turn(seconds)

    @rule()
    def lose_the_queue(self) -> None:
        self.world.wipe()
        self.wipes += 1

    @rule()
    def sweep(self) -> None:
        sweep_once(self.world.queue, self.world.store, [QUEUE], clock=self.world.clock)

    # what must hold

    @invariant()
    def a_final_job_never_changes(self) -> None:
        for job_id, job in self.world.store.get_many(list(self.accepted)).items():
            if job_id in self.final:
                assert job == self.final[job_id]
            elif job.is_final:
                self.final[job_id] = job

    @invariant()
    def an_end_is_told_once(self) -> None:
        assert set(self.told.values()) <= {1}

    @invariant()
    def a_unique_key_is_one_jobs(self) -> None:
        unfinished = [
            (job.tenant_id, job.unique.key)
            for job in self.world.store.get_many(list(self.accepted)).values()
            if job.unique is not None and job.unique.until is None and not job.is_final
        ]
        assert len(unfinished) == len(set(unfinished))

    @invariant()
    def no_accepted_job_is_gone(self) -> None:
        assert len(self.world.store.get_many(list(self.accepted))) == len(self.accepted)

    @invariant()
    def attempts_stay_within_their_limit(self) -> None:
        for job_id, count in self.runs.items():
            # Each loss of the queue may forget the attempt that was under way.
            most = self.accepted[job_id].policy.max_attempts + self.handed_back[job_id] + self.wipes
            assert count <= most, (job_id, count, most)

    @invariant()
    def counts_agree(self) -> None:
        stats = self.world.queue.stats(QUEUE)
        held = sum(self.world.queue.holds(QUEUE, list(self.accepted)))
        assert stats.jobs == held == sum(stats.tenants.values())
        assert sum(stats.ready.values()) + stats.delayed + stats.leased <= stats.jobs
        if stats.jobs == 0:
            assert stats.bytes == 0

    def teardown(self) -> None:
        """Whatever happened: an honest executor and the sweep bring every accepted job to its end."""
        world, hand = self.world, self._hand("exe_last")
        world.turn(GRACE_S)
        for _ in range(200):
            sweep_once(world.queue, world.store, [QUEUE], clock=world.clock)
            leases = self._exchange(hand, [Completion(lease, output="end") for lease in hand.leases], 10, True)
            hand.leases = leases
            self.a_final_job_never_changes()
            if len(self.final) == len(self.accepted) and not leases:
                break
            world.turn(20)
        assert set(self.final) == set(self.accepted)
        self.attempts_stay_within_their_limit()
        for tenant in TENANTS:
            assert world.store.count_unfinished(tenant) == 0
            assert {job.id for job in world.store.page(JobFilter(tenant), 1000)} >= {
                job_id for job_id, job in self.accepted.items() if job.tenant_id == tenant
            }
        stats = world.queue.stats(QUEUE)
        assert (stats.jobs, stats.leased, stats.delayed, stats.bytes) == (0, 0, 0, 0)


GRACE_S = 400.0
"""Longer than the longest retry delay."""


def turning_clock(start: datetime | None = None) -> tuple[Callable[[], datetime], Callable[[float], None], list[int]]:
    """A clock that runs (from *start*, or with the machine's) and can be turned; the last is the turn in ms."""
    skew = [0]

    def clock() -> datetime:
        return (start or utc_now()) + timedelta(milliseconds=skew[0])

    def turn(seconds: float) -> None:
        skew[0] += round(seconds * 1000)

    return clock, turn, skew


def settings(**changes: Any) -> Any:
    """How long the machine runs."""
    from hypothesis import HealthCheck
    from hypothesis import settings as make

    return make(deadline=None, suppress_health_check=list(HealthCheck), **changes)

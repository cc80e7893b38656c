from __future__ import annotations

from datetime import timedelta

import pytest

from jangada.errors import StoreUnavailableError
from jangada.ids import id_at, new_id
from jangada.jobs.execution import Completion
from jangada.jobs.job import JobStatus, Policy, fence
from jangada.jobs.sweep import Sweeper, Swept, sweep_once
from tests.unit.jobs.desk import QUEUE, Desk


def test_jobs_that_the_queue_lost_are_queued_again_at_the_next_epoch() -> None:
    desk = Desk()
    jobs = [desk.submit() for _ in range(3)]
    done = desk.submit()
    (lease, *_) = [one for one in desk.execution.exchange(want=4) if one.job_id == done.id]
    desk.execution.exchange([Completion(lease, output=1)])
    desk.memory.wipe()
    desk.turn(6)
    assert sweep_once(desk.queue, desk.store, [], clock=desk.clock).requeued == 3
    leases = desk.execution.exchange(want=9)
    assert [(one.job_id, one.epoch, one.attempt) for one in leases] == [(job.id, 1, 1) for job in jobs]


def test_an_attempt_from_before_the_loss_can_no_longer_write() -> None:
    desk = Desk()
    job = desk.submit()
    (old,) = desk.execution.exchange(want=1)
    desk.memory.wipe()
    desk.turn(6)
    sweep_once(desk.queue, desk.store, [], clock=desk.clock)
    (new,) = desk.executor("exe_2").exchange(want=1)
    desk.execution.exchange([Completion(old, output="old")])
    desk.execution.exchange([Completion(new, output="new")])
    assert desk.get(job).output == "new"
    assert [event for event, *_ in desk.told].count("completed") == 1


def test_what_the_queue_holds_is_left_alone() -> None:
    desk = Desk()
    job = desk.submit()
    desk.turn(100)
    assert sweep_once(desk.queue, desk.store, [QUEUE], clock=desk.clock).requeued == 0
    assert desk.store.get(job.id).fence == fence(0, 0)


def test_a_job_on_its_way_into_the_queue_is_left_alone() -> None:
    desk = Desk()
    desk.store.insert_many([desk.job()])
    desk.turn(1)
    assert sweep_once(desk.queue, desk.store, [], clock=desk.clock).requeued == 0
    desk.turn(10)
    assert sweep_once(desk.queue, desk.store, [], clock=desk.clock).requeued == 1


def test_attempts_from_before_the_loss_count() -> None:
    desk = Desk()
    job = desk.submit(policy=Policy(max_attempts=2))
    desk.execution.exchange(want=1)
    desk.turn(16)
    desk.execution.exchange(want=1)
    desk.memory.wipe()
    desk.turn(16)
    sweep_once(desk.queue, desk.store, [], clock=desk.clock)
    (lease,) = desk.execution.exchange(want=1)
    desk.turn(16)
    assert desk.execution.exchange(want=1) == []
    done = desk.get(job)
    assert (done.status, lease.epoch) == (JobStatus.FAILED, 1)
    assert [one.outcome for one in done.attempts] == ["lost", "lost"]


def test_expired_jobs_of_a_queue_without_executors_are_settled() -> None:
    desk = Desk()
    job = desk.submit(expires_at=desk.clock() + timedelta(seconds=5))
    desk.turn(11)
    sweep_once(desk.queue, desk.store, [], clock=desk.clock)
    assert desk.get(job).status is JobStatus.EXPIRED


def test_old_final_jobs_are_purged_when_a_retention_is_given() -> None:
    desk = Desk()
    job = desk.submit()
    (lease,) = desk.execution.exchange(want=1)
    desk.execution.exchange([Completion(lease, output=1)])
    desk.turn(100)
    assert sweep_once(desk.queue, desk.store, [], clock=desk.clock).purged == 0
    assert sweep_once(desk.queue, desk.store, [], clock=desk.clock, retention_s=50).purged == 1
    assert desk.store.was_purged(job.id, "acme")


def test_one_sweeps_at_a_time_and_a_wiped_queue_is_walked_in_full() -> None:
    desk = Desk()
    one = Sweeper(desk.queue, desk.store, [QUEUE], clock=desk.clock)
    two = Sweeper(desk.queue, desk.store, [QUEUE], clock=desk.clock)
    assert one.turn() is not None
    assert two.turn() is None
    job = desk.submit()
    desk.turn(3600)
    assert desk.store.get(job.id).id == job.id
    assert one.turn() is not None
    desk.memory.wipe()
    swept = two.turn()
    assert swept is not None
    assert swept.requeued == 1


def test_a_walk_that_failed_is_owed() -> None:
    desk = Desk()
    desk.submit()
    desk.turn(3600)
    sweeper = Sweeper(desk.queue, desk.store, [QUEUE], clock=desk.clock)
    desk.memory.wipe()
    desk.store.away = {"open_jobs"}
    with pytest.raises(StoreUnavailableError):
        sweeper.turn()
    desk.store.away = set()
    desk.turn(20)
    swept = sweeper.turn()
    assert swept is not None
    assert swept.requeued == 1


def test_an_id_at_an_instant_sorts_between_those_before_and_after() -> None:
    desk = Desk()
    at = desk.clock() + timedelta(days=1000)
    made = new_id("job")
    assert id_at("job", desk.clock() - timedelta(days=400)) < made < id_at("job", at)
    assert len(id_at("job", at)) == len(made)


def test_the_clock_is_the_queues_whatever_the_sweepers_machine_thinks() -> None:
    desk = Desk()
    kept, late = desk.submit(), desk.job()
    (lease,) = desk.execution.exchange(want=1)
    desk.execution.exchange([Completion(lease, output=1)])
    desk.store.insert_many([late])
    desk.turn(10)
    # By this machine's own clock, which is not the desk's, the ended job is long past its retention.
    sweeper = Sweeper(desk.queue, desk.store, retention_s=3600.0)
    assert sweeper.turn() == Swept(requeued=1, purged=0, queues=frozenset({QUEUE}))
    assert desk.get(kept).status is JobStatus.SUCCEEDED


def test_whoever_sweeps_is_told_of_the_jobs_that_it_settled() -> None:
    desk = Desk()
    job = desk.submit(expires_at=desk.clock() + timedelta(seconds=5))
    desk.turn(11)
    told: list[tuple[str, str, JobStatus | None]] = []
    swept = sweep_once(
        desk.queue,
        desk.store,
        [QUEUE],
        clock=desk.clock,
        notify=lambda event, lease, status: told.append((event, lease.job_id, status)),
    )
    assert told == [("completed", job.id, JobStatus.EXPIRED)]
    assert swept.settled == 1

from __future__ import annotations

from datetime import timedelta

import pytest

from jangada.errors import QueueFullError, StoreUnavailableError
from jangada.jobs.dead_letters import DeadFilter, DeadLetters
from jangada.jobs.execution import Completion
from jangada.jobs.job import AttemptFailure, ErrorCode, Job, JobStatus, Policy
from jangada.jobs.queue import QueueLimits
from tests.unit.jobs.desk import QUEUE, Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


def letters(desk: Desk) -> DeadLetters:
    return DeadLetters(desk.queue, desk.store, desk.service, clock=desk.clock)


def kill(desk: Desk, code: ErrorCode = ErrorCode.ALGORITHM_ERROR, **changes: object) -> Job:
    job = desk.submit(**changes)
    (lease,) = desk.execution.exchange(want=1)
    desk.execution.exchange([Completion(lease, failure=AttemptFailure(code, "no"))])
    return job


def test_one_is_run_again_as_a_new_job_that_names_the_old(desk: Desk) -> None:
    dead, other = kill(desk, policy=Policy(deadline_s=60)), kill(desk)
    desk.turn(100)
    (done,) = letters(desk).requeue(QUEUE, [dead.id])
    assert done.new_job is not None
    assert (done.new_job.retry_of, done.new_job.input) == (dead.id, dead.input)
    assert done.new_job.deadline_at == desk.clock() + timedelta(seconds=60)
    assert desk.get(dead).status is JobStatus.FAILED
    assert [letter.job.id for letter in letters(desk).find(QUEUE)] == [other.id]
    assert [lease.job_id for lease in desk.execution.exchange(want=5)] == [done.new_job.id]


def test_a_filter_takes_its_own(desk: Desk) -> None:
    oom = kill(desk, ErrorCode.OOM)
    kill(desk)
    theirs = kill(desk, tenant_id="globex")
    where = DeadFilter(error_code="oom")
    assert [letter.job.id for letter in letters(desk).find(QUEUE, where)] == [oom.id]
    assert [done.job_id for done in letters(desk).requeue(QUEUE, where=where)] == [oom.id]
    assert [done.job_id for done in letters(desk).requeue(QUEUE, where=DeadFilter(tenant_id="globex"))] == [theirs.id]
    assert len(letters(desk).find(QUEUE)) == 1


def test_all_come_back_oldest_first_and_only_once(desk: Desk) -> None:
    sent = []
    for _ in range(3):
        sent.append(kill(desk).id)
        desk.turn(1)
    assert [done.job_id for done in letters(desk).requeue(QUEUE)] == sent
    assert list(letters(desk).requeue(QUEUE)) == []
    assert list(letters(desk).requeue(QUEUE, sent)) == []


def test_one_that_is_refused_stays_on_the_list() -> None:
    desk = Desk(QueueLimits(queue_jobs=1))
    dead = kill(desk)
    desk.submit()
    (done,) = letters(desk).requeue(QUEUE)
    assert isinstance(done.error, QueueFullError)
    assert [letter.job.id for letter in letters(desk).find(QUEUE)] == [dead.id]


def test_one_whose_store_went_away_stays_on_the_list(desk: Desk) -> None:
    dead = kill(desk)
    desk.store.away.add("insert_many")
    with pytest.raises(StoreUnavailableError):
        list(letters(desk).requeue(QUEUE))
    assert [letter.job.id for letter in letters(desk).find(QUEUE)] == [dead.id]

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta

import pytest

from jangada.errors import (
    DuplicateJobError,
    JangadaError,
    QueueDrainingError,
    QueueFullError,
    QuotaExceededError,
    StoreUnavailableError,
    UnknownJobError,
)
from jangada.jobs.execution import Completion
from jangada.jobs.job import AttemptFailure, ErrorCode, Job, JobStatus, Unique
from jangada.jobs.queue import QueueLimits
from jangada.jobs.store import JobFilter, LogLine
from jangada.jobs.submission import Grouped
from jangada.jobs.sweep import sweep_once
from tests.unit.jobs.desk import QUEUE, Desk


def test_a_submitted_job_is_stored_and_queued() -> None:
    desk = Desk()
    job = desk.submit()
    assert desk.get(job) == job
    assert desk.queue.holds(QUEUE, [job.id]) == [True]


def test_lasting_overload_is_refused_before_the_store_is_written() -> None:
    desk = Desk(QueueLimits(queue_jobs=2, tenant_jobs=1))
    desk.submit()
    with pytest.raises(QuotaExceededError) as refused:
        desk.submit()
    assert refused.value.retry_after_s
    assert len(desk.store.page(JobFilter("acme"), 9)) == 1
    desk.submit(tenant_id="other")
    admitted = len(desk.store.inserted)
    with pytest.raises(QueueFullError):
        desk.submit(tenant_id="third")
    assert len(desk.store.inserted) == admitted


def test_a_tenants_own_limits_go_before_the_services() -> None:
    desk = Desk(QueueLimits(tenant_jobs=5))
    desk.service.submit(desk.job(), limits=QueueLimits(tenant_jobs=1))
    with pytest.raises(QuotaExceededError):
        desk.service.submit(desk.job(), limits=QueueLimits(tenant_jobs=1))


def test_what_the_queue_refuses_after_all_is_taken_back() -> None:
    desk = Desk(QueueLimits(queue_jobs=1))
    first, second = desk.job(), desk.job()
    answers = desk.service.submit_many([first])
    answers += desk.service.submit_many([second])
    assert answers[0] == first
    assert isinstance(answers[1], QueueFullError)
    assert desk.store.get(second.id) is None


def test_without_the_queue_nothing_is_accepted() -> None:
    desk = Desk()
    desk.queue.away = {"enqueue_many"}
    job = desk.job()
    with pytest.raises(StoreUnavailableError):
        desk.service.submit(job)
    assert desk.store.get(job.id) is None


def test_without_the_store_nothing_is_accepted() -> None:
    desk = Desk()
    desk.store.away = {"insert_many"}
    job = desk.job()
    with pytest.raises(StoreUnavailableError):
        desk.service.submit(job)
    assert desk.queue.holds(QUEUE, [job.id]) == [False]


def test_each_of_many_has_its_own_outcome() -> None:
    desk = Desk(QueueLimits(tenant_jobs=2))
    jobs = [desk.job(), desk.job(), desk.job(), desk.job(tenant_id="other")]
    answers = desk.service.submit_many(jobs)
    assert [isinstance(answer, JangadaError) for answer in answers] == [False, False, True, False]
    assert isinstance(answers[2], QuotaExceededError)


def test_submitting_a_final_job_again_gives_it_back_and_queues_nothing() -> None:
    desk = Desk()
    job = desk.submit()
    (lease,) = desk.execution.exchange(want=1)
    desk.execution.exchange([Completion(lease, output=1)])
    assert desk.service.submit(job).status is JobStatus.SUCCEEDED
    assert desk.queue.holds(QUEUE, [job.id]) == [False]


def test_submitting_again_what_the_queue_lost_shuts_the_old_attempt_out() -> None:
    desk = Desk()
    job = desk.submit()
    (old,) = desk.execution.exchange(want=1)
    desk.memory.wipe()
    desk.service.submit(job)
    (new,) = desk.executor("exe_2").exchange(want=1)
    assert (new.epoch, new.attempt) == (1, 1)
    desk.execution.exchange([Completion(old, output="old")])
    assert desk.queue.renew(QUEUE, "exe_2", [new]) == ["held"]
    desk.execution.exchange([Completion(new, output="new")])
    assert desk.get(job).output == "new"
    assert [event for event, *_ in desk.told].count("completed") == 1


def test_another_tenants_job_is_unknown_to_every_call() -> None:
    desk = Desk()
    job = desk.submit()
    for call in (
        lambda: desk.service.get(job.id, "other"),
        lambda: desk.service.cancel(job.id, "other"),
        lambda: desk.service.wait(job.id, "other", 0),
    ):
        with pytest.raises(UnknownJobError):
            call()
    assert desk.get(job).status is JobStatus.QUEUED


def test_what_is_live_is_laid_over_the_record() -> None:
    desk = Desk()
    job = desk.submit()
    (lease,) = desk.execution.exchange(want=1, running=False)
    assert desk.get(job).status is JobStatus.STARTING
    desk.execution.start([lease])
    desk.execution.emit(lease, [("job.progress", {"progress": 0.5, "message": "half"})])
    seen = desk.get(job)
    assert (seen.status, seen.progress, seen.status_detail, seen.attempt) == (JobStatus.RUNNING, 0.5, "half", 1)
    assert desk.service.page(JobFilter("acme", JobStatus.RUNNING), 9) == [seen]
    assert desk.service.page(JobFilter("acme", JobStatus.QUEUED), 9) == []
    assert desk.service.page(JobFilter("acme"), 9) == [seen]


def test_a_job_is_readable_while_the_queue_is_away() -> None:
    desk = Desk()
    job = desk.submit()
    desk.queue.away = {"live"}
    assert desk.get(job) == job


def test_cancel_of_a_waiting_job_ends_it_at_once() -> None:
    desk = Desk()
    job = desk.submit()
    assert desk.service.cancel(job.id, "acme").status is JobStatus.CANCELED
    assert desk.execution.exchange(want=5) == []
    assert desk.service.cancel(job.id, "acme").status is JobStatus.CANCELED


def test_cancel_of_a_running_job_flags_it() -> None:
    desk = Desk()
    job = desk.submit()
    (lease,) = desk.execution.exchange(want=1)
    assert desk.service.cancel(job.id, "acme").status is JobStatus.RUNNING
    assert desk.execution.renew([lease]) == ["cancel"]
    desk.execution.exchange([Completion(lease, canceled=True)])
    assert desk.get(job).status is JobStatus.CANCELED


def test_cancel_of_a_job_that_the_queue_lost_ends_it_too() -> None:
    desk = Desk()
    job = desk.submit()
    desk.memory.wipe()
    assert desk.service.cancel(job.id, "acme").status is JobStatus.CANCELED


def test_wait_returns_with_the_end_not_with_the_time() -> None:
    desk = Desk()
    job = desk.submit()
    (lease,) = desk.execution.exchange(want=1)
    timer = threading.Timer(0.05, lambda: desk.execution.exchange([Completion(lease, output=1)]))
    timer.start()
    assert desk.service.wait(job.id, "acme", 30).status is JobStatus.SUCCEEDED
    timer.join()


def test_wait_gives_up_with_the_job_as_it_stands() -> None:
    desk = Desk()
    job = desk.submit()
    desk.execution.exchange(want=1)
    assert desk.service.wait(job.id, "acme", 0.05).status is JobStatus.RUNNING


def test_a_final_job_always_has_its_last_event() -> None:
    desk = Desk()
    job = desk.submit()
    (lease,) = desk.execution.exchange(want=1)
    desk.execution.exchange([Completion(lease, output=1)])
    (event,) = desk.service.events(desk.get(job), after=7)
    assert (event.type, event.number) == ("job.succeeded", 8)
    assert desk.service.events(job, after=1, block_s=5)[-1].type == "job.succeeded"


def test_logs_are_live_first_and_kept_afterwards_under_the_same_numbers() -> None:
    desk = Desk()
    job = desk.submit()
    (lease,) = desk.execution.exchange(want=1)
    lines = [{"stream": "stdout", "text": "one", "number": 1}, {"stream": "stderr", "text": "two", "number": 2}]
    desk.execution.emit(lease, [("job.log", line) for line in lines])
    live = desk.service.logs(desk.get(job))
    assert [(line.number, line.stream, line.text) for line in live] == [(1, "stdout", "one"), (2, "stderr", "two")]
    kept = [LogLine(1, 1, "stdout", "one", 5), LogLine(2, 1, "stderr", "two", 6)]
    desk.execution.exchange([Completion(lease, output=1, logs=kept)])
    assert desk.service.logs(desk.get(job)) == kept
    assert desk.service.logs(desk.get(job), after=1, stream="stderr") == kept[1:]


def test_callers_of_the_same_moment_share_a_write() -> None:
    entered, go = threading.Event(), threading.Event()
    groups: list[int] = []

    def write(items: Sequence[int]) -> list[int]:
        groups.append(len(items))
        entered.set()
        go.wait(10)
        return [item * 2 for item in items]

    grouped = Grouped(write)
    answers: dict[int, int] = {}

    def call(item: int) -> None:
        answers[item] = grouped(item)

    threads = [threading.Thread(target=call, args=(item,)) for item in range(10)]
    threads[0].start()
    entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(grouped._waiting) < 9:
        pass
    go.set()
    for thread in threads:
        thread.join(10)
    assert answers == {item: item * 2 for item in range(10)}
    assert groups == [1, 9]


def test_a_failed_write_fails_its_callers_and_not_the_next_ones() -> None:
    def write(items: Sequence[int]) -> list[int]:
        if 13 in items:
            raise StoreUnavailableError("away")
        return list(items)

    grouped = Grouped(write)
    with pytest.raises(StoreUnavailableError):
        grouped(13)
    assert grouped(1) == 1


class TestUnique:
    def test_the_key_is_free_when_the_job_has_ended_however(self) -> None:
        desk = Desk()
        for how in ("output", "failure", "canceled", "expired"):
            job = desk.submit(unique=Unique("k"), expires_at=desk.clock() + timedelta(seconds=60))
            assert desk.submit(unique=Unique("k")).id == job.id
            if how == "canceled":
                desk.service.cancel(job.id, "acme")
            elif how == "expired":
                desk.turn(61)
                desk.execution.exchange()
            else:
                (lease,) = desk.execution.exchange(want=1)
                failure = AttemptFailure(ErrorCode.ALGORITHM_ERROR, "no") if how == "failure" else None
                desk.execution.exchange([Completion(lease, output=1, failure=failure)])
            assert desk.get(job).is_final

    def test_one_for_a_time_is_free_after_it_even_while_the_job_runs(self) -> None:
        desk = Desk()
        job = desk.submit(unique=Unique("k", desk.clock() + timedelta(seconds=60)))
        desk.turn(59)
        assert desk.submit(unique=Unique("k")).id == job.id
        desk.turn(2)
        assert desk.submit(unique=Unique("k")).id != job.id

    def test_a_refused_job_leaves_the_key_free(self) -> None:
        desk = Desk(QueueLimits(queue_jobs=1))
        desk.submit()
        with pytest.raises(QueueFullError):
            desk.submit(unique=Unique("k"))
        desk.execution.exchange([Completion(lease, output=1) for lease in desk.execution.exchange(want=1)])
        desk.submit(unique=Unique("k"))
        assert desk.memory.stats(QUEUE).jobs == 1

    def test_of_many_at_once_one_is_made(self) -> None:
        desk = Desk()
        made = desk.service.submit_many([desk.job(unique=Unique("k")) for _ in range(20)])
        assert len({job.id for job in made if isinstance(job, Job)}) == 1
        assert desk.memory.stats(QUEUE).jobs == 1

    def test_who_asks_is_refused_with_the_id_of_the_first(self) -> None:
        desk = Desk()
        job = desk.submit(unique=Unique("k"))
        with pytest.raises(DuplicateJobError) as refused:
            desk.submit(unique=Unique("k", refuses=True))
        assert refused.value.extra == {"job_id": job.id}


def test_a_scheduled_job_waits_for_its_time_also_after_the_queue_was_lost() -> None:
    desk = Desk()
    job = desk.submit(run_at=desk.clock() + timedelta(seconds=600))
    desk.memory.wipe()
    desk.turn(30)
    sweep_once(desk.queue, desk.store, [QUEUE], clock=desk.clock)
    assert desk.execution.exchange(want=1) == []
    desk.turn(571)
    (lease,) = desk.execution.exchange(want=1)
    assert lease.job_id == job.id


def test_a_draining_queue_refuses_with_its_own_problem_and_stores_nothing() -> None:
    desk = Desk()
    known = desk.submit()
    desk.memory.drain(QUEUE)
    for _ in range(2):
        with pytest.raises(QueueDrainingError) as refused:
            desk.submit()
        assert (refused.value.code, refused.value.status) == ("queue_draining", 503)
        assert refused.value.retry_after_s
    assert desk.store.count_unfinished("acme") == 1
    assert desk.service.submit(known).id == known.id

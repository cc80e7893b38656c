"""What every `JobStore` promises, on each implementation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jangada.ids import new_id
from jangada.jobs.job import Attempt, Job, JobStatus, Policy, Priority, Unique, Webhook, fence
from jangada.jobs.store import FenceRaise, JobFilter, JobStore, LogLine, Outcome, UnstorableError
from jangada.jobs.store_memory import MemoryJobStore
from jangada.jobs.store_mongo import MongoJobStore
from tests.contract.stores import STORES

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> JobStore:
    if request.param == "memory":
        return MemoryJobStore()
    made = MongoJobStore(request.getfixturevalue(f"{request.param}_database"))
    made.create_indexes()
    return made


def a_job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "id": new_id("job"),
        "tenant_id": "acme",
        "algorithm": "echo",
        "algorithm_version": "1.2.3",
        "deployment": "echo",
        "queue": "echo",
        "input": {"page": 1},
        "created_at": NOW,
    }
    return Job(**(fields | changes))


def an_outcome(job: Job, attempt: int = 1, epoch: int = 0, **changes: Any) -> Outcome:
    fields: dict[str, Any] = {
        "job_id": job.id,
        "tenant_id": job.tenant_id,
        "fence": fence(epoch, attempt),
        "status": JobStatus.SUCCEEDED,
        "attempt": attempt,
        "output": {"n": attempt},
        "completed_at": NOW,
    }
    return Outcome(**(fields | changes))


def insert(store: JobStore, *jobs: Job) -> None:
    assert store.insert_many(jobs) == [True] * len(jobs)


class TestUnique:
    def test_a_second_job_with_the_key_is_not_inserted(self, store: JobStore) -> None:
        first, second = (a_job(unique=Unique("k")) for _ in range(2))
        plain = a_job()
        assert store.insert_many([first, second, plain]) == [True, False, True]
        assert store.get(second.id) is None
        holder = store.unique_holder(second)
        assert holder is not None
        assert (holder.id, holder.unique) == (first.id, Unique("k"))

    def test_keys_belong_to_a_tenant_and_an_algorithm(self, store: JobStore) -> None:
        insert(
            store,
            a_job(unique=Unique("k")),
            a_job(unique=Unique("k"), tenant_id="globex"),
            a_job(unique=Unique("k"), algorithm="other"),
            a_job(unique=Unique("k2")),
        )

    def test_the_final_status_frees_it_in_the_same_write(self, store: JobStore) -> None:
        first, second = (a_job(unique=Unique("k")) for _ in range(2))
        insert(store, first)
        store.write_outcomes([an_outcome(first, frees_unique=True)])
        assert store.unique_holder(second) is None
        insert(store, second)

    def test_one_for_a_time_stays_until_it_is_freed(self, store: JobStore) -> None:
        first, second = (a_job(unique=Unique("k", NOW + timedelta(hours=1))) for _ in range(2))
        insert(store, first)
        store.write_outcomes([an_outcome(first)])
        assert store.insert_many([second]) == [False]
        store.free_unique(first.id)
        insert(store, second)

    def test_a_job_that_was_taken_back_holds_nothing(self, store: JobStore) -> None:
        first, second = (a_job(unique=Unique("k")) for _ in range(2))
        insert(store, first)
        store.delete_unfinished([first.id])
        insert(store, second)

    def test_retention_frees_it(self, store: JobStore) -> None:
        first, second = (a_job(unique=Unique("k", NOW + timedelta(hours=1))) for _ in range(2))
        insert(store, first)
        store.write_outcomes([an_outcome(first)])
        assert store.purge(completed_before=NOW + timedelta(seconds=1), limit=10) == 1
        insert(store, second)


class TestRecord:
    def test_everything_comes_back_as_it_went_in(self, store: JobStore) -> None:
        job = a_job(
            input={"$set": {"a.b": [None, 1.5, "é", {"": 0}]}, "big": 2**53, "deep": [[[[]]]]},
            priority=Priority.HIGH,
            policy=Policy(10.0, 20.5, 30.0, 5),
            webhook=Webhook("https://example.com/hook", ("started", "completed"), "cloudevents"),
            metadata={"invoice.no": "A-17", "$x": 1},
            input_file="file_1",
            file_ids=("file_1", "file_2"),
            expires_at=NOW + timedelta(seconds=10),
            deadline_at=NOW + timedelta(seconds=30),
            run_at=NOW + timedelta(seconds=5),
            unique=Unique("A-17", NOW + timedelta(seconds=60)),
            retry_of="job_old",
            request_id="req_1",
            traceparent="00-1-2-03",
            call_id="call",
            weight=2.5,
        )
        plain = a_job(input=None)
        insert(store, job, plain)
        assert store.get(job.id) == job
        assert store.get(plain.id) == plain
        assert store.get_many([job.id, "job_none", plain.id]) == {job.id: job, plain.id: plain}

    def test_an_outcome_comes_back_as_it_went_in(self, store: JobStore) -> None:
        job = a_job()
        insert(store, job)
        attempt = Attempt(1, "lost", {"code": "executor_lost", "details": {"$a": 1}}, "exe_1", NOW)
        outcome = an_outcome(
            job,
            attempt=2,
            status=JobStatus.FAILED,
            output=None,
            output_file="file_9",
            error={"code": "oom", "message": "m", "retryable": True, "details": {"a.b": 1}},
            attempts=(attempt,),
            claimed_at=NOW,
            started_at=NOW + timedelta(milliseconds=1),
            completed_at=NOW + timedelta(seconds=1),
            metrics={"run_s": 0.25, "gpu_s": None},
        )
        assert store.write_outcomes([outcome]) == [True]
        found = store.get(job.id)
        assert found is not None
        for name in ("status", "attempt", "output", "output_file", "error", "attempts", "claimed_at", "started_at"):
            assert getattr(found, name) == getattr(outcome, name), name
        assert (found.completed_at, found.metrics) == (outcome.completed_at, outcome.metrics)
        assert found.input == job.input

    def test_the_same_id_is_inserted_once(self, store: JobStore) -> None:
        job = a_job()
        other = a_job()
        insert(store, job)
        assert store.insert_many([a_job(id=job.id, tenant_id="thief"), other]) == [False, True]
        assert store.get(job.id) == job
        assert store.insert_many([]) == []

    def test_another_tenants_job_is_not_there(self, store: JobStore) -> None:
        job = a_job()
        insert(store, job)
        assert store.get(job.id, "acme") == job
        assert store.get(job.id, "other") is None
        assert store.get("job_none") is None

    def test_only_unfinished_jobs_are_taken_back(self, store: JobStore) -> None:
        waiting, done = a_job(), a_job()
        insert(store, waiting, done)
        store.write_outcomes([an_outcome(done)])
        store.delete_unfinished([waiting.id, done.id])
        assert sorted(store.get_many([waiting.id, done.id])) == [done.id]


class TestFence:
    def test_the_first_outcome_is_the_only_one(self, store: JobStore) -> None:
        job = a_job()
        insert(store, job)
        assert store.write_outcomes([an_outcome(job, 1)]) == [True]
        assert store.write_outcomes([an_outcome(job, 2, status=JobStatus.FAILED)]) == [False]
        assert store.write_outcomes([an_outcome(job, 9, epoch=5)]) == [False]
        found = store.get(job.id)
        assert found is not None
        assert (found.status, found.output) == (JobStatus.SUCCEEDED, {"n": 1})

    def test_the_same_attempt_may_write_again_and_nothing_changes(self, store: JobStore) -> None:
        job = a_job()
        insert(store, job)
        store.write_outcomes([an_outcome(job)])
        before = store.get(job.id)
        assert store.write_outcomes([an_outcome(job, output={"n": "other"})]) == [True]
        assert store.get(job.id) == before

    def test_of_two_with_the_same_attempt_the_first_wins(self, store: JobStore) -> None:
        # A queue that came back without its last second may have given it to both.
        job, other = a_job(), a_job()
        insert(store, job, other)
        assert store.write_outcomes([an_outcome(job, executor_id="exe_1")]) == [True]
        late = an_outcome(job, executor_id="exe_2", output={"n": "other"})
        assert store.write_outcomes([late, an_outcome(other, executor_id="exe_2")]) == [False, True]
        assert store.write_outcomes([an_outcome(job, executor_id="exe_1")]) == [True], "its own, said again"
        kept = store.get(job.id)
        assert kept is not None
        assert kept.output == {"n": 1}

    def test_what_cannot_be_written_down_is_told_apart_from_a_server_that_is_away(self, store: JobStore) -> None:
        if isinstance(store, MemoryJobStore):
            pytest.skip("memory holds everything")
        job = a_job()
        insert(store, job)
        with pytest.raises(UnstorableError):
            store.write_outcomes([an_outcome(job, output={"n": 2**70})])
        assert store.write_outcomes([an_outcome(job)]) == [True]

    def test_an_attempt_that_was_overtaken_cannot_write(self, store: JobStore) -> None:
        job = a_job()
        insert(store, job)
        assert store.raise_fences([FenceRaise(job.id, fence(0, 2))]) == [True]
        assert store.write_outcomes([an_outcome(job, 1)]) == [False]
        assert store.write_outcomes([an_outcome(job, 2)]) == [True]

    def test_each_of_a_group_has_its_own_answer(self, store: JobStore) -> None:
        jobs = [a_job() for _ in range(4)]
        insert(store, *jobs)
        store.raise_fences([FenceRaise(jobs[1].id, fence(0, 5))])
        gone = a_job()
        outcomes = [an_outcome(job) for job in (jobs[0], jobs[1], gone, jobs[3])]
        assert store.write_outcomes(outcomes) == [True, False, False, True]
        assert store.write_outcomes([]) == []

    def test_a_fence_only_rises(self, store: JobStore) -> None:
        job, done = a_job(), a_job()
        insert(store, job, done)
        store.write_outcomes([an_outcome(done)])
        lost = Attempt(1, "lost", None, "exe_1", NOW)
        assert store.raise_fences([FenceRaise(job.id, fence(0, 3), (lost,)), FenceRaise(done.id, fence(7, 1))]) == [
            True,
            False,
        ]
        assert store.raise_fences([FenceRaise(job.id, fence(0, 3))]) == [True]
        assert store.raise_fences([FenceRaise(job.id, fence(0, 2)), FenceRaise("job_none", 1)]) == [False, False]
        found = store.get(job.id)
        assert found is not None
        assert (found.fence, found.attempts) == (fence(0, 3), (lost,))

    def test_a_new_epoch_shuts_every_older_attempt_out(self, store: JobStore) -> None:
        job, done = a_job(), a_job()
        insert(store, job, done)
        store.write_outcomes([an_outcome(done)])
        raised = store.raise_epochs([job, done])
        assert [(one.id, one.fence) for one in raised] == [(job.id, fence(1, 0))]
        assert store.write_outcomes([an_outcome(job, 40)]) == [False]
        assert store.write_outcomes([an_outcome(job, 1, epoch=1)]) == [True]

    def test_of_two_sweeps_one_raises(self, store: JobStore) -> None:
        job = a_job()
        insert(store, job)
        assert len(store.raise_epochs([job])) == 1
        # The other one read the job before: its fence is no longer what is stored.
        store.raise_fences([FenceRaise(job.id, fence(1, 1))])
        assert store.raise_epochs([job]) == []


class TestLists:
    def test_pages_are_newest_first_and_follow_on(self, store: JobStore) -> None:
        jobs = [a_job() for _ in range(7)]
        insert(store, *jobs, a_job(tenant_id="other"), a_job(tenant_id="acme2"))
        newest_first = [job.id for job in reversed(jobs)]
        first = store.page(JobFilter("acme"), 4)
        rest = store.page(JobFilter("acme", before_id=first[-1].id), 4)
        assert [job.id for job in first + rest] == newest_first

    def test_filters_hold_together(self, store: JobStore) -> None:
        wanted = a_job(algorithm="ocr", deployment="acme-ocr")
        done = a_job(algorithm="ocr", deployment="acme-ocr")
        insert(store, wanted, done, a_job(algorithm="ocr"), a_job())
        store.write_outcomes([an_outcome(done)])
        where = JobFilter("acme", status=JobStatus.QUEUED, algorithm="ocr", deployment="acme-ocr")
        assert [job.id for job in store.page(where, 10)] == [wanted.id]
        assert [job.id for job in store.page(JobFilter("acme", status=JobStatus.SUCCEEDED), 10)] == [done.id]

    def test_unfinished_are_in_id_order_without_the_final_and_the_young(self, store: JobStore) -> None:
        old = [a_job() for _ in range(3)]
        done = a_job()
        young = a_job(created_at=NOW + timedelta(seconds=60))
        insert(store, *old, done, young)
        store.write_outcomes([an_outcome(done)])
        before = NOW + timedelta(seconds=30)
        found = store.unfinished(created_before=before, after_id=None, limit=2)
        assert [job.id for job in found] == [job.id for job in old[:2]]
        found = store.unfinished(created_before=before, after_id=found[-1].id, limit=9)
        assert [job.id for job in found] == [old[2].id]
        light = store.open_jobs(created_before=before, after_id=None, limit=9)
        assert [(job.id, job.queue) for job in light] == [(job.id, "echo") for job in old]

    def test_unfinished_jobs_of_a_tenant_are_counted(self, store: JobStore) -> None:
        jobs = [a_job() for _ in range(3)]
        insert(store, *jobs, a_job(tenant_id="acme2"))
        store.write_outcomes([an_outcome(jobs[0])])
        assert (store.count_unfinished("acme"), store.count_unfinished("nobody")) == (2, 0)


class TestLogs:
    def test_lines_come_back_in_order_by_stream_and_after(self, store: JobStore) -> None:
        lines = [LogLine(n, 1, "stdout" if n % 2 else "stderr", f"línea {n}", n) for n in range(1, 7)]
        store.append_logs("job_1", lines[:4])
        store.append_logs_many({"job_1": lines[4:], "job_2": lines[:1], "job_3": []})
        assert store.logs("job_1") == lines
        assert store.logs("job_1", after=4) == lines[4:]
        assert [line.number for line in store.logs("job_1", stream="stderr", limit=2)] == [2, 4]
        assert store.logs("job_3") == []

    def test_a_repeated_write_keeps_the_lines_once(self, store: JobStore) -> None:
        lines = [LogLine(1, 1, "stdout", "once", 1)]
        store.append_logs("job_1", lines)
        store.append_logs("job_1", lines)
        assert store.logs("job_1") == lines


class TestWebhooksAndRetention:
    def test_due_webhooks_are_listed_until_sent(self, store: JobStore) -> None:
        due, quiet = a_job(), a_job()
        insert(store, due, quiet)
        assert store.webhooks_due(10) == []
        store.write_outcomes([an_outcome(due, webhook_due=True), an_outcome(quiet)])
        assert [job.id for job in store.webhooks_due(10)] == [due.id]
        store.webhooks_sent([due.id])
        store.webhooks_sent([])
        assert store.webhooks_due(10) == []

    def test_purge_removes_old_final_jobs_and_remembers_that(self, store: JobStore) -> None:
        old, recent, waiting = a_job(), a_job(), a_job()
        insert(store, old, recent, waiting)
        store.append_logs(old.id, [LogLine(1, 1, "stdout", "x", 1)])
        store.write_outcomes([an_outcome(old), an_outcome(recent, completed_at=NOW + timedelta(days=2))])
        assert store.purge(completed_before=NOW + timedelta(days=1), limit=10) == 1
        assert store.purge(completed_before=NOW + timedelta(days=1), limit=10) == 0
        assert sorted(store.get_many([old.id, recent.id, waiting.id])) == sorted([recent.id, waiting.id])
        assert store.logs(old.id) == []
        assert store.was_purged(old.id, "acme")
        assert not store.was_purged(old.id, "other")
        assert not store.was_purged(recent.id, "acme")

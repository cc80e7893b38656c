"""A job's record says which version and which image ran it, also where another one tried before."""

from __future__ import annotations

from jangada.jobs.execution import Completion, JobExecution
from jangada.jobs.job import AttemptFailure, ErrorCode, Job, RanBy
from jangada.jobs.queue import Lease
from jangada.jobs.queue_memory import MemoryJobQueue
from jangada.jobs.service import JobService
from jangada.jobs.store import JobStore
from jangada.jobs.view import job_object
from tests.contract.jobs.test_store import a_job, store

__all__ = ["store"]

OLD = RanBy("1.2.3", "sha256:" + "0" * 64)
NEW = RanBy("1.3.0", model="types@production")


class Floor:
    """One queue, and executors of several releases."""

    def __init__(self, store: JobStore) -> None:
        self.store = store
        self.now_ms = 1_750_000_000_000
        self.queue = MemoryJobQueue(now_ms=lambda: self.now_ms)
        self.job: Job = JobService(self.queue, store).submit(a_job())

    def executor(self, ran_by: RanBy | None) -> JobExecution:
        return JobExecution(self.queue, self.store, queue_name="echo", executor_id="exe_1", ran_by=ran_by)

    def claim(self, ran_by: RanBy | None) -> tuple[JobExecution, Lease]:
        execution = self.executor(ran_by)
        self.now_ms += 3_600_000
        [lease] = execution.exchange(want=1)
        return execution, lease

    def seen(self) -> dict:
        return job_object(self.store.get_many([self.job.id])[self.job.id])


def test_what_ran_a_job_is_in_its_record(store):
    floor = Floor(store)
    assert floor.seen()["ran_by"] is None
    execution, lease = floor.claim(OLD)
    execution.exchange([Completion(lease, output="x")])
    assert floor.seen()["ran_by"] == {
        "algorithm_version": "1.2.3",
        "image_digest": OLD.image_digest,
        "model": None,
    }


def test_each_attempt_has_its_own(store):
    floor = Floor(store)
    failure = AttemptFailure(ErrorCode.ALGORITHM_ERROR, "broken", retryable=True)
    execution, lease = floor.claim(OLD)
    execution.exchange([Completion(lease, failure=failure)])
    execution, lease = floor.claim(NEW)
    execution.exchange([Completion(lease, output="x")])
    seen = floor.seen()
    assert seen["algorithm_version"] == "1.2.3"
    assert seen["ran_by"] == {"algorithm_version": "1.3.0", "image_digest": None, "model": "types@production"}
    [first] = seen["attempts"]
    assert first["ran_by"] == {
        "algorithm_version": "1.2.3",
        "image_digest": OLD.image_digest,
        "model": None,
    }


def test_who_cannot_tell_says_nothing(store):
    floor = Floor(store)
    execution, lease = floor.claim(None)
    execution.exchange([Completion(lease, output="x")])
    assert floor.seen()["ran_by"] is None

"""What every `JobQueue` promises of being held up and looked at: pause, drain, rate, peek, stats."""

from __future__ import annotations

import pytest

from jangada.jobs.job import Priority
from jangada.jobs.queue import Admission, JobQueue, LeaseAction, QueueLimits
from tests.contract.jobs.conftest import Turned
from tests.contract.jobs.test_queue import FAILED, Q, an_entry, claim, finish, ids, put

OPEN = QueueLimits(None, None)


class TestPause:
    def test_a_paused_queue_hands_out_nothing_but_takes_jobs(self, queue: JobQueue) -> None:
        sent = put(queue, 2)
        assert queue.pause(Q).paused
        assert queue.enqueue_many(Q, [an_entry()], OPEN) == [Admission.ACCEPTED]
        assert claim(queue, 5) == []
        assert queue.stats(Q).control.paused
        assert not queue.resume(Q).paused
        assert ids(claim(queue, 5))[:2] == sent

    def test_what_runs_goes_on(self, queue: JobQueue) -> None:
        put(queue, 2)
        lease = claim(queue)[0]
        queue.pause(Q)
        assert queue.renew(Q, "exe_1", [lease]) == ["held"]
        assert finish(queue, lease) == [True]
        assert queue.stats(Q).jobs == 1

    def test_outcomes_are_still_settled(self, turned: Turned) -> None:
        queue = turned.queue
        now = queue.finish_and_claim(Q, "exe_1").now_ms
        put(queue, expires_ms=now + 1000)
        queue.pause(Q)
        turned.turn(2)
        (lease,) = claim(queue, 5)
        assert lease.action is LeaseAction.SETTLE_EXPIRED

    def test_a_waiter_is_not_told_to_look_again_at_once(self, queue: JobQueue) -> None:
        put(queue, 2)
        queue.pause(Q)
        assert queue.finish_and_claim(Q, "exe_1", want=1).next_due_ms is None

    def test_a_resume_rings(self, queue: JobQueue) -> None:
        put(queue)
        queue.pause(Q)
        claim(queue)
        assert queue.wait_for_bell(Q, 0.05) is False
        queue.resume(Q)
        assert queue.wait_for_bell(Q, 5) is True


class TestDrain:
    def test_a_draining_queue_takes_nothing_new_and_runs_on(self, queue: JobQueue) -> None:
        (job_id,) = put(queue)
        assert queue.drain(Q).draining
        newcomer = an_entry()
        assert queue.admit(Q, [newcomer], OPEN) == [Admission.DRAINING]
        assert queue.enqueue_many(Q, [newcomer], OPEN) == [Admission.DRAINING]
        (lease,) = claim(queue, 5)
        assert lease.job_id == job_id
        assert queue.retry(Q, lease, delay_s=0, attempt=FAILED)
        assert ids(claim(queue, 5)) == [job_id]
        queue.resume(Q)
        assert queue.enqueue_many(Q, [newcomer], OPEN) == [Admission.ACCEPTED]

    def test_jobs_accepted_before_come_back_all_the_same(self, queue: JobQueue) -> None:
        queue.drain(Q)
        known = an_entry()
        assert queue.enqueue_many(Q, [known]) == [Admission.ACCEPTED]
        assert queue.enqueue_many(Q, [known], OPEN) == [Admission.DUPLICATE]


class TestRate:
    def test_no_more_are_handed_out_than_the_bucket_holds(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue, 30)
        control = queue.limit_rate(Q, 2.0, burst=4)
        assert (control.rate_per_s, control.burst) == (2.0, 4)
        assert len(claim(queue, 10)) == 4
        assert claim(queue, 10) == []
        turned.turn(1)
        assert len(claim(queue, 10)) == 2
        turned.turn(60)
        assert len(claim(queue, 10)) == 4

    def test_next_due_is_when_the_next_token_comes(self, queue: JobQueue) -> None:
        put(queue, 5)
        queue.limit_rate(Q, 0.01, burst=1)
        answer = queue.finish_and_claim(Q, "exe_1", want=5, lease_s=3600)
        assert len(answer.leases) == 1
        assert answer.next_due_ms is not None
        assert 90_000 < answer.next_due_ms - answer.now_ms <= 100_000

    def test_none_ends_the_limit(self, queue: JobQueue) -> None:
        put(queue, 9)
        queue.limit_rate(Q, 1.0)
        assert len(claim(queue, 9)) == 1
        assert queue.limit_rate(Q, None).rate_per_s is None
        assert len(claim(queue, 9)) == 8

    @pytest.mark.parametrize(("per_s", "burst"), [(0, None), (-1, None), (float("nan"), None), (5, 0)])
    def test_a_senseless_rate_is_refused(self, queue: JobQueue, per_s: float, burst: int | None) -> None:
        with pytest.raises(ValueError, match=r"rate|burst"):
            queue.limit_rate(Q, per_s, burst=burst)


class TestPeek:
    def test_it_shows_the_claim_order_and_changes_nothing(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue, 3, tenant_id="many")
        low = put(queue, priority=Priority.LOW)
        few = put(queue, tenant_id="few")
        high = put(queue, priority=Priority.HIGH)
        turned.turn(3)
        seen = queue.peek(Q)
        assert seen[0].job_id == high[0]
        assert seen[-1].job_id == low[0]
        assert few[0] in [job.job_id for job in seen[1:4]]
        assert (seen[0].tenant_id, seen[0].priority, seen[0].attempts) == ("acme", Priority.HIGH, 0)
        assert 3 <= seen[0].age_s < 10
        assert [job.job_id for job in queue.peek(Q, limit=2)] == [job.job_id for job in seen[:2]]
        assert ids(claim(queue, 10)) == [job.job_id for job in seen]

    def test_a_job_handed_back_is_first_and_shows_its_attempts(self, queue: JobQueue) -> None:
        put(queue, 3)
        lease = claim(queue)[0]
        queue.release(Q, [lease])
        first = queue.peek(Q, limit=1)[0]
        assert (first.job_id, first.attempts) == (lease.job_id, 1)

    def test_what_waits_for_something_else_is_not_shown(self, queue: JobQueue) -> None:
        now = queue.finish_and_claim(Q, "exe_1").now_ms
        put(queue, not_before_ms=now + 60_000)
        (canceled,) = put(queue)
        queue.cancel(Q, canceled, executor_id="router")
        assert queue.peek(Q) == []


class TestStats:
    def test_bytes_are_told_by_tenant_and_settling_apart(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue, 2, tenant_id="a", body=b"x" * 10)
        put(queue, 1, tenant_id="b", body=b"x" * 7)
        claim(queue, 1)
        stats = queue.stats(Q)
        assert (stats.tenant_bytes, stats.bytes) == ({"a": 20, "b": 7}, 27)
        now = queue.finish_and_claim(Q, "exe_1").now_ms
        put(queue, tenant_id="b", expires_ms=now + 1000)
        turned.turn(2)
        queue.finish_and_claim(Q, "exe_1", settle=0)
        assert queue.stats(Q).settling == 1

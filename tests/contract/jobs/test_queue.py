"""What every `JobQueue` promises, on each implementation."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import pytest

from jangada.errors import StoreUnavailableError
from jangada.jobs.claims import Claims
from jangada.jobs.job import Priority
from jangada.jobs.queue import (
    Admission,
    CancelResult,
    Claimed,
    Finish,
    JobQueue,
    Lease,
    LeaseAction,
    LeaseState,
    QueueEntry,
    QueueLimits,
)
from tests.contract.jobs.conftest import Turned

Q = "toy"
_numbers = itertools.count()


def an_entry(**changes: object) -> QueueEntry:
    fields: dict[str, object] = {"job_id": f"job_{next(_numbers):06d}", "tenant_id": "acme", "body": b'{}\n{"x":1}'}
    return QueueEntry(**(fields | changes))  # type: ignore[arg-type]


def put(queue: JobQueue, count: int = 1, **changes: object) -> list[str]:
    entries = [an_entry(**changes) for _ in range(count)]
    assert queue.enqueue_many(Q, entries) == [Admission.ACCEPTED] * count
    return [entry.job_id for entry in entries]


def claim(queue: JobQueue, want: int = 1, **options: object) -> list[Lease]:
    return queue.finish_and_claim(Q, "exe_1", want=want, **options).leases  # type: ignore[arg-type]


def finish(queue: JobQueue, *leases: Lease, status: str = "succeeded") -> list[bool]:
    return queue.finish_and_claim(Q, "exe_1", finished=[Finish(lease, status) for lease in leases]).finished


def ids(leases: list[Lease]) -> list[str]:
    return [lease.job_id for lease in leases]


def kinds(queue: JobQueue, job_id: str) -> list[str]:
    return [event.type for event in queue.events(Q, job_id)]


FAILED = {"number": 1, "outcome": "failed", "error": {"code": "dependency"}, "executor_id": "exe_1", "ended_ms": 5}


class TestClaim:
    def test_a_claim_carries_the_orders_and_the_number_of_the_attempt(self, queue: JobQueue) -> None:
        body = bytes(range(256))
        (job_id,) = put(queue, body=body, epoch=3)
        (lease,) = claim(queue)
        assert (lease.job_id, lease.body, lease.epoch, lease.attempt) == (job_id, body, 3, 1)
        assert (lease.tenant_id, lease.action, lease.history) == ("acme", LeaseAction.RUN, ())

    def test_a_claimed_job_is_not_claimed_again(self, queue: JobQueue) -> None:
        put(queue, 3)
        assert len(claim(queue, 2)) == 2
        assert len(claim(queue, 5)) == 1
        assert claim(queue, 5) == []

    def test_jobs_of_one_tenant_come_in_the_order_of_their_submission(self, queue: JobQueue) -> None:
        sent = put(queue, 5)
        assert ids(claim(queue, 2)) + ids(claim(queue, 3)) == sent

    def test_finish_and_claim_does_both_at_once(self, queue: JobQueue) -> None:
        first, second = put(queue, 2)
        held = claim(queue)
        answer = queue.finish_and_claim(Q, "exe_1", finished=[Finish(held[0], "succeeded")], want=1)
        assert (answer.finished, ids(answer.leases)) == ([True], [second])
        assert queue.holds(Q, [first, second]) == [False, True]

    def test_finishing_twice_says_so_and_changes_nothing(self, queue: JobQueue) -> None:
        put(queue, 2)
        lease = claim(queue)[0]
        assert finish(queue, lease) == [True]
        assert finish(queue, lease) == [False]
        assert queue.stats(Q).jobs == 1

    def test_high_comes_before_normal_before_low(self, queue: JobQueue) -> None:
        low = put(queue, 2, priority=Priority.LOW)
        normal = put(queue, 2)
        high = put(queue, 2, priority=Priority.HIGH)
        assert ids(claim(queue, 6)) == high + normal + low

    def test_queues_do_not_see_each_other(self, queue: JobQueue) -> None:
        put(queue)
        assert queue.finish_and_claim("other", "exe_1", want=1).leases == []


class TestFairness:
    def test_a_newcomer_waits_one_turn_behind_a_tenant_with_many(self, queue: JobQueue) -> None:
        put(queue, 50, tenant_id="many")
        claim(queue, 10)
        put(queue, 3, tenant_id="few")
        order = [lease.tenant_id for lease in claim(queue, 8)]
        assert order.count("few") == 3
        assert order[:3].count("few") >= 1

    def test_shares_follow_the_weights(self, queue: JobQueue) -> None:
        put(queue, 60, tenant_id="light", weight=1.0)
        put(queue, 60, tenant_id="heavy", weight=3.0)
        order = [lease.tenant_id for lease in claim(queue, 40)]
        assert 28 <= order.count("heavy") <= 32

    def test_having_been_idle_saves_nothing_up(self, queue: JobQueue) -> None:
        put(queue, 1, tenant_id="idle")
        put(queue, 100, tenant_id="busy")
        finish(queue, *claim(queue, 60))
        put(queue, 20, tenant_id="idle")
        order = [lease.tenant_id for lease in claim(queue, 20)]
        assert 8 <= order.count("idle") <= 12

    def test_many_jobs_in_one_band_do_not_delay_the_tenants_next_one_in_another(self, queue: JobQueue) -> None:
        put(queue, 30, tenant_id="a", priority=Priority.LOW)
        put(queue, 3, tenant_id="b", priority=Priority.HIGH)
        put(queue, 3, tenant_id="a", priority=Priority.HIGH)
        assert sorted(lease.tenant_id for lease in claim(queue, 4)) == ["a", "a", "b", "b"]


class TestAgeing:
    def test_a_normal_job_that_waited_long_enough_rises(self, turned: Turned) -> None:
        queue = turned.queue
        (old,) = put(queue)
        turned.turn(61)
        put(queue, 5, tenant_id="other", priority=Priority.HIGH)
        assert old in ids(claim(queue, 2))

    def test_before_that_it_does_not(self, turned: Turned) -> None:
        queue = turned.queue
        (old,) = put(queue)
        turned.turn(50)
        put(queue, 5, tenant_id="other", priority=Priority.HIGH)
        assert old not in ids(claim(queue, 5))

    def test_a_low_job_is_claimed_under_an_endless_stream_of_high_ones(self, turned: Turned) -> None:
        queue = turned.queue
        (low,) = put(queue, priority=Priority.LOW)
        seen: list[str] = []
        for _ in range(40):
            put(queue, 1, tenant_id="loud", priority=Priority.HIGH)
            leases = claim(queue)
            seen += ids(leases)
            finish(queue, *leases)
            turned.turn(5)
        assert low in seen

    def test_old_jobs_do_not_flood_the_band_above(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue, 40)
        turned.turn(61)
        for _ in range(3):
            put(queue, 1, priority=Priority.HIGH)
            claim(queue)
        assert queue.stats(Q).ready["high"] <= 3


class TestCaps:
    def test_admit_and_enqueue_agree_and_admit_changes_nothing(self, queue: JobQueue) -> None:
        entries = [an_entry() for _ in range(3)] + [an_entry(tenant_id="other") for _ in range(3)]
        limits = QueueLimits(queue_jobs=4, queue_bytes=None, tenant_jobs=2)
        expected = [
            Admission.ACCEPTED,
            Admission.ACCEPTED,
            Admission.TENANT_FULL,
            Admission.ACCEPTED,
            Admission.ACCEPTED,
            Admission.QUEUE_FULL,
        ]
        assert queue.admit(Q, entries, limits) == expected
        assert queue.stats(Q).jobs == 0
        assert queue.enqueue_many(Q, entries, limits) == expected
        assert queue.stats(Q).tenants == {"acme": 2, "other": 2}

    def test_bytes_are_capped_for_queue_and_tenant(self, queue: JobQueue) -> None:
        entries = [an_entry(body=b"x" * 60) for _ in range(2)]
        said = queue.enqueue_many(Q, entries, QueueLimits(None, None, tenant_bytes=100))
        assert said == [Admission.ACCEPTED, Admission.TENANT_FULL]
        said = queue.enqueue_many(Q, [an_entry(body=b"x" * 60)], QueueLimits(None, None, tenant_bytes=100))
        assert said == [Admission.TENANT_FULL]
        said = queue.enqueue_many(Q, [an_entry(tenant_id="other", body=b"x" * 60)], QueueLimits(None, 100))
        assert said == [Admission.QUEUE_FULL]

    def test_running_jobs_count_and_finished_ones_do_not(self, queue: JobQueue) -> None:
        limits = QueueLimits(queue_jobs=1)
        put(queue)
        lease = claim(queue)[0]
        assert queue.enqueue_many(Q, [an_entry()], limits) == [Admission.QUEUE_FULL]
        finish(queue, lease)
        assert queue.stats(Q).bytes == 0
        assert queue.enqueue_many(Q, [an_entry()], limits) == [Admission.ACCEPTED]

    def test_the_same_job_twice_is_a_duplicate(self, queue: JobQueue) -> None:
        entry = an_entry()
        assert queue.enqueue_many(Q, [entry, entry]) == [Admission.ACCEPTED, Admission.DUPLICATE]
        assert queue.enqueue_many(Q, [entry], QueueLimits(queue_jobs=1)) == [Admission.DUPLICATE]
        assert queue.stats(Q).jobs == 1

    def test_a_thousand_jobs_in_one_call_are_all_there(self, queue: JobQueue) -> None:
        sent = put(queue, 1200)
        assert ids(claim(queue, 2000)) == sent


class TestEpoch:
    def test_a_later_epoch_replaces_the_job_and_makes_its_lease_stale(self, queue: JobQueue) -> None:
        entry = an_entry()
        queue.enqueue_many(Q, [entry])
        old = claim(queue)[0]
        later = an_entry(job_id=entry.job_id, epoch=1)
        assert queue.enqueue_many(Q, [later], QueueLimits(queue_jobs=1)) == [Admission.ACCEPTED]
        assert finish(queue, old) == [False]
        assert queue.renew(Q, "exe_1", [old]) == [LeaseState.LOST]
        (new,) = claim(queue)
        assert (new.epoch, new.attempt) == (1, 1)
        assert finish(queue, new) == [True]
        assert queue.stats(Q).jobs == 0

    def test_event_numbers_go_on_growing_over_epochs(self, queue: JobQueue) -> None:
        entry = an_entry()
        queue.enqueue_many(Q, [entry])
        queue.events(Q, entry.job_id)
        claim(queue)
        queue.enqueue_many(Q, [an_entry(job_id=entry.job_id, epoch=1)])
        finish(queue, *claim(queue))
        numbers = [event.number for event in queue.events(Q, entry.job_id)]
        assert numbers == sorted(set(numbers))
        assert len(numbers) == 4


class TestLease:
    def test_an_expired_lease_gives_the_job_to_the_next_claim(self, turned: Turned) -> None:
        queue = turned.queue
        (job_id,) = put(queue)
        old = claim(queue, lease_s=15)[0]
        turned.turn(14.9)
        assert claim(queue) == []
        turned.turn(0.2)
        (new,) = claim(queue)
        assert (new.job_id, new.attempt) == (job_id, 2)
        assert [entry["outcome"] for entry in new.history] == ["lost"]
        assert new.history[0]["executor_id"] == "exe_1"
        assert finish(queue, old) == [False]
        assert finish(queue, new) == [True]

    def test_a_renewed_lease_does_not_expire(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue)
        lease = claim(queue)[0]
        for _ in range(5):
            turned.turn(10)
            assert queue.renew(Q, "exe_1", [lease], 15) == [LeaseState.HELD]
            assert claim(queue) == []

    def test_finish_after_expiry_counts_while_nobody_else_has_the_job(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue, 2)
        lease = claim(queue)[0]
        turned.turn(20)
        queue.finish_and_claim(Q, "exe_2", want=0)
        assert finish(queue, lease) == [True]
        assert queue.stats(Q).jobs == 1
        assert len(claim(queue, 5)) == 1

    def test_a_job_that_loses_all_its_executors_is_settled_as_lost(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue, max_attempts=2)
        for attempt in (1, 2):
            (lease,) = claim(queue)
            assert (lease.action, lease.attempt) == (LeaseAction.RUN, attempt)
            turned.turn(16)
        (lease,) = claim(queue)
        assert (lease.action, lease.attempt) == (LeaseAction.SETTLE_LOST, 3)
        assert [entry["number"] for entry in lease.history] == [1, 2]
        assert finish(queue, lease, status="failed") == [True]
        assert queue.stats(Q).jobs == 0

    def test_a_settle_lease_expires_like_any_other(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue, max_attempts=1)
        claim(queue)
        turned.turn(16)
        (first,) = claim(queue, 0)
        assert claim(queue, 5) == []
        turned.turn(16)
        (second,) = claim(queue, 0)
        assert (first.action, second.action) == (LeaseAction.SETTLE_LOST, LeaseAction.SETTLE_LOST)
        assert second.attempt == first.attempt + 1
        assert finish(queue, first) == [False]

    def test_settle_0_leaves_what_needs_settling_alone(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue, max_attempts=1)
        claim(queue)
        turned.turn(16)
        assert claim(queue, 1, settle=0) == []
        assert len(claim(queue, 0, settle=1)) == 1

    def test_next_due_is_when_the_lease_ends(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue)
        answer = queue.finish_and_claim(Q, "exe_1", want=1, lease_s=15)
        assert answer.next_due_ms == answer.now_ms + 15_000
        assert queue.finish_and_claim("empty", "exe_1", want=1).next_due_ms is None

    def test_next_due_is_now_while_more_is_waiting(self, queue: JobQueue) -> None:
        put(queue, 2)
        answer = queue.finish_and_claim(Q, "exe_1", want=1)
        assert answer.next_due_ms == answer.now_ms

    def test_many_leases_that_expire_at_once_all_come_back(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue, 100)
        claim(queue, 100)
        turned.turn(16)
        back = [lease for _ in range(4) for lease in claim(queue, 100)]
        assert len(back) == 100


class TestALostAnswer:
    def test_the_same_token_gives_the_same_leases_renewed(self, turned: Turned) -> None:
        queue = turned.queue
        sent = put(queue, 3)
        first = claim(queue, 2, token="t1")
        turned.turn(10)
        again = claim(queue, 2, token="t1", again=True)
        assert [(lease.job_id, lease.attempt) for lease in again] == [(lease.job_id, 1) for lease in first]
        assert (again[0].body, again[0].claimed_ms) == (first[0].body, first[0].claimed_ms)
        turned.turn(10)
        assert queue.renew(Q, "exe_1", first) == [LeaseState.HELD] * 2
        assert ids(claim(queue, 5, token="t2")) == sent[2:]

    def test_they_count_towards_what_is_wanted_but_all_come(self, queue: JobQueue) -> None:
        sent = put(queue, 5)
        claim(queue, 2, token="t1")
        assert ids(claim(queue, 3, token="t1", again=True)) == sent[:3]
        assert ids(claim(queue, 0, token="t1", again=True)) == sent[:3]

    def test_a_call_that_never_arrived_claims_as_if_new(self, queue: JobQueue) -> None:
        sent = put(queue, 2)
        claim(queue, 1, token="t1")
        assert ids(claim(queue, 1, token="t2", again=True)) == sent[1:]

    def test_who_is_no_executor_loses_nothing_either(self, queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
        sent = put(queue, 3)
        claims = Claims(queue, Q, "whk_1")
        call = queue.finish_and_claim

        def cut_off(*arguments: Any, **options: Any) -> Claimed:
            call(*arguments, **options)
            raise StoreUnavailableError("the answer is lost")

        monkeypatch.setattr(queue, "finish_and_claim", cut_off)
        with pytest.raises(StoreUnavailableError):
            claims.claim(2, settle=0, lease_s=15)
        monkeypatch.undo()
        again = claims.claim(2, settle=0, lease_s=15).leases
        assert [(lease.job_id, lease.attempt) for lease in again] == [(job_id, 1) for job_id in sent[:2]]
        assert ids(claims.claim(2, settle=0, lease_s=15).leases) == sent[2:]

    def test_what_was_given_up_since_is_not_handed_out_twice(self, turned: Turned) -> None:
        queue = turned.queue
        sent = put(queue, 3)
        first, second, third = claim(queue, 3, token="t1")
        finish(queue, first)
        queue.release(Q, [second])
        queue.finish_and_claim(Q, "exe_2", want=1)
        assert ids(claim(queue, 0, token="t1", again=True)) == [third.job_id]
        turned.turn(20)
        (lost,) = ids(queue.finish_and_claim(Q, "exe_2", want=1).leases)
        assert lost in sent[1:]
        assert claim(queue, 0, token="t1", again=True) == []

    def test_a_settle_lease_comes_again_too(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue, max_attempts=1)
        claim(queue)
        turned.turn(16)
        claim(queue, 0, token="t1")
        (again,) = claim(queue, 0, token="t1", again=True)
        assert (again.action, again.attempt) == (LeaseAction.SETTLE_LOST, 2)


class TestRetryAndRelease:
    def test_a_retry_waits_for_its_delay_and_remembers_the_failure(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue)
        lease = claim(queue)[0]
        assert queue.retry(Q, lease, delay_s=30, attempt=FAILED) is True
        assert claim(queue) == []
        assert queue.stats(Q).delayed == 1
        turned.turn(30)
        (again,) = claim(queue)
        assert (again.attempt, again.history) == (2, (FAILED,))
        assert queue.retry(Q, lease, delay_s=0, attempt=FAILED) is False

    def test_next_due_is_when_the_delay_ends(self, queue: JobQueue) -> None:
        put(queue)
        queue.retry(Q, claim(queue)[0], delay_s=5, attempt=FAILED)
        answer = queue.finish_and_claim(Q, "exe_1", want=1)
        assert answer.next_due_ms is not None
        assert 0 < answer.next_due_ms - answer.now_ms <= 5000

    def test_a_failed_and_a_lost_attempt_both_count(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue, max_attempts=2)
        queue.retry(Q, claim(queue)[0], delay_s=0, attempt=FAILED)
        claim(queue)
        turned.turn(16)
        (lease,) = claim(queue)
        assert lease.action is LeaseAction.SETTLE_LOST

    def test_a_release_goes_to_the_front_and_costs_no_attempt(self, turned: Turned) -> None:
        queue = turned.queue
        sent = put(queue, 3, max_attempts=1)
        for attempt in range(1, 6):
            (lease,) = claim(queue)
            assert (lease.job_id, lease.attempt, lease.action) == (sent[0], attempt, LeaseAction.RUN)
            assert queue.release(Q, [lease]) == [True]
        assert queue.release(Q, [lease]) == [False]
        (lease,) = claim(queue)
        assert {entry["outcome"] for entry in lease.history} == {"handed_back"}
        assert lease.history[0]["executor_id"] == "exe_1"

    def test_the_lease_of_a_released_job_is_stale(self, queue: JobQueue) -> None:
        put(queue)
        old = claim(queue)[0]
        queue.release(Q, [old])
        (new,) = claim(queue)
        assert new.attempt == 2
        assert queue.renew(Q, "exe_1", [old, new]) == [LeaseState.LOST, LeaseState.HELD]
        assert finish(queue, old) == [False]

    def test_a_delayed_job_is_not_claimed_before_its_time(self, turned: Turned) -> None:
        queue = turned.queue
        now = queue.finish_and_claim(Q, "exe_1").now_ms
        put(queue, not_before_ms=now + 10_000)
        turned.turn(9)
        assert claim(queue) == []
        turned.turn(1.1)
        assert len(claim(queue)) == 1


class TestExpiry:
    def test_a_job_that_waited_too_long_is_settled_as_expired(self, turned: Turned) -> None:
        queue = turned.queue
        now = queue.finish_and_claim(Q, "exe_1").now_ms
        (job_id,) = put(queue, expires_ms=now + 5000)
        queue.events(Q, job_id)
        turned.turn(5.1)
        (lease,) = claim(queue)
        assert (lease.job_id, lease.action) == (job_id, LeaseAction.SETTLE_EXPIRED)
        assert finish(queue, lease, status="expired") == [True]
        assert kinds(queue, job_id) == ["job.queued", "job.expired"]

    def test_a_claim_in_time_ends_the_expiry(self, turned: Turned) -> None:
        queue = turned.queue
        now = queue.finish_and_claim(Q, "exe_1").now_ms
        put(queue, expires_ms=now + 5000)
        lease = claim(queue)[0]
        turned.turn(6)
        assert claim(queue) == []
        queue.retry(Q, lease, delay_s=0, attempt=FAILED)
        assert claim(queue)[0].action is LeaseAction.RUN

    def test_the_deadline_bounds_the_wait_between_attempts(self, turned: Turned) -> None:
        queue = turned.queue
        now = queue.finish_and_claim(Q, "exe_1").now_ms
        put(queue, expires_ms=now + 5000, deadline_ms=now + 10_000)
        lease = claim(queue)[0]
        queue.retry(Q, lease, delay_s=60, attempt=FAILED)
        turned.turn(9)
        assert claim(queue) == []
        turned.turn(2)
        (settle,) = claim(queue)
        assert settle.action is LeaseAction.SETTLE_EXPIRED
        assert settle.history == (FAILED,)

    def test_none_of_many_that_expire_at_once_runs(self, turned: Turned) -> None:
        queue = turned.queue
        now = queue.finish_and_claim(Q, "exe_1").now_ms
        put(queue, 100, expires_ms=now + 1000)
        turned.turn(2)
        leases = [lease for _ in range(8) for lease in claim(queue, 50)]
        assert {lease.action for lease in leases} == {LeaseAction.SETTLE_EXPIRED}
        assert len(leases) == 100


class TestCancel:
    def test_a_waiting_job_is_the_callers_to_settle(self, queue: JobQueue) -> None:
        first, second = put(queue, 2)
        result, lease = queue.cancel(Q, first, executor_id="router")
        assert result is CancelResult.TAKEN
        assert lease is not None
        assert (lease.job_id, lease.action, lease.attempt) == (first, LeaseAction.SETTLE_CANCELED, 1)
        assert ids(claim(queue, 5)) == [second]
        assert finish(queue, lease, status="canceled") == [True]

    def test_a_canceller_that_dies_is_replaced(self, turned: Turned) -> None:
        queue = turned.queue
        (job_id,) = put(queue)
        queue.cancel(Q, job_id, executor_id="router")
        turned.turn(16)
        (lease,) = claim(queue)
        assert (lease.action, lease.attempt) == (LeaseAction.SETTLE_CANCELED, 2)

    def test_a_running_job_is_flagged_and_its_renewal_says_so(self, queue: JobQueue) -> None:
        put(queue)
        lease = claim(queue)[0]
        assert queue.cancel(Q, lease.job_id, executor_id="router") == (CancelResult.SIGNALED, None)
        assert queue.renew(Q, "exe_1", [lease]) == [LeaseState.CANCEL]
        live = queue.live(Q, [lease.job_id])[0]
        assert live is not None
        assert live.cancel_requested

    def test_in_a_long_line_the_others_keep_their_order(self, queue: JobQueue) -> None:
        sent = put(queue, 700)
        taken = [sent[0], *sent[5:400:7], sent[-1]]
        leases = [queue.cancel(Q, job_id, executor_id="router")[1] for job_id in taken]
        stats = queue.stats(Q)
        assert (stats.ready["normal"], stats.jobs) == (700 - len(taken), 700)
        left = [job_id for job_id in sent if job_id not in set(taken)]
        assert [job.job_id for job in queue.peek(Q, limit=50)] == left[:50]
        assert ids(claim(queue, 1)) + ids(claim(queue, 60)) + ids(claim(queue, 999)) == left
        assert claim(queue, 5) == []
        finish(queue, *[lease for lease in leases if lease is not None], status="canceled")
        assert queue.stats(Q).jobs == len(left)

    def test_a_canceled_job_costs_its_tenant_no_turn(self, queue: JobQueue) -> None:
        first = put(queue, 1, tenant_id="a")
        gone = put(queue, 10, tenant_id="b")
        put(queue, 10, tenant_id="a")
        put(queue, 10, tenant_id="b")
        for job_id in gone:
            queue.cancel(Q, job_id, executor_id="router")
        order = [lease.tenant_id for lease in claim(queue, 10)]
        assert first
        assert 4 <= order.count("b") <= 6

    def test_an_unknown_job_is_unknown(self, queue: JobQueue) -> None:
        assert queue.cancel(Q, "job_none", executor_id="router") == (CancelResult.UNKNOWN, None)

    @pytest.mark.parametrize("how", ["lost", "retried", "released"])
    def test_a_flagged_job_is_not_run_again(self, turned: Turned, how: str) -> None:
        queue = turned.queue
        put(queue)
        lease = claim(queue)[0]
        queue.cancel(Q, lease.job_id, executor_id="router")
        if how == "lost":
            turned.turn(16)
        elif how == "retried":
            assert queue.retry(Q, lease, delay_s=10, attempt=FAILED)
        else:
            assert queue.release(Q, [lease]) == [True]
        (settle,) = claim(queue, 5)
        assert settle.action is LeaseAction.SETTLE_CANCELED

    def test_a_delayed_job_is_taken_too(self, queue: JobQueue) -> None:
        (job_id,) = put(queue)
        queue.retry(Q, claim(queue)[0], delay_s=100, attempt=FAILED)
        result, _ = queue.cancel(Q, job_id, executor_id="router")
        assert result is CancelResult.TAKEN
        assert queue.stats(Q).delayed == 0


class TestEvents:
    def test_a_life_is_told_in_order(self, queue: JobQueue) -> None:
        put(queue)
        lease = claim(queue, running=False)[0]
        queue.start(Q, [lease])
        queue.emit(Q, lease, [("job.progress", {"progress": 0.5, "message": "half"}), ("job.log", {"text": "hi"})])
        finish(queue, lease)
        events = queue.events(Q, lease.job_id)
        assert [event.number for event in events] == [1, 2, 3, 4, 5, 6]
        assert [event.type for event in events] == [
            "job.queued",
            "job.starting",
            "job.running",
            "job.progress",
            "job.log",
            "job.succeeded",
        ]
        assert events[3].data == {"progress": 0.5, "message": "half"}

    def test_after_skips_what_was_seen(self, queue: JobQueue) -> None:
        put(queue)
        lease = claim(queue)[0]
        queue.events(Q, lease.job_id)
        finish(queue, lease)
        assert [event.number for event in queue.events(Q, lease.job_id, after=2)] == [3]
        assert queue.events(Q, lease.job_id, after=3) == []

    def test_listening_late_tells_what_was_before(self, queue: JobQueue) -> None:
        (job_id,) = put(queue)
        queue.retry(Q, claim(queue)[0], delay_s=0, attempt=FAILED)
        claim(queue)
        assert kinds(queue, job_id) == ["job.queued", "job.running", "job.queued", "job.running"]

    def test_a_job_that_nobody_listened_to_leaves_nothing(self, queue: JobQueue) -> None:
        (job_id,) = put(queue)
        finish(queue, *claim(queue))
        began = time.monotonic()
        assert queue.events(Q, job_id, block_s=10) == []
        assert time.monotonic() - began < 5

    def test_who_waits_for_the_end_alone_hears_of_it(self, queue: JobQueue) -> None:
        (job_id,) = put(queue)
        queue.events(Q, job_id, after=1, only_end=True)
        queue.retry(Q, claim(queue)[0], delay_s=0, attempt=FAILED)
        finish(queue, *claim(queue))
        last = queue.events(Q, job_id, after=1)[-1]
        assert (last.type, last.number) == ("job.succeeded", 5)

    @pytest.mark.parametrize("claims_first", [False, True])
    def test_who_listens_to_all_gets_all_beside_one_who_waits_for_the_end(
        self, queue: JobQueue, claims_first: bool
    ) -> None:
        (job_id,) = put(queue)
        queue.events(Q, job_id, after=1, only_end=True)
        leases = claim(queue) if claims_first else []
        told = ["job.queued", "job.running"] if claims_first else ["job.queued"]
        assert kinds(queue, job_id) == told
        queue.events(Q, job_id, after=1, only_end=True)
        finish(queue, *(leases or claim(queue)))
        assert kinds(queue, job_id) == ["job.queued", "job.running", "job.succeeded"]

    def test_a_stale_attempt_says_nothing(self, queue: JobQueue) -> None:
        put(queue)
        lease = claim(queue)[0]
        queue.release(Q, [lease])
        assert queue.emit(Q, lease, [("job.log", {"text": "late"})]) is False
        assert "job.log" not in kinds(queue, lease.job_id)

    def test_an_unknown_job_has_no_events(self, queue: JobQueue) -> None:
        assert queue.events(Q, "job_none") == []

    def test_a_waiter_is_woken_by_the_event_not_by_the_clock(self, queue: JobQueue) -> None:
        put(queue)
        lease = claim(queue)[0]
        got: list[tuple[str, float]] = []

        def wait() -> None:
            events = queue.events(Q, lease.job_id, after=2, block_s=10)
            got.append((events[0].type, time.monotonic()))

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.1)
        ended = time.monotonic()
        finish(queue, lease)
        thread.join(10)
        assert got[0][0] == "job.succeeded"
        assert got[0][1] - ended < 1.0

    def test_waiting_ends_when_nothing_happens(self, queue: JobQueue) -> None:
        put(queue)
        lease = claim(queue)[0]
        began = time.monotonic()
        assert queue.events(Q, lease.job_id, after=2, block_s=0.1) == []
        assert time.monotonic() - began < 2

    def test_the_stream_is_capped_and_keeps_the_newest(self, queue: JobQueue) -> None:
        put(queue)
        lease = claim(queue)[0]
        for _ in range(8):
            queue.emit(Q, lease, [("job.log", {"text": "x"})] * 200)
        finish(queue, lease)
        events = queue.events(Q, lease.job_id, after=1, limit=5000)
        assert 900 <= len(events) <= 1200
        assert events[-1].type == "job.succeeded"


class TestLive:
    def test_live_follows_the_job(self, queue: JobQueue) -> None:
        (job_id,) = put(queue)

        def status() -> str:
            live = queue.live(Q, [job_id])[0]
            assert live is not None
            return live.status

        assert status() == "queued"
        (lease,) = claim(queue, running=False)
        assert status() == "starting"
        queue.start(Q, [lease])
        assert status() == "running"
        queue.emit(Q, lease, [("job.progress", {"progress": 0.25, "message": "page 1"})])
        live = queue.live(Q, [job_id, "job_none"])
        assert live[1] is None
        assert live[0] is not None
        assert (live[0].progress, live[0].status_detail, live[0].executor_id) == (0.25, "page 1", "exe_1")
        queue.retry(Q, lease, delay_s=10, attempt=FAILED)
        assert status() == "queued"
        live = queue.live(Q, [job_id])
        assert live[0] is not None
        assert (live[0].progress, live[0].executor_id, live[0].attempt) == (None, None, 1)

    def test_start_of_a_stale_lease_changes_nothing(self, queue: JobQueue) -> None:
        (job_id,) = put(queue)
        (lease,) = claim(queue, running=False)
        queue.release(Q, [lease])
        queue.start(Q, [lease])
        live = queue.live(Q, [job_id])[0]
        assert live is not None
        assert live.status == "queued"


class TestTheRest:
    def test_drop_makes_the_lease_stale_and_the_counts_right(self, queue: JobQueue) -> None:
        put(queue, 2)
        lease = claim(queue)[0]
        queue.drop(Q, [lease.job_id, "job_none"])
        assert finish(queue, lease) == [False]
        assert queue.renew(Q, "exe_1", [lease]) == [LeaseState.LOST]
        stats = queue.stats(Q)
        assert (stats.jobs, stats.leased, stats.tenants) == (1, 0, {"acme": 1})

    def test_the_dead_are_kept_newest_first_until_exhumed(self, turned: Turned) -> None:
        queue = turned.queue
        queue.bury(Q, ["job_a"])
        turned.turn(1)
        queue.bury(Q, ["job_b", "job_c"])
        assert [job_id for job_id, _ in queue.dead(Q)] == ["job_c", "job_b", "job_a"]
        assert [job_id for job_id, _ in queue.dead(Q, limit=1, offset=1)] == ["job_b"]
        assert queue.exhume(Q, ["job_b", "job_x"]) == [True, False]
        assert queue.stats(Q).dead == 2

    def test_the_bell_rings_for_a_new_job(self, queue: JobQueue) -> None:
        assert queue.wait_for_bell(Q, 0.05) is False
        woken: list[bool] = []
        thread = threading.Thread(target=lambda: woken.append(queue.wait_for_bell(Q, 10)))
        thread.start()
        time.sleep(0.1)
        began = time.monotonic()
        put(queue)
        thread.join(10)
        assert woken == [True]
        assert time.monotonic() - began < 1

    def test_an_emptied_queue_leaves_no_stale_ring(self, queue: JobQueue) -> None:
        put(queue, 3)
        finish(queue, *claim(queue, 5))
        claim(queue, 5)
        assert queue.wait_for_bell(Q, 0.05) is False

    def test_a_lock_is_one_processs_until_its_time_is_over(self, queue: JobQueue) -> None:
        assert queue.lock("sweep", 0.2) is True
        assert queue.lock("sweep", 0.2) is False
        assert queue.lock("other", 0.2) is True

    def test_stats_tell_depths_and_age(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue, 2, priority=Priority.HIGH)
        put(queue, 1)
        claim(queue)
        turned.turn(3)
        stats = queue.stats(Q)
        assert stats.ready == {"high": 1, "normal": 1, "low": 0}
        assert (stats.leased, stats.jobs, stats.bytes) == (1, 3, 27 + 3)
        assert stats.oldest_s is not None
        assert 3 <= stats.oldest_s < 10

    def test_nothing_remains_counted_when_all_is_done(self, turned: Turned) -> None:
        queue = turned.queue
        put(queue, 4, tenant_id="a")
        put(queue, 4, tenant_id="b", priority=Priority.LOW)
        finish(queue, *claim(queue, 3))
        leases = claim(queue, 10)
        queue.release(Q, leases[:1])
        queue.retry(Q, leases[1], delay_s=1, attempt=FAILED)
        turned.turn(2)
        finish(queue, *leases[2:], *claim(queue, 10))
        stats = queue.stats(Q)
        assert (stats.jobs, stats.bytes, stats.leased, stats.delayed, stats.tenants) == (0, 0, 0, 0, {})
        assert stats.ready == {"high": 0, "normal": 0, "low": 0}


def test_who_heard_the_bell_in_vain_wakes_another(turned: Turned) -> None:
    turned.queue.enqueue_many(Q, [an_entry()])
    assert turned.queue.wait_for_bell(Q, 1)
    turned.queue.ring(Q)
    assert turned.queue.wait_for_bell(Q, 1)

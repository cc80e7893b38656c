"""When a delivery is tried again, and when it is over."""

from datetime import UTC, datetime, timedelta

import pytest

from jangada.webhooks.delivery import (
    RETRY_DELAYS_S,
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    delivery_id,
    next_delay_s,
)

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def made() -> Delivery:
    return Delivery(
        id=delivery_id("job_01J9ZK5V7Q8E2R4T6Y8V0J2N4P", "completed"),
        tenant_id="acme",
        job_id="job_01J9ZK5V7Q8E2R4T6Y8V0J2N4P",
        event="completed",
        type="job.succeeded",
        url="https://example.com/",
        format="standard",
        created_at=AT,
    )


def answered(status=None, error="status", **more):
    return DeliveryAttempt(AT, 5, status, None if status and 200 <= status < 300 else error, **more)


def test_schedule_is_the_documented_one_with_a_tenth_of_jitter():
    documented = [0, 5, 5 * 60, 30 * 60, *(hours * 3600 for hours in (2, 5, 10, 14, 20, 24))]
    assert list(RETRY_DELAYS_S) == documented
    for attempts_made, planned in enumerate(documented):
        delays = [next_delay_s(attempts_made) for _ in range(200)]
        assert all(planned * 0.9 <= delay <= planned * 1.1 for delay in delays)
        assert planned == 0 or len(set(delays)) > 100
    assert next_delay_s(len(documented)) is None


def test_ten_failures_are_the_end():
    delivery = made()
    for number in range(1, 11):
        assert delivery.state is DeliveryState.PENDING
        delivery = delivery.after(answered(500))
        assert len(delivery.attempts) == number
    assert delivery.state is DeliveryState.FAILED
    assert delivery.next_at is None


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_delivers(status):
    assert made().after(answered(status)).state is DeliveryState.DELIVERED


@pytest.mark.parametrize("status", [301, 302, 308, 400, 404, 429, 500, 503])
def test_anything_else_is_tried_again(status):
    after = made().after(answered(status))
    assert after.state is DeliveryState.PENDING
    assert AT + timedelta(seconds=4) < after.next_at < AT + timedelta(seconds=6)


def test_permanent_failure_is_not_tried_again():
    assert made().after(answered(410, permanent=True)).state is DeliveryState.FAILED


def test_retry_after_lengthens_but_never_shortens_and_is_bounded_by_a_day():
    assert made().after(answered(429, retry_after_s=100)).next_at == AT + timedelta(seconds=100)
    assert made().after(answered(429, retry_after_s=1)).next_at > AT + timedelta(seconds=4)
    assert made().after(answered(503, retry_after_s=10**9)).next_at == AT + timedelta(days=1)


def test_redelivery_has_a_full_round_of_attempts_and_the_same_id():
    delivery = made().after(answered(410, permanent=True))
    again = delivery.again(AT)
    assert (again.id, again.state, again.epoch) == (delivery.id, DeliveryState.PENDING, 1)
    for _ in range(9):
        again = again.after(answered(500))
        assert again.state is DeliveryState.PENDING
    assert again.after(answered(500)).state is DeliveryState.FAILED


def test_ids_tell_occurrences_apart_and_hold_no_dot():
    job = "job_01J9ZK5V7Q8E2R4T6Y8V0J2N4P"
    ids = [delivery_id(job, "started", 1), delivery_id(job, "started", 2), delivery_id(job, "completed")]
    assert len(set(ids)) == 3
    assert all(one.startswith("msg_01J9") and "." not in one for one in ids)

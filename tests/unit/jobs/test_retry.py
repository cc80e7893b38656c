from __future__ import annotations

from typing import Any

import pytest

from jangada.jobs.job import AttemptFailure, ErrorCode, Policy, Webhook
from jangada.jobs.orders import entry, orders, parse
from jangada.jobs.retry import GiveUp, RetryAt, decide
from tests.unit.jobs.desk import Desk


def failure(**changes: Any) -> AttemptFailure:
    fields: dict[str, Any] = {"code": ErrorCode.DEPENDENCY, "message": "no", "retryable": True}
    return AttemptFailure(**(fields | changes))


def verdict(given: AttemptFailure, used: int = 0, **changes: Any) -> RetryAt | GiveUp:
    fields: dict[str, Any] = {
        "max_attempts": 10,
        "history": [{"outcome": "failed"}] * used,
        "now_ms": 1000,
        "dice": lambda: 1.0,
    }
    return decide(given, **(fields | changes))


def test_the_delay_doubles_up_to_a_cap() -> None:
    delays = [verdict(failure(), used, max_attempts=99) for used in range(10)]
    assert [delay.delay_s for delay in delays if isinstance(delay, RetryAt)] == [
        1,
        2,
        4,
        8,
        16,
        32,
        64,
        128,
        256,
        300,
    ]


def test_the_jitter_is_full() -> None:
    assert verdict(failure(), 3, dice=lambda: 0.0) == RetryAt(0.0)
    assert verdict(failure(), 3, dice=lambda: 0.5) == RetryAt(4.0)


def test_what_the_failure_asks_for_is_waited_at_least() -> None:
    assert verdict(failure(retry_after_s=50.0)) == RetryAt(50.0)


@pytest.mark.parametrize(
    "given", [failure(retryable=False), failure(code=ErrorCode.INVALID_INPUT), failure(code=ErrorCode.DEADLINE)]
)
def test_some_failures_are_final(given: AttemptFailure) -> None:
    assert isinstance(verdict(given), GiveUp)


def test_the_attempts_end_and_handed_back_ones_do_not_count() -> None:
    assert isinstance(verdict(failure(), 2, max_attempts=3), GiveUp)
    history = [{"outcome": "failed"}, {"outcome": "handed_back"}, {"outcome": "handed_back"}]
    assert isinstance(verdict(failure(), max_attempts=3, history=history), RetryAt)


def test_nothing_is_tried_after_the_deadline() -> None:
    assert isinstance(verdict(failure(), deadline_ms=1500), GiveUp)
    assert isinstance(verdict(failure(), deadline_ms=2500), RetryAt)


def test_orders_are_read_as_they_were_written() -> None:
    desk = Desk()
    hook = Webhook("https://example.com", ("completed",), "cloudevents")
    job = desk.job(input={"text": "a\nb"}, webhook=hook, metadata={"k": 1}, file_ids=("file_1",), traceparent="00-1")
    found = parse(orders(job))
    assert (found.input, found.webhook, found.metadata) == (job.input, hook, {"k": 1})
    assert (found.algorithm, found.deployment, found.execution_timeout_s) == ("toy", "toy", 900)
    assert (found.file_ids, found.traceparent) == (("file_1",), "00-1")
    assert parse(orders(desk.job(input="ignored", input_file="file_2"))).input is None
    assert parse(orders(desk.job(deployment="toy-eu", policy=Policy(execution_timeout_s=1.5)))).deployment == "toy-eu"
    with pytest.raises(ValueError, match="no input line"):
        parse(b"{}")
    with pytest.raises(ValueError, match="begin with a list"):
        parse(b"{}\n1")


def test_the_orders_of_a_plain_job_are_short() -> None:
    assert len(orders(Desk().job())) < 40


def test_attempts_of_earlier_epochs_use_up_the_entrys() -> None:
    desk = Desk()
    assert entry(desk.job()).max_attempts == 3

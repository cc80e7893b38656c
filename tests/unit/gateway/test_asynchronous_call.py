"""The rules of asynchronous calls, without a socket."""

from __future__ import annotations

import pytest

from jangada.gateway.asynchronous_call import (
    QUEUE,
    Answer,
    AsyncCall,
    Body,
    RetryPolicy,
    as_ascii,
    queue_of,
    storable,
)
from jangada.gateway.asynchronous_callbacks import CallbackGuard, callback_headers
from jangada.webhooks.guard import OutboundError


def policy(**annotations: str) -> RetryPolicy:
    return RetryPolicy.from_annotations({f"com.openfaas.retry.{name}": text for name, text in annotations.items()})


def test_the_defaults_are_those_of_the_paid_queue_worker():
    made = policy()
    assert made == RetryPolicy(10, frozenset({429, 502, 500, 504, 408}), 10.0, 120.0)
    waits = [made.delay_s(500, internal=False, made=number, dice=lambda: 0.0) for number in range(1, 11)]
    assert waits == [10, 20, 40, 80, 120, 120, 120, 120, 120, None]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5.0), ("5s", 5.0), ("1m30s", 90.0), ("250ms", 0.25), ("1.5s", 1.5), ("1h", 3600.0), ("999999999", 86_400.0)],
)
def test_waits_are_go_durations_or_seconds(text, seconds):
    assert policy(min_wait=text).min_wait_s == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5s later", "5 s", "1e9", "٣"])
def test_what_cannot_be_read_is_the_default(text):
    made = policy(min_wait=text, max_wait=text, attempts=text if text != "٣" else "", codes=text)
    assert made == policy() or text == "٣"


def test_attempts_are_at_least_one_and_codes_are_codes():
    assert policy(attempts="0").attempts == 1
    assert policy(attempts="9" * 9).attempts == 1000
    assert policy(codes="503, 500,abc,99,700").codes == {503, 500}
    assert policy(min_wait="5m", max_wait="1s").max_wait_s == 300


def test_what_the_platform_said_itself_is_tried_again_whatever_its_status():
    made = policy(codes="500", attempts="3")
    assert made.delay_s(404, internal=True, made=1) is not None
    assert made.delay_s(404, internal=False, made=1) is None
    assert made.delay_s(404, internal=True, made=3) is None


def test_the_wait_stays_bounded_however_often_it_was_tried():
    assert policy(attempts="1000").delay_s(500, internal=False, made=999) <= 132


@pytest.mark.parametrize("name", ["", " ", "../x", "a b", "x" * 64, "-a"])
def test_a_queue_name_that_is_none_means_the_default(name):
    assert queue_of({"com.openfaas.queue": name}) == QUEUE


def test_the_queue_is_named_by_its_annotation():
    assert queue_of({"com.openfaas.queue": "gpu"}) == "_async.gpu"
    assert queue_of({}) == QUEUE


def test_a_callback_has_the_functions_headers_and_its_own_cannot_be_forged():
    answer = Answer(
        201,
        (("X-Own", "1"), ("x-own", "2"), ("x-function-status", "999"), ("Transfer-Encoding", "chunked"), ("Host", "h")),
        Body(b"b", None, 1),
        0.25,
    )
    call = AsyncCall("i", "c", "f.ns", "POST", "/", (), Body(), QUEUE, 0, answer=answer)
    assert callback_headers(call) == {
        "X-Own": "1, 2",
        "X-Call-Id": "c",
        "X-Duration-Seconds": "0.250000",
        "X-Function-Name": "f.ns",
        "X-Function-Status": "201",
    }


def test_a_function_that_was_never_reached_is_503():
    call = AsyncCall("i", "c", "f", "POST", "/", (), Body(), QUEUE, 0)
    assert callback_headers(call)["X-Function-Status"] == "503"


def test_internal_receivers_are_called_only_where_the_operator_says_so():
    with pytest.raises(OutboundError):
        CallbackGuard(()).check("http://10.1.2.3/x")
    CallbackGuard(("10.1.2.3",)).check("http://10.1.2.3:9/x")
    CallbackGuard(("*",)).check("http://10.1.2.3:9/x")
    with pytest.raises(OutboundError):
        CallbackGuard(("*",)).check("file:///etc/passwd")


def test_bytes_that_are_no_utf_8_are_neither_stored_nor_lost_from_a_path():
    as_parsed = b"/a\xff\xc3\xa9?q=%2F".decode("utf-8", "surrogateescape")
    assert as_ascii(as_parsed) == "/a%FF%C3%A9?q=%2F"
    assert storable("Bearer \udcff\u00e9") == "Bearer \u00e9"

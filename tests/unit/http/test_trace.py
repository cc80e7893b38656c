"""Ids are taken over when they are sane, else made."""

from __future__ import annotations

import pytest

from jangada.http.trace import begin_trace

PARENT = f"00-{'1' * 32}-{'2' * 16}-01"


def test_a_sane_request_id_is_kept():
    assert begin_trace("abc-123", None, None).request_id == "abc-123"


@pytest.mark.parametrize("given", [None, "", "a b", "a\r\nSet-Cookie: x", "x" * 129, "é", "-x"])
def test_any_other_request_id_is_replaced(given):
    assert begin_trace(given, None, None).request_id.startswith("req_")


def test_a_traceparent_is_continued_with_a_span_of_our_own():
    trace = begin_trace(None, PARENT, None)
    assert trace.trace_id == "1" * 32
    assert trace.traceparent.startswith(f"00-{'1' * 32}-")
    assert trace.span_id != "2" * 16
    assert trace.traceparent.endswith("-01")


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "garbage",
        f"00-{'0' * 32}-{'2' * 16}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
        f"ff-{'1' * 32}-{'2' * 16}-01",
        f"00-{'A' * 32}-{'2' * 16}-01",
        f"00-{'1' * 31}-{'2' * 16}-01",
        f"{PARENT}-more",
        f"{PARENT}\n",
    ],
)
def test_any_other_traceparent_begins_a_trace(given):
    trace = begin_trace(None, given, None)
    assert trace.trace_id != "1" * 32
    assert len(trace.traceparent) == 55


def test_a_later_version_is_read_as_far_as_we_know_it():
    assert begin_trace(None, f"01-{'1' * 32}-{'2' * 16}-01-more", None).trace_id == "1" * 32


def test_the_call_id_is_kept_when_sane(client):
    kept = "4b6b1a2e-0000-4000-8000-000000000000"
    assert client.get("/healthz", headers={"X-Call-Id": kept}).headers["X-Call-Id"] == kept
    assert "X-Call-Id" not in client.get("/healthz", headers={"X-Call-Id": "a b"}).headers

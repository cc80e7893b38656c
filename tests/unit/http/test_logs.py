"""Log lines are JSON and keep no secrets."""

from __future__ import annotations

import io
import json
import logging

import pytest

from jangada import logs

KEY = f"jgd_{'0' * 26}_{'A' * 43}"


@pytest.fixture
def out():
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    logs.configure()


def test_a_line_is_json_with_its_fields(out):
    logs.get_logger(function="x").info("job.completed", duration_s=1.5)
    line = json.loads(out.getvalue())
    assert line["event"] == "job.completed"
    assert line["function"] == "x"
    assert line["duration_s"] == 1.5
    assert line["level"] == "info"
    assert line["at"].endswith("Z")


@pytest.mark.parametrize(
    "fields",
    [
        {"detail": f"key {KEY} is wrong"},
        {"api_key": "whatever"},
        {"authorization": f"Bearer {KEY}"},
        {"token": b"bytes"},
        {"url": "mongodb://user:hunter2@host/db"},
        {"note": "whsec_amFuZ2FkYS1kb2NzLWV4YW1wbGUta2V5LTAwMDEyMzQ="},
        {"note": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"},
    ],
)
def test_a_secret_is_masked(out, fields):
    logs.get_logger().info("x", **fields)
    assert "***" in out.getvalue()
    for secret in ("A" * 43, "hunter2", "whatever", "bytes", "amFuZ2FkYS1kb2Nz", "c2lnbmF0dXJl"):
        assert secret not in out.getvalue()


def test_below_the_level_nothing_is_written(out):
    logs.get_logger().debug("x")
    assert out.getvalue() == ""


def test_what_libraries_log_has_the_same_shape(out):
    logging.getLogger("somebody").warning("hello %s", "there")
    line = json.loads(out.getvalue())
    assert (line["event"], line["level"]) == ("hello there", "warning")

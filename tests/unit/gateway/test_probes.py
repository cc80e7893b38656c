"""What the annotations of health and readiness ask for, and how answers in a row make a verdict."""

from __future__ import annotations

import asyncio

import pytest

from jangada.gateway.probes import Probe, Probes, Streak

READY = "com.openfaas.ready.http."
HEALTH = "com.openfaas.health.http."


def test_without_annotations_readiness_is_asked_until_yes_and_health_never():
    probes = Probes.of({"com.openfaas.other": "x"})
    assert probes.ready == Probe("/_/ready")
    assert not probes.ready.is_watched
    assert probes.health is None


def test_every_annotation_is_read_with_and_without_a_unit():
    given = {
        READY + "path": "/am-i",
        READY + "initialDelay": "1s",
        READY + "periodSeconds": "3",
        READY + "timeoutSeconds": "500ms",
        READY + "failureThreshold": "2",
        READY + "successThreshold": "4",
        HEALTH + "initialDelaySeconds": "2",
    }
    probes = Probes.of(given)
    assert probes.ready == Probe("/am-i", 1.0, 3.0, 0.5, 2, 4, is_watched=True)
    assert probes.health == Probe("/_/health", 2.0, is_watched=True)


@pytest.mark.parametrize("value", ["", "soon", "-1", "0", "nan", "1e9999", "²"])
def test_what_cannot_be_read_counts_as_not_given(value):
    ready = Probes.of({READY + "failureThreshold": value, READY + "path": "/x"}).ready
    assert (ready.failures, ready.path) == (3, "/x")


@pytest.mark.parametrize("path", ["no-slash", "/a b", "/ü", "/a\r\nX: y"])
def test_a_path_that_would_break_the_request_is_not_used(path):
    assert Probes.of({READY + "path": path}).ready.path == "/_/ready"


def test_no_pause_is_so_short_that_it_would_be_a_load():
    ready = Probes.of({READY + "periodSeconds": "0", READY + "timeoutSeconds": "0s"}).ready
    assert (ready.period_s, ready.timeout_s) == (0.05, 0.05)


def test_only_answers_in_a_row_change_the_verdict():
    streak = Streak(Probe("/", failures=2, successes=3), verdict=True)
    assert [streak.count(answer) for answer in (False, True, False, False)] == [True, True, True, False]
    assert [streak.count(answer) for answer in (True, True, False, True, True, True)] == [False] * 5 + [True]


@pytest.mark.parametrize(
    ("status", "is_watched", "may_lack", "is_yes"),
    [
        (200, False, False, True),
        (204, False, False, False),
        (204, True, False, True),
        (302, True, False, True),
        (404, False, True, True),
        (404, False, False, False),
        (404, True, False, False),
        (503, True, True, False),
    ],
)
def test_which_answers_are_a_yes(status, is_watched, may_lack, is_yes):
    async def asking():
        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await Probe("/", is_watched=is_watched).ask("127.0.0.1", port, may_lack=may_lack)

    assert asyncio.run(asking()) is is_yes

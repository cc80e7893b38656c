"""The instruments themselves: a plan is its seed's, links do what they say, the checker finds what is wrong."""

from __future__ import annotations

import itertools
import socket
import threading
from collections import Counter
from types import SimpleNamespace

import pytest

from tests.chaos.checker import _check, _check_runs
from tests.chaos.link import Link
from tests.chaos.plan import Kind, make_plan
from tests.servers import until

KINDS = (
    Kind("kill", "a", group="g", lasts_s=(1.0, 2.0), rest_s=1.0),
    Kind("pause", "b", group="g", lasts_s=(0.5, 0.5), rest_s=1.0),
    Kind("kill", "c"),
)


def test_a_seed_is_a_plan():
    plan = make_plan(7, 60, KINDS, (0.1, 0.5))
    assert plan == make_plan(7, 60, KINDS, (0.1, 0.5))
    assert plan != make_plan(8, 60, KINDS, (0.1, 0.5))
    assert plan[-1].at_s < 60
    assert {fault.victim for fault in plan} == {"a", "b", "c"}


def test_faults_of_a_group_keep_their_distance():
    plan = [fault for fault in make_plan(7, 120, KINDS, (0.1, 0.5)) if fault.victim in "ab"]
    for one, other in itertools.pairwise(plan):
        assert other.at_s >= one.at_s + one.lasts_s + 0.98


@pytest.fixture
def echo_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_echo, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _echo(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(1024):
                connection.sendall(data)
        except OSError:
            return


def test_a_link_carries_stalls_and_cuts(echo_port):
    with Link(echo_port) as link:
        with socket.create_connection(("127.0.0.1", link.port), timeout=10) as connection:
            connection.sendall(b"one")
            assert connection.recv(10) == b"one"
            link.stall()
            connection.sendall(b"two")
            connection.settimeout(0.2)
            with pytest.raises(TimeoutError):
                connection.recv(10)
            link.heal()
            connection.settimeout(10)
            assert connection.recv(10) == b"two"
            link.cut()
            with pytest.raises(ConnectionResetError):
                connection.recv(10)
        link.heal()
        with socket.create_connection(("127.0.0.1", link.port), timeout=10) as connection:
            connection.sendall(b"three")
            assert until(lambda: connection.recv(10)) == b"three"


def _job(**changes):
    return SimpleNamespace(**{"id": "j", "status": "succeeded", "attempt": 2, **changes})


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ({("j", 1): 1, ("j", 2): 1, ("x", 1): 1}, "never accepted"),
        ({("j", 1): 1}, "never ran"),
        ({("j", 1): 1, ("j", 2): 1, ("j", 3): 1}, "ran after"),
        ({("j", 1): 1, ("j", 2): 2}, "ran twice"),
    ],
)
def test_the_checker_finds_runs_that_should_not_be(runs, said):
    with pytest.raises(AssertionError, match=said):
        _check_runs(Counter(runs), {0: _job()}, may_repeat=False)


def test_the_checker_finds_a_wrong_output():
    with pytest.raises(AssertionError):
        _check(3, _job(output={"number": 4, "attempt": 2}), may_be_canceled=False)
    with pytest.raises(AssertionError):
        _check(3, _job(status="canceled", error=None, raw={"attempts": []}), may_be_canceled=False)
    _check(3, _job(output={"number": 3, "attempt": 2}), may_be_canceled=True)

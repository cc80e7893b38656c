"""The bell that the loop hears on its own selector, over a real Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from jangada.executor.bell import WatchedBell
from jangada.executor.pool import SlotPool
from jangada.executor.process import ChildRecipe
from jangada.executor.running import SlotLimits, SlotObserver
from jangada.jobs.bell_claims import ClaimingLine, Ring
from jangada.jobs.execution import JobExecution
from jangada.jobs.queue import Lease, LeaseState, QueueEntry
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.jobs.store_memory import MemoryJobStore
from tests.servers import until

Q = "toy"


class Desk:
    """An idle executor without a loop: it serves its slots and notes each ring."""

    def __init__(self, connections: Any, prefix: str, folder: Path) -> None:
        self.connections = connections
        self.queue = RedisJobQueue(connections, prefix=prefix)
        self.execution = JobExecution(self.queue, MemoryJobStore(), queue_name=Q, executor_id="exe_1")
        recipe = ChildRecipe(folder, folder, "no:Class", (), {}, 0, False)
        self.pool = SlotPool(1, recipe, SlotLimits(), folder, SlotObserver())
        line = self.execution.bell_line()
        assert line is not None
        self.line: ClaimingLine = line
        self.heard: list[Ring] = []
        self.bell = WatchedBell(line, self.pool, self.execution, self._on_ring)

    def _on_ring(self, ring: Ring) -> None:
        self.heard.append(ring)

    @property
    def rings(self) -> int:
        return len(self.heard)

    def hears(self, times: int) -> bool:
        self.pool.serve(0.05)
        return self.rings == times


@pytest.fixture
def desk(redis_connections: Any, key_prefix: str, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(redis_connections, key_prefix, tmp_path)
    yield made
    made.bell.stop()
    made.pool.stop()


def test_a_ring_is_heard_once_by_whoever_serves_the_slots(desk: Desk) -> None:
    desk.bell.listen()
    desk.bell.listen()
    desk.queue.ring(Q)
    until(lambda: desk.hears(1))
    desk.queue.ring(Q)
    for _ in range(5):
        assert desk.hears(1), "nobody listens after a ring before listen is called"
    desk.bell.listen()
    until(lambda: desk.hears(2))


def test_who_loses_the_server_is_told_to_look_and_may_listen_again(desk: Desk) -> None:
    desk.bell.listen()
    waiting = until(lambda: [each for each in desk.connections.commands.client_list() if "b" in each["flags"]])
    desk.connections.commands.client_kill_filter(_id=waiting[-1]["id"])
    until(lambda: desk.hears(1))
    desk.bell.listen()
    desk.queue.ring(Q)
    until(lambda: desk.hears(2))


def test_a_ring_that_came_before_the_stop_wakes_another(desk: Desk) -> None:
    desk.bell.listen()
    desk.queue.ring(Q)
    until(lambda: desk.line.has_answer)
    desk.bell.stop()
    assert desk.queue.wait_for_bell(Q, 5)
    assert desk.rings == 0


def test_a_line_that_is_overdue_is_given_up_for_a_new_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jangada.jobs.bell_line.OVERDUE_S", -1000.0)
    desk.bell.listen()
    assert desk.line.is_overdue
    monkeypatch.undo()
    desk.bell.listen()
    assert not desk.line.is_overdue
    assert desk.rings == 1, "the old line may have taken a ring with it"
    desk.queue.ring(Q)
    until(lambda: desk.hears(2))


def test_after_an_outage_it_listens_on_another_line(desk: Desk) -> None:
    desk.bell.listen()
    before = [each["id"] for each in desk.connections.commands.client_list() if "b" in each["flags"]]
    desk.bell.doubt()
    desk.bell.listen()
    assert desk.rings == 1
    until(lambda: [each["id"] for each in desk.connections.commands.client_list() if "b" in each["flags"]] != before)
    desk.queue.ring(Q)
    until(lambda: desk.hears(2))


class TestAClaimAtTheBell:
    @pytest.fixture(autouse=True)
    def knows_the_script(self, desk: Desk) -> None:
        # As a loop, which listens when it has found nothing.
        assert desk.execution.exchange(want=1) == []

    def submit(self, desk: Desk, name: str = "a") -> None:
        desk.queue.enqueue_many(Q, [QueueEntry(f"job_{name}", "acme", b"{}")])

    def taken(self, desk: Desk, room: int = 1) -> Sequence[Lease]:
        take = desk.heard[-1].take
        assert take is not None
        return take(room)

    def test_it_brings_the_job_with_the_ring(self, desk: Desk) -> None:
        desk.bell.listen(claims=True)
        self.submit(desk)
        until(lambda: desk.hears(1))
        (lease,) = self.taken(desk)
        assert (lease.job_id, lease.attempt) == ("job_a", 1)
        assert desk.queue.renew(Q, "exe_1", [lease]) == [LeaseState.HELD]
        assert not desk.heard[0].left_more
        assert desk.execution.exchange(want=1) == []

    def test_of_many_jobs_it_brings_one_and_says_that_there_are_more(self, desk: Desk) -> None:
        desk.bell.listen(claims=True)
        desk.queue.enqueue_many(Q, [QueueEntry(f"job_{number}", "acme", b"{}") for number in range(3)])
        until(lambda: desk.hears(1))
        assert len(self.taken(desk, room=5)) == 1
        assert desk.heard[0].left_more

    def test_what_there_is_no_room_for_goes_back_and_costs_no_attempt(self, desk: Desk) -> None:
        desk.bell.listen(claims=True)
        self.submit(desk)
        until(lambda: desk.hears(1))
        assert self.taken(desk, room=0) == []
        (lease,) = desk.queue.finish_and_claim(Q, "exe_2", want=1).leases
        assert [each["outcome"] for each in lease.history] == ["handed_back"]

    def test_a_stop_hands_back_what_was_claimed_at_this_very_moment(self, desk: Desk) -> None:
        desk.bell.listen(claims=True)
        self.submit(desk)
        until(lambda: desk.line.has_answer)
        desk.bell.stop()
        assert desk.rings == 0
        assert desk.queue.wait_for_bell(Q, 5), "another executor is woken"
        (lease,) = desk.queue.finish_and_claim(Q, "exe_2", want=1).leases
        assert [each["outcome"] for each in lease.history] == ["handed_back"]

    def test_what_a_lost_answer_brought_comes_with_the_next_exchange(self, desk: Desk) -> None:
        desk.bell.listen(claims=True)
        self.submit(desk)
        until(lambda: desk.line.has_answer)
        self.submit(desk, "b")
        desk.bell.doubt()
        assert [lease.job_id for lease in desk.execution.exchange(want=1)] == ["job_b"], "a call of its own in between"
        desk.line.close()
        (lease,) = desk.execution.exchange(want=1)
        assert (lease.job_id, lease.attempt) == ("job_a", 1)

    def test_a_server_that_forgot_its_scripts_rings_all_the_same(self, desk: Desk) -> None:
        desk.connections.commands.script_flush()
        desk.bell.listen(claims=True)
        desk.queue.ring(Q)
        until(lambda: desk.hears(1))
        assert desk.heard[0].take is None

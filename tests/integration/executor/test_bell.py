"""The bell that the loop hears on its own selector, over a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jangada.executor.bell import WatchedBell
from jangada.executor.pool import SlotPool
from jangada.executor.process import ChildRecipe
from jangada.executor.running import SlotLimits, SlotObserver
from jangada.jobs.bell_line import BellLine
from jangada.jobs.execution import JobExecution
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
        self.line: BellLine = line
        self.rings = 0
        self.bell = WatchedBell(line, self.pool, self.execution, self._on_ring)

    def _on_ring(self) -> None:
        self.rings += 1

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
    monkeypatch.setattr("jangada.jobs.bell_line.OVERDUE_S", -100.0)
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

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis.stateful import run_state_machine_as_test

from jangada.clock import to_ms
from jangada.jobs.queue_memory import MemoryJobQueue
from jangada.jobs.store_memory import MemoryJobStore
from tests.unit.jobs.life import Life, World, settings, turning_clock


class MemoryLife(Life):
    def make_world(self) -> World:
        clock, turn, _ = turning_clock(datetime(2026, 1, 1, tzinfo=UTC))
        queue = MemoryJobQueue(now_ms=lambda: to_ms(clock()))
        return World(queue, MemoryJobStore(), turn, queue.wipe, clock)


def test_every_job_ends_once_whatever_happens_in_memory() -> None:
    run_state_machine_as_test(MemoryLife, settings=settings(max_examples=300, stateful_step_count=40))

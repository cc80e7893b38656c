from __future__ import annotations

import uuid
from typing import Any

from hypothesis.stateful import run_state_machine_as_test

from jangada.jobs.queue_redis import RedisJobQueue
from jangada.jobs.store_memory import MemoryJobStore
from tests.unit.jobs.life import Life, World, settings, turning_clock


def test_every_job_ends_once_whatever_happens_on_redis(redis_connections: Any) -> None:
    class RedisLife(Life):
        def make_world(self) -> World:
            clock, turn, skew = turning_clock()
            self.prefix = f"life-{uuid.uuid4().hex[:12]}"
            queue = RedisJobQueue(redis_connections, prefix=self.prefix, skew_ms=lambda: skew[0])
            return World(queue, MemoryJobStore(), turn, self.wipe, clock)

        def wipe(self) -> None:
            found = list(redis_connections.commands.scan_iter(match=f"{self.prefix}:*", count=1000))
            if found:
                redis_connections.commands.delete(*found)

        def teardown(self) -> None:
            super().teardown()
            self.wipe()

    run_state_machine_as_test(RedisLife, settings=settings(max_examples=40, stateful_step_count=40))

from __future__ import annotations

import uuid
from functools import cache
from typing import Any

import pytest
from hypothesis.stateful import run_state_machine_as_test

from jangada.jobs import queue_redis, scripts
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.jobs.store_memory import MemoryJobStore
from tests.unit.jobs.life import QUEUE, Life, World, settings, turning_clock

SHORT = "local SHORT_LINE = 512"


@pytest.mark.parametrize("lines", ["short", "long"])
def test_every_job_ends_once_whatever_happens_on_redis(
    redis_connections: Any, monkeypatch: pytest.MonkeyPatch, lines: str
) -> None:
    if lines == "long":
        monkeypatch.setattr(queue_redis, "script", with_long_lines())

    class RedisLife(Life):
        def make_world(self) -> World:
            clock, turn, skew = turning_clock()
            self.prefix = f"life-{uuid.uuid4().hex[:12]}"
            queue = RedisJobQueue(redis_connections, prefix=self.prefix, skew_ms=lambda: skew[0])
            return World(queue, MemoryJobStore(), turn, self.wipe, clock)

        def keys(self) -> list[bytes]:
            return list(redis_connections.commands.scan_iter(match=f"{self.prefix}:*", count=1000))

        def wipe(self) -> None:
            found = self.keys()
            if found:
                redis_connections.commands.delete(*found)

        def teardown(self) -> None:
            super().teardown()
            kept = {key.decode().removeprefix(f"{self.prefix}:{{{QUEUE}}}:").split(":")[0] for key in self.keys()}
            self.wipe()
            assert kept <= {"dead", "ev", "handed"}, kept

    run_state_machine_as_test(RedisLife, settings=settings(max_examples=40, stateful_step_count=40))


def with_long_lines() -> Any:
    """The scripts as they are for lines too long to look through, whatever their length."""

    assert SHORT in scripts.Script("exchange").source

    @cache
    def script(name: str) -> scripts.Script:
        made = scripts.Script(name)
        return scripts.Script(name, made.source.replace(SHORT, "local SHORT_LINE = 0"))

    return script

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from jangada.jobs.queue import JobQueue
from jangada.jobs.queue_memory import MemoryJobQueue
from jangada.jobs.queue_redis import RedisJobQueue


@dataclass
class Turned:
    """A queue whose clock the test turns by hand."""

    queue: JobQueue
    turn: Callable[[float], None]
    """Let so many seconds pass."""


def memory_queue() -> Turned:
    clock = [1_000_000_000_000]

    def turn(seconds: float) -> None:
        clock[0] += round(seconds * 1000)

    return Turned(MemoryJobQueue(now_ms=lambda: clock[0]), turn)


def redis_queue(connections: Any, prefix: str) -> Turned:
    skew = [0]

    def turn(seconds: float) -> None:
        skew[0] += round(seconds * 1000)

    return Turned(RedisJobQueue(connections, prefix=prefix, skew_ms=lambda: skew[0]), turn)


@pytest.fixture(params=["memory", "redis"])
def turned(request: pytest.FixtureRequest, key_prefix: str) -> Turned:
    if request.param == "memory":
        return memory_queue()
    return redis_queue(request.getfixturevalue("redis_connections"), key_prefix)


@pytest.fixture
def queue(turned: Turned) -> JobQueue:
    return turned.queue

"""A thousand idle executors against one Redis: what they cost it. Each does what `ExecutorLoop` does while it waits."""

from __future__ import annotations

import random
import resource
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.processes import cpu_s
from jangada.executor.bell import Bell
from jangada.jobs.execution import JobExecution
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.jobs.store_memory import MemoryJobStore
from jangada.redis_client import open_redis
from tests.redis_shapes import shaped


class IdleExecutor(threading.Thread):
    """The bell's thread and the loop's, without slots: no job ever comes."""

    def __init__(self, url: str, store: MemoryJobStore, number: int, over: threading.Event) -> None:
        super().__init__(daemon=True)
        # Its own connections, as a process has them.
        self.connections = open_redis(url)
        queue = RedisJobQueue(self.connections)
        self._execution = JobExecution(queue, store, queue_name="idle", executor_id=f"exe_{number}")
        self._over = over
        self._rung = threading.Event()
        self._bell = Bell(self._execution, lambda _: self._rung.set())

    def run(self) -> None:
        # Executors are not started in the same instant.
        self._over.wait(random.uniform(0, 5))
        self._bell.start()
        while not self._over.is_set():
            self._execution.exchange(want=1)
            self._rung.clear()
            self._bell.listen()
            self._rung.wait(self._execution.idle_s())
        self._bell.stop()


def measure(count: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Share of a core that Redis uses while *count* executors idle for *seconds*, and while nobody is there."""
    with shaped("standalone", folder) as redis:
        server = redis.servers["node0"]
        alone = _share(server.pid, 5.0)
        connections = open_redis(redis.url)
        over = threading.Event()
        resource.setrlimit(resource.RLIMIT_NOFILE, (count * 2 + 500, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        store = MemoryJobStore()
        executors = [IdleExecutor(redis.url, store, number, over) for number in range(count)]
        threading.stack_size(256 * 1024)
        for executor in executors:
            executor.start()
        time.sleep(12.0)
        before = connections.commands.info("stats")["total_commands_processed"]
        began = time.monotonic()
        used = _share(server.pid, seconds)
        commands = connections.commands.info("stats")["total_commands_processed"] - before
        clients = connections.commands.info("clients")["connected_clients"]
        took_s = time.monotonic() - began
        over.set()
        for executor in executors:
            executor.join(30)
            executor.connections.close()
        connections.close()
    return {
        "executors": count,
        "connections": clients,
        "commands_per_s": round(commands / took_s, 1),
        "redis_share_of_a_core": round(used, 4),
        "without_them": round(alone, 4),
    }


def _share(pid: int, seconds: float) -> float:
    before, began = cpu_s([pid]), time.monotonic()
    time.sleep(seconds)
    return (cpu_s([pid]) - before) / (time.monotonic() - began)

"""
What a thousand idle executors cost Redis.

    python -m benchmarks.queue.fleet [--executors 1000] [--seconds 20] [--out benchmarks/results]

Each is simulated by what an idle executor does: one connection that waits for the
bell, and an exchange whenever `JobExecution.idle_s` says so. Then one job is queued
at a time, to see that somebody wakes up at once among so many.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import select
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.processes import cpu_s, machine_cpu_s
from benchmarks.queue.client import Client
from benchmarks.queue.redis_server import PrivateRedis
from jangada.errors import StoreUnavailableError
from jangada.ids import new_id
from jangada.jobs.bell_claims import ClaimingLine
from jangada.jobs.execution import LOOK_S, Completion, JobExecution
from jangada.jobs.queue import Lease
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.jobs.store_memory import MemoryJobStore
from jangada.redis_client import RedisConnections, open_redis

RESULTS = Path(__file__).resolve().parents[1] / "results"
QUEUE = "noop"
SETTLED_S = 12.0
WAKES = 100


class _Store(MemoryJobStore):
    """Keeps nothing and refuses nothing."""

    def write_outcomes(self, outcomes: Any) -> list[bool]:
        return [True] * len(outcomes)


class Idle:
    """One executor: it watches its bell and looks for itself now and then, as `ExecutorLoop` does."""

    def __init__(self, url: str, claimed: list[float]) -> None:
        self._connections: RedisConnections = open_redis(url)
        self._claimed = claimed
        queue = RedisJobQueue(self._connections)
        self._execution = JobExecution(queue, _Store(), queue_name=QUEUE, executor_id=new_id("exe"))
        self._stopped = False
        self._descriptor: int | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to listen and to look."""
        self._thread.start()

    def stop(self) -> None:
        """Be done at the next turn."""
        self._stopped = True

    def _run(self) -> None:
        line = self._execution.bell_line()
        assert line is not None
        try:
            while not self._stopped:
                leases = self._wait(line) or self._execution.exchange(want=1)
                if leases:
                    self._claimed.append(time.perf_counter())
                    self._execution.exchange([Completion(lease) for lease in leases])
        except StoreUnavailableError:
            return

    def _wait(self, line: ClaimingLine) -> Sequence[Lease]:
        """Until the bell rings and brings a job, or it is time to look."""
        until = time.monotonic() + self._execution.idle_s()
        if self._descriptor is None:
            self._descriptor = line.ask(claims=True)
        while (left_s := until - time.monotonic()) > 0:
            if not self._is_readable(left_s):
                return ()
            ring = line.answer()
            if ring is not None:
                self._descriptor = None
                return ring.take(1) if ring.take is not None else ()
            self._descriptor = line.ask(claims=True)
        return ()

    def _is_readable(self, timeout_s: float) -> bool:
        # Not select: among so many its descriptor may be beyond what that can watch.
        poll = select.poll()
        poll.register(self._descriptor or 0, select.POLLIN)
        return bool(poll.poll(1000 * timeout_s))


def measure(executors: int, span_s: float) -> dict[str, Any]:
    """Redis' share of a core and commands per second while all are idle, then how soon a job is claimed."""
    files = 3 * executors + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, hard) if hard > 0 else files, hard))
    threading.stack_size(256 * 1024)
    claimed: list[float] = []
    with PrivateRedis() as server:
        fleet = [Idle(server.url, claimed) for _ in range(executors)]
        for executor in fleet:
            executor.start()
            time.sleep(random.uniform(0, LOOK_S / executors))
        time.sleep(SETTLED_S)
        before, used, machine, own = server.info(), cpu_s([server.pid]), machine_cpu_s(), time.process_time()
        began = time.perf_counter()
        time.sleep(span_s)
        took_s = time.perf_counter() - began
        redis_s = cpu_s([server.pid]) - used
        after = server.info()
        ours = redis_s + time.process_time() - own
        figures = {
            "executors": executors,
            "redis_percent_of_a_core": round(100 * redis_s / took_s, 2),
            "commands_s": round((after["total_commands_processed"] - before["total_commands_processed"]) / took_s),
            "connections": after["connected_clients"] - 1,
            "redis_mib": round(after["used_memory"] / 1024**2, 1),
            "foreign_cores": round(max(0.0, (machine_cpu_s() - machine - ours) / took_s), 2),
        }
        client = Client(server.url, QUEUE)
        waits = []
        for number in range(WAKES):
            began = time.perf_counter()
            client.submit()
            while len(claimed) <= number and time.perf_counter() < began + 10:
                time.sleep(0.0002)
            waits.append(1000 * (time.perf_counter() - began))
        for executor in fleet:
            executor.stop()
    waits.sort()
    return {**figures, "wake_p50_ms": round(waits[WAKES // 2], 2), "wake_p99_ms": round(waits[-2], 2)}


def main() -> None:
    """Measure, print and write ``queue_fleet.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executors", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    figures = measure(options.executors, options.seconds)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "queue_fleet.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

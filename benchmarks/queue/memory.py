"""
What a queued no-op job costs Redis: bytes, CPU, and the time of a claim behind many others.

    python -m benchmarks.queue.memory [--jobs 1000000] [--claims 5000] [--tenants 1] [--json FILE]

A redis-server of its own with its append-only file. Bytes are the growth of
`used_memory` over everything that is held for a queued job; CPU is the server's own.
Claims are the executor's usual call: finish one job, claim the next.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from jangada.clock import utc_now
from jangada.ids import new_id
from jangada.jobs.job import Job
from jangada.jobs.orders import entry
from jangada.jobs.queue import Finish, Lease, QueueEntry, QueueLimits
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.redis_client import open_redis
from tests.servers import RedisServer, started

QUEUE = "noop"
GROUP = 500
LIMITS = QueueLimits(queue_jobs=10_000_000, queue_bytes=2**40, tenant_jobs=10_000_000, tenant_bytes=2**40)


def entries(count: int, tenants: int) -> list[QueueEntry]:
    """No-op jobs as a client would submit them."""
    now = utc_now()
    return [
        entry(
            Job(
                id=new_id("job"),
                tenant_id=f"tenant-{number % tenants}",
                algorithm="noop",
                algorithm_version="1.0.0",
                deployment="noop",
                queue=QUEUE,
                input={"n": 1},
                created_at=now,
            )
        )
        for number in range(count)
    ]


class Meter:
    """CPU seconds of the server and of this process since the last look."""

    def __init__(self, pid: int) -> None:
        self._server = psutil.Process(pid)
        self.look()

    def look(self) -> tuple[float, float, float]:
        """Seconds passed, of the server's CPU, of our own."""
        times = self._server.cpu_times()
        now = (time.monotonic(), times.user + times.system, time.process_time())
        passed = tuple(b - a for a, b in zip(getattr(self, "_last", now), now, strict=True))
        self._last = now
        return passed  # type: ignore[return-value]


def measure(queue: RedisJobQueue, client: Any, meter: Meter, options: argparse.Namespace) -> dict[str, float]:
    """One run."""
    before = client.info("memory")["used_memory"]
    took = server = own = 0.0
    for start in range(0, options.jobs, GROUP):
        group = entries(min(GROUP, options.jobs - start), options.tenants)
        meter.look()
        queue.enqueue_many(QUEUE, group, LIMITS)
        seconds, redis_s, own_s = meter.look()
        took, server, own = took + seconds, server + redis_s, own + own_s
    held = client.info("memory")["used_memory"] - before
    result = {
        "jobs": options.jobs,
        "bytes_per_job": held / options.jobs,
        "bulk_per_s": options.jobs / took,
        "bulk_redis_cpu_s_per_1k": server * 1000 / options.jobs,
        "bulk_client_cpu_s_per_1k": own * 1000 / options.jobs,
    }
    waits: list[float] = []
    held_leases: list[Lease] = []
    meter.look()
    for _ in range(options.claims):
        began = time.perf_counter()
        done = [Finish(lease, "succeeded") for lease in held_leases]
        held_leases = queue.finish_and_claim(QUEUE, "exe_bench", finished=done, want=1).leases
        waits.append(time.perf_counter() - began)
    _, server, own = meter.look()
    waits.sort()
    result |= {
        "claim_p50_ms": waits[len(waits) // 2] * 1000,
        "claim_p99_ms": waits[len(waits) * 99 // 100] * 1000,
        "claim_redis_cpu_s_per_1k": server * 1000 / options.claims,
        "claim_client_cpu_s_per_1k": own * 1000 / options.claims,
    }
    meter.look()
    for _ in range(options.claims // 64):
        done = [Finish(lease, "succeeded") for lease in held_leases]
        held_leases = queue.finish_and_claim(QUEUE, "exe_bench", finished=done, want=64).leases
    seconds, server, own = meter.look()
    many = options.claims // 64 * 64
    result |= {"batch_redis_cpu_s_per_1k": server * 1000 / many, "batch_per_s": many / seconds}
    waits = []
    meter.look()
    for one in entries(options.claims, options.tenants):
        began = time.perf_counter()
        queue.enqueue_many(QUEUE, [one], LIMITS)
        waits.append(time.perf_counter() - began)
    seconds, server, own = meter.look()
    waits.sort()
    return result | {
        "single_per_s": options.claims / seconds,
        "single_p50_ms": waits[len(waits) // 2] * 1000,
        "single_redis_cpu_s_per_1k": server * 1000 / options.claims,
        "single_client_cpu_s_per_1k": own * 1000 / options.claims,
    }


def main() -> None:
    """Run it and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--claims", type=int, default=5000)
    parser.add_argument("--tenants", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jangada-bench-") as folder:
        server = RedisServer(Path(folder) / "redis")
        with started(server):
            connections = open_redis(server.url)
            try:
                result = measure(RedisJobQueue(connections), connections.commands, Meter(server.pid), options)
            finally:
                connections.close()
    for name, value in result.items():
        print(f"{name:28} {value:,.4g}" if value < 1000 else f"{name:28} {value:,.0f}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

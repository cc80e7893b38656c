"""
How fast jobs are accepted and brought to their stored outcome, everything durable.

    python -m benchmarks.queue.drain [--jobs 4000] [--rounds 3] [--json FILE]

Embedded servers (redis-server with its append-only file, nx-27017 journaled), one
process for each executor. The job itself is nothing, run in the executor: what is
measured is queue and store. Rows are medians of the rounds; `foreign` is what other
processes took of the machine meanwhile, in cores.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from jangada.clock import utc_now
from jangada.ids import new_id
from jangada.jobs.execution import Completion, JobExecution
from jangada.jobs.job import Job
from jangada.jobs.queue import QueueLimits
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.jobs.service import JobService
from jangada.jobs.store_mongo import MongoJobStore
from jangada.mongo_client import open_mongo
from jangada.redis_client import open_redis
from tests.servers import MongoServer, RedisServer, started

QUEUE = "noop"


def a_job() -> Job:
    return Job(
        id=new_id("job"),
        tenant_id="bench",
        algorithm="noop",
        algorithm_version="1.0.0",
        deployment="noop",
        queue=QUEUE,
        input={"n": 1},
        created_at=utc_now(),
    )


@contextmanager
def connected(redis_url: str, mongo_url: str):
    connections, client = open_redis(redis_url), open_mongo(mongo_url)
    try:
        store = MongoJobStore(client["bench"])
        store.create_indexes()
        yield RedisJobQueue(connections), store
    finally:
        connections.close()
        client.close()


def executor(gate: Any, redis_url: str, mongo_url: str, batch: int, stop: Any, ready: Any, cpu: Any) -> None:
    """One executor: when the gate opens claim *batch* jobs, do nothing *batch* times, say so, until told to stop."""
    with connected(redis_url, mongo_url) as (queue, store):
        execution = JobExecution(queue, store, queue_name=QUEUE, executor_id=new_id("exe"))
        execution.exchange(want=0)
        ready.release()
        gate.wait()
        began = time.process_time()
        done: list[Completion] = []
        while not stop.is_set():
            leases = execution.exchange(done, batch)
            done = [Completion(lease, output={"n": 2}) for lease in leases]
            if not leases:
                execution.wait(0.2)
        cpu.value = time.process_time() - began


class Bench:
    """The servers and what is measured on them."""

    def __init__(self, redis: RedisServer, mongo: MongoServer) -> None:
        self.urls = (redis.url, mongo.url)
        self.servers = {"redis": psutil.Process(redis.pid), "mongo": psutil.Process(mongo.pid)}
        self.rows: dict[str, list[dict[str, float]]] = {}

    def cpu(self) -> dict[str, float]:
        used = {name: sum(process.cpu_times()[:2]) for name, process in self.servers.items()}
        busy = psutil.cpu_times()
        return used | {"all": busy.user + busy.system + busy.nice, "own": time.process_time(), "at": time.monotonic()}

    def row(
        self,
        name: str,
        jobs: int,
        before: dict[str, float],
        executors: float | None = None,
        after: dict[str, float] | None = None,
        **more: float,
    ) -> None:
        after = after or self.cpu()
        spent = {key: after[key] - before[key] for key in after}
        clients = spent["own"] if executors is None else executors
        foreign = (spent["all"] - spent["redis"] - spent["mongo"] - spent["own"] - (executors or 0.0)) / spent["at"]
        row = {
            "jobs_s": jobs / spent["at"],
            "redis_cpu_s_per_1k": spent["redis"] * 1000 / jobs,
            "mongo_cpu_s_per_1k": spent["mongo"] * 1000 / jobs,
            "client_cpu_s_per_1k": clients * 1000 / jobs,
            "foreign": foreign,
        }
        self.rows.setdefault(name, []).append(row | more)

    def submit(self, jobs: int) -> None:
        with connected(*self.urls) as (queue, store):
            service = JobService(queue, store, limits=QueueLimits(None, None))
            before = self.cpu()
            service.submit_many([a_job() for _ in range(jobs)])
            self.row("submit_many", jobs, before)
            before, waits = self.cpu(), []

            def client() -> None:
                for _ in range(jobs // 16):
                    began = time.monotonic()
                    service.submit(a_job())
                    waits.append(time.monotonic() - began)

            threads = [threading.Thread(target=client) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            waits.sort()
            p50, p99 = waits[len(waits) // 2] * 1000, waits[len(waits) * 99 // 100] * 1000
            self.row("submit, 16 threads", len(waits), before, p50_ms=p50, p99_ms=p99)

    def drain(self, jobs: int, executors: int, batch: int) -> None:
        with connected(*self.urls) as (queue, store):
            service = JobService(queue, store, limits=QueueLimits(None, None))
            # What the submit row left is drained along: the queue starts with at least *jobs*.
            service.submit_many([a_job() for _ in range(max(0, jobs - queue.stats(QUEUE).jobs))])
            left = queue.stats(QUEUE).jobs
            with self.running(executors, batch) as (go, cpu):
                before = self.cpu()
                go()
                while queue.stats(QUEUE).jobs:
                    time.sleep(0.01)
                after = self.cpu()
            # The executors say what they used when they end.
            self.row(f"drain, {executors} × {batch}", left, before, sum(cpu()), after)

    @contextmanager
    def running(self, executors: int, batch: int):
        context = multiprocessing.get_context("spawn")
        stop, ready = context.Event(), context.Semaphore(0)
        gate = context.Event()
        spent = [context.Value("d", 0.0) for _ in range(executors)]
        crew = [
            context.Process(target=executor, args=(gate, *self.urls, batch, stop, ready, each), daemon=True)
            for each in spent
        ]
        for process in crew:
            process.start()
        try:
            for _ in crew:
                ready.acquire()

            def go() -> None:
                gate.set()

            yield go, lambda: [each.value for each in spent]
        finally:
            gate.set()
            stop.set()
            for process in crew:
                process.join(20)

    def latency(self, jobs: int) -> None:
        with connected(*self.urls) as (queue, store), self.running(1, 1) as (go, _):
            service = JobService(queue, store)
            go()
            time.sleep(0.5)
            before, waits = self.cpu(), []
            for _ in range(jobs):
                began = time.monotonic()
                job = service.submit(a_job())
                assert service.wait(job.id, "bench", 10).is_final
                waits.append(time.monotonic() - began)
            waits.sort()
            p50, p99 = waits[len(waits) // 2] * 1000, waits[len(waits) * 99 // 100] * 1000
            self.row("one in flight", jobs, before, p50_ms=p50, p99_ms=p99)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jangada-bench-") as folder:
        redis, mongo = RedisServer(Path(folder) / "redis"), MongoServer(Path(folder) / "mongo")
        with started(redis), started(mongo):
            bench = Bench(redis, mongo)
            steps: list[Callable[[], None]] = [
                lambda: bench.submit(options.jobs),
                lambda: bench.drain(options.jobs, 1, 32),
                lambda: bench.drain(options.jobs // 2, 1, 1),
                lambda: bench.drain(options.jobs, 2, 32),
                lambda: bench.latency(200),
            ]
            for _ in range(options.rounds):
                for step in steps:
                    step()
    table = {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for name, rows in bench.rows.items()
    }
    for name, row in table.items():
        print(f"{name:20}", "  ".join(f"{key} {value:.3g}" for key, value in row.items()))
    if options.json:
        options.json.write_text(json.dumps({"rounds": options.rounds, "median": table, "rows": bench.rows}, indent=1))


if __name__ == "__main__":
    main()

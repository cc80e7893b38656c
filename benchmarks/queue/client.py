"""
Jangada as a client of the rows that measure the queue alone; prints one JSON line.

    python -m benchmarks.queue.client redis://127.0.0.1:PORT enqueue|bulk|latency N noop|blob

``enqueue`` goes through the service with every cap set and an idempotency record
for each job; ``bulk`` gives 500 jobs to each call of the queue; ``latency`` waits
for each job's stored outcome before the next.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from benchmarks.queue.results_store import RedisResultStore
from jangada.clock import utc_now
from jangada.ids import new_id
from jangada.jobs.idempotency import MemoryIdempotencyStore, made
from jangada.jobs.job import Job
from jangada.jobs.orders import entry
from jangada.jobs.queue import QueueLimits
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.jobs.service import JobService
from jangada.redis_client import open_redis

TENANT = "ten_bench"
CAPS = QueueLimits(queue_jobs=10**7, queue_bytes=10**11, tenant_jobs=10**7, tenant_bytes=10**11)
INPUTS: dict[str, Any] = {"noop": {}, "blob": {"data": "x" * 1024}}
CHUNK = 500


class Client:
    """Submits jobs of one kind."""

    def __init__(self, url: str, kind: str) -> None:
        connections = open_redis(url)
        results = RedisResultStore(connections.commands, connections.blocking)
        self.queue = RedisJobQueue(connections, waits_by=results.waits)
        self.service = JobService(self.queue, results, limits=CAPS)
        self.keys = MemoryIdempotencyStore()
        self.kind = kind

    def job(self) -> Job:
        """A job, not submitted."""
        return Job(
            id=new_id("job"),
            tenant_id=TENANT,
            algorithm=self.kind,
            algorithm_version="1.0.0",
            deployment=self.kind,
            queue=self.kind,
            input=INPUTS[self.kind],
            created_at=utc_now(),
        )

    def submit(self) -> Job:
        """One job, with an idempotency key of its own."""
        job = self.job()
        self.keys.begin(TENANT, "jobs", job.id, "fingerprint", job_id=job.id)
        job = self.service.submit(job)
        self.keys.remember(TENANT, "jobs", job.id, "fingerprint", made(job.id))
        return job

    def bulk(self, count: int) -> None:
        """*count* jobs, many in each call."""
        for done in range(0, count, CHUNK):
            entries = [entry(self.job()) for _ in range(min(CHUNK, count - done))]
            self.queue.enqueue_many(self.kind, entries, CAPS)

    def round_trip(self) -> float:
        """Seconds from the submit to the stored outcome."""
        began = time.perf_counter()
        job = self.submit()
        ended = self.service.wait(job.id, TENANT, 20, known=job)
        took = time.perf_counter() - began
        if not ended.is_final:
            raise SystemExit(f"{job.id} did not end")
        return took


def _timed(work: Callable[[], object], count: int) -> dict[str, float]:
    began, used = time.perf_counter(), time.process_time()
    work()
    return {"n": count, "s": time.perf_counter() - began, "cpu": time.process_time() - used}


def main() -> None:
    """Do one of the three and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("what", choices=["enqueue", "bulk", "latency"])
    parser.add_argument("count", type=int)
    parser.add_argument("kind", choices=sorted(INPUTS))
    options = parser.parse_args()
    client = Client(options.url, options.kind)
    result: dict[str, Any]
    if options.what == "enqueue":
        client.submit()
        result = _timed(lambda: [client.submit() for _ in range(options.count)], options.count)
    elif options.what == "bulk":
        result = _timed(lambda: client.bulk(options.count), options.count)
    else:
        for _ in range(20):
            client.round_trip()
        result = {"lat": [client.round_trip() for _ in range(options.count)]}
    print(json.dumps(result))


if __name__ == "__main__":
    main()

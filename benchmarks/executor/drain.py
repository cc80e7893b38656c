"""
How fast real executors empty a queue of no-op jobs with everything durable.

    python -m benchmarks.executor.drain --jobs 6000 --executors 1 --concurrency 1

Timed from the first tenth finished to the last job, so that process start is not
in it. One JSON line: jobs/s, CPU-seconds per 1,000 jobs by process.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import ExitStack

from benchmarks.processes import Reading, busy_cores_elsewhere, machine_cpu_s, tree
from tests.integration.executor.stage import stage


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", default="noop")
    parser.add_argument("--jobs", type=int, default=6000)
    parser.add_argument("--executors", type=int, default=1)
    parser.add_argument("--concurrency", type=int, default=1)
    options = parser.parse_args()
    with stage() as made, ExitStack() as running:
        made.submit(options.toy, [{"number": number} for number in range(options.jobs)])
        executors = [
            running.enter_context(made.executor(options.toy, "--concurrency", str(options.concurrency)))
            for _ in range(options.executors)
        ]
        counted_from = options.jobs - options.jobs // 10
        began = made.wait_empty(options.toy, below=counted_from)
        left = made.depth(options.toy)
        parts = {"redis": [made.redis.pid], "mongo": tree(made.mongo.pid)}
        for executor in executors:
            parent, *children = tree(executor.pid)
            parts.setdefault("parents", []).append(parent)
            parts.setdefault("children", []).extend(children)
        before, machine = Reading.of(parts), machine_cpu_s()
        began = time.monotonic()
        took = made.wait_empty(options.toy) - began
        after = Reading.of(parts)
        ours = sum(after.by_part.values()) - sum(before.by_part.values())
        print(
            json.dumps(
                {
                    "benchmark": "executor.drain",
                    "jobs": left,
                    "executors": options.executors,
                    "concurrency": options.concurrency,
                    "jobs_per_s": round(left / took),
                    "cpu_s_per_1k": after.per_thousand(before, left),
                    "foreign_cores": round(busy_cores_elsewhere(machine, machine_cpu_s(), ours, took), 2),
                }
            )
        )


if __name__ == "__main__":
    main()

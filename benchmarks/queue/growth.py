"""
How the queue behaves as it grows from a thousand to a million waiting jobs.

    python -m benchmarks.queue.growth [--most 1000000] [--out benchmarks/results]

At each size: Redis' memory per queued job, and what one exchange takes (finish a
job, claim the next) for an executor that runs one job at a time. A hundred tenants
take turns. Prints a table, writes ``queue_growth.json`` and ``queue_growth.png``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from rich.progress import Progress

from benchmarks.processes import cpu_s
from benchmarks.queue.client import CAPS
from benchmarks.queue.redis_server import PrivateRedis
from jangada.clock import utc_now
from jangada.ids import new_id
from jangada.jobs.job import Job
from jangada.jobs.orders import entry
from jangada.jobs.queue import Finish
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.redis_client import open_redis

RESULTS = Path(__file__).resolve().parents[1] / "results"
QUEUE, EXECUTOR = "noop", "exe_bench"
TENANTS = 100
SIZES = (1_000, 10_000, 100_000, 1_000_000)
CHUNK, CLAIMS = 500, 1_000


def fill(queue: RedisJobQueue, count: int, progress: Progress) -> float:
    """Queue *count* more jobs; the seconds that took."""
    bar = progress.add_task(f"queueing {count:,} jobs", total=count)
    began = time.perf_counter()
    for start in range(0, count, CHUNK):
        jobs = [
            Job(
                id=new_id("job"),
                tenant_id=f"ten_{(start + at) % TENANTS:03d}",
                algorithm=QUEUE,
                algorithm_version="1.0.0",
                deployment=QUEUE,
                queue=QUEUE,
                input={},
                created_at=utc_now(),
            )
            for at in range(min(CHUNK, count - start))
        ]
        queue.enqueue_many(QUEUE, [entry(job) for job in jobs], CAPS)
        progress.advance(bar, len(jobs))
    return time.perf_counter() - began


def claims(queue: RedisJobQueue) -> list[float]:
    """Milliseconds of each of a thousand exchanges, in order of size."""
    took = []
    held = queue.finish_and_claim(QUEUE, EXECUTOR, want=1).leases
    for _ in range(CLAIMS):
        finished = [Finish(lease, "succeeded") for lease in held]
        began = time.perf_counter()
        held = queue.finish_and_claim(QUEUE, EXECUTOR, finished=finished, want=1).leases
        took.append(1000 * (time.perf_counter() - began))
    queue.finish_and_claim(QUEUE, EXECUTOR, finished=[Finish(lease, "succeeded") for lease in held])
    return sorted(took)


def measure(most: int) -> list[dict[str, Any]]:
    """One row for each size up to *most*."""
    rows: list[dict[str, Any]] = []
    with PrivateRedis() as server, Progress() as progress:
        connections = open_redis(server.url)
        queue = RedisJobQueue(connections)
        empty, held = server.info()["used_memory"], 0
        for size in (each for each in SIZES if each <= most):
            took_s = fill(queue, size - held, progress)
            more, held = size - held, size
            used = server.info()["used_memory"] - empty
            before = cpu_s([server.pid])
            took = claims(queue)
            held -= CLAIMS + 1
            rows.append(
                {
                    "jobs": size,
                    "enqueued_s": round(more / took_s),
                    "bytes_per_job": round(used / size),
                    "claim_p50_ms": round(took[len(took) // 2], 3),
                    "claim_p99_ms": round(took[len(took) * 99 // 100], 3),
                    "redis_cpu_s_per_1k_claims": round((cpu_s([server.pid]) - before) * 1000 / CLAIMS, 3),
                }
            )
        connections.close()
    return rows


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Claim times and bytes per job against the size of the queue."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (times, sizes) = plt.subplots(1, 2, figsize=(10, 4))
    jobs = [row["jobs"] for row in rows]
    for name, label in (("claim_p50_ms", "p50"), ("claim_p99_ms", "p99")):
        times.plot(jobs, [row[name] for row in rows], marker="o", label=label)
    times.axhline(5, color="#b5482f", linewidth=1, linestyle="--", label="goal for p99")
    times.set_ylabel("ms to finish one job and claim the next")
    times.legend()
    sizes.plot(jobs, [row["bytes_per_job"] for row in rows], marker="o", color="#2f7d4f")
    sizes.axhline(300, color="#b5482f", linewidth=1, linestyle="--")
    sizes.set_ylabel("bytes of Redis per queued job (goal: 300)")
    for axes in (times, sizes):
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("queued jobs")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=80)
    plt.close(figure)


def main() -> None:
    """Measure, print, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=SIZES[-1])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = measure(options.most)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "queue_growth.json").write_text(json.dumps(rows, indent=1) + "\n")
    draw(rows, options.out / "queue_growth.png")
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()

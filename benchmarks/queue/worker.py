"""
One executor of the rows that measure the queue alone.

    python -m benchmarks.queue.worker redis://127.0.0.1:PORT noop [--concurrency 1] [--one-by-one]

Everything is what production runs (loop, slots, child process, leases, heartbeat,
the queue on Redis) but the store: outcomes go to Redis, as the other systems' do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.queue.results_store import RedisResultStore
from jangada.algorithms.manifest import load_manifest
from jangada.executor import start
from jangada.executor.files import JobFiles
from jangada.executor.journal import Journal
from jangada.executor.loop import ExecutorLoop, LoopOptions
from jangada.executor.metrics import ExecutorMetrics
from jangada.executor.metrics_stores import QUEUE_OPERATIONS, STORE_OPERATIONS, MeasuredExecution, measured
from jangada.executor.running import SlotLimits
from jangada.ids import new_id
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.redis_client import open_redis
from jangada.settings import Settings

ALGORITHMS = Path(__file__).parent / "algorithms"


def main() -> None:
    """Claim and run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("algorithm", choices=["noop", "blob"])
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--one-by-one", action="store_true", help="not declared short: one claim for each job")
    options = parser.parse_args()
    manifest = load_manifest(ALGORITHMS / options.algorithm)
    folder = Path(tempfile.mkdtemp(prefix="jangada-bench-worker-"))
    settings = Settings.from_env({"JANGADA_HOME": str(folder)})
    recipe = start.recipe(manifest, Path(sys.executable), folder / "lib", settings)
    short = not options.one_by_one
    connections = open_redis(options.url)
    metrics = ExecutorMetrics()
    results = RedisResultStore(connections.commands)
    execution = MeasuredExecution(
        metrics,
        measured(RedisJobQueue(connections, scripts_by=results.commands), "redis", QUEUE_OPERATIONS, metrics),
        measured(results, "mongo", STORE_OPERATIONS, metrics),
        queue_name=manifest.name,
        executor_id=new_id("exe"),
    )
    loop = ExecutorLoop(
        execution,
        JobFiles(_no_files, _no_files, max_file_bytes=settings.max_file_bytes),
        replace(recipe, short=short, environ=start.child_environ(os.environ)),
        SlotLimits(),
        LoopOptions(options.concurrency, short),
        folder=folder,
        journal=Journal(level="warning"),
        observer=metrics,
    )
    signal.signal(signal.SIGTERM, lambda *_: loop.stop())
    start.rarely_collect()
    try:
        loop.run()
    finally:
        connections.close()
        shutil.rmtree(folder, ignore_errors=True)


def _no_files() -> None:
    raise RuntimeError("the jobs of this benchmark have no files")


if __name__ == "__main__":
    main()

"""
One job in flight: from the submit call to the stored outcome being visible, in ms.

    python -m benchmarks.executor.latency --jobs 300
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from tests.integration.executor.stage import TENANT, Stage, stage


def one(made: Stage, toy: str) -> float:
    """Milliseconds of one job."""
    job = made.make(toy, {})
    began = time.perf_counter()
    made.service.submit(job)
    done = made.service.wait(job.id, TENANT, 10)
    took = (time.perf_counter() - began) * 1000
    assert done.is_final
    return took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", default="noop")
    parser.add_argument("--jobs", type=int, default=300)
    options = parser.parse_args()
    with stage() as made, made.executor(options.toy):
        for _ in range(20):
            one(made, options.toy)
        took = [one(made, options.toy) for _ in range(options.jobs)]
    print(
        json.dumps(
            {
                "benchmark": "executor.latency",
                "jobs": options.jobs,
                "p50_ms": round(statistics.median(took), 2),
                "p95_ms": round(statistics.quantiles(took, n=100)[94], 2),
                "p99_ms": round(statistics.quantiles(took, n=100)[98], 2),
            }
        )
    )


if __name__ == "__main__":
    main()

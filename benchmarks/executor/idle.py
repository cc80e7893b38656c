"""
What an executor costs while nothing waits: CPU as a share of one core, memory as proportional set size.

    python -m benchmarks.executor.idle --seconds 20

It has run some jobs before, so that everything that is loaded late is loaded.
"""

from __future__ import annotations

import argparse
import json
import time

from benchmarks.processes import cpu_s, pss_mib, tree
from tests.integration.executor.stage import stage


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", default="noop")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with stage() as made, made.executor(options.toy) as executor:
        made.submit(options.toy, [{}] * 50)
        made.wait_empty(options.toy)
        time.sleep(2)
        parent, *children = tree(executor.pid)
        redis = cpu_s([made.redis.pid])
        before = {pid: cpu_s([pid]) for pid in (parent, *children)}
        began = time.monotonic()
        time.sleep(options.seconds)
        wall_s = time.monotonic() - began
        used = {pid: cpu_s([pid]) - before[pid] for pid in before}
        print(
            json.dumps(
                {
                    "benchmark": "executor.idle",
                    "cpu_percent_of_a_core": round(100 * sum(used.values()) / wall_s, 2),
                    "redis_cpu_percent": round(100 * (cpu_s([made.redis.pid]) - redis) / wall_s, 2),
                    "parent_pss_mib": round(pss_mib([parent]), 1),
                    "children_pss_mib": round(pss_mib(children), 1),
                    "together_mib": round(pss_mib([parent, *children]), 1),
                }
            )
        )


if __name__ == "__main__":
    main()

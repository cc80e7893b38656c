"""
How evenly jobs spread over replicas that an agent started, and how near to ideal they are done.

    python -m benchmarks.node.spread [--replicas 10] [--jobs 1000] [--seconds 0.05] [--out …]

Equal jobs that sleep; writes ``node_spread.json``: jobs of the busiest over those of
the laziest replica, and the time taken over what the slots would ideally take.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.integration.node.rig import Agent, Rig
from tests.servers import MongoServer, RedisServer, until

ROOT = Path(__file__).resolve().parents[2]


def ended_jobs(agent: Agent) -> Counter[str]:
    """Jobs by replica, as each replica's log tells."""
    logs = (agent.home / "logs").glob("replica-*.log")
    return Counter({log.name: log.read_text().count('"job.ended"') for log in logs})


def measure(rig: Rig, agent: Agent, lane: str, jobs: int, replicas: int, seconds: float) -> dict[str, float]:
    """One crowd of jobs."""
    deployment = rig.store.get(lane)
    assert deployment is not None
    before = ended_jobs(agent)
    began = time.monotonic()
    ids = [rig.submit(deployment, {"seconds": seconds}) for _ in range(jobs)]
    submitted = time.monotonic()
    until(lambda: not rig.services.queue.stats(deployment.queue).jobs, 300, 0.01)
    ended = time.monotonic()
    assert rig.outcomes(ids) == {"succeeded": jobs}
    counts = sorted((ended_jobs(agent) - before).values())
    ideal = math.ceil(jobs / replicas) * seconds
    return {
        "jobs": jobs,
        "replicas_used": len(counts),
        "busiest": counts[-1],
        "laziest": counts[0],
        "busiest_over_laziest": round(counts[-1] / counts[0], 3),
        "submit_s": round(submitted - began, 3),
        "took_s": round(ended - began, 3),
        "ideal_s": round(ideal, 3),
        "over_ideal": round((ended - began) / ideal, 3),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--long-jobs", type=int, default=100, help="a second crowd, of jobs ten times as long")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        redis, mongo = RedisServer(Path(folder) / "redis"), MongoServer(Path(folder) / "mongo")
        redis.start()
        mongo.start()
        rig = Rig(Path(folder), redis, mongo)
        try:
            count = {"minimum": options.replicas, "maximum": options.replicas}
            rig.deploy("crowd", "sleeps", scaling=count)
            agent = rig.agent("bench")
            rig.await_ready("crowd", options.replicas, 180)
            found = {
                "benchmark": "node.spread",
                "replicas": options.replicas,
                "short": measure(rig, agent, "crowd", options.jobs, options.replicas, options.seconds),
                "long": measure(rig, agent, "crowd", options.long_jobs, options.replicas, 10 * options.seconds),
                "goals": {"busiest_over_laziest": 1.3, "over_ideal": 1.15},
            }
        finally:
            rig.close()
    (options.out / "node_spread.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()

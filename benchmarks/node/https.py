"""
What the way over HTTPS costs a job: the same executor beside Redis and MongoDB, and behind TLS and the function.

    python -m benchmarks.node.https [--jobs 200] [--out …]

Two agents on one machine, one that joined and one beside the servers, each with one warm
replica. Jobs are submitted one at a time, to the one and to the other in turn, and
waited for; then so many at once to each, again in turn. Everything is on loopback.
Writes ``node_https.json`` and ``node_https.png``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from rich.progress import track

from jangada.deployments.deployment import Deployment, Placement
from tests.integration.node.distant import join, start, start_function
from tests.integration.node.rig import TENANT, Rig
from tests.servers import MongoServer, RedisServer, until
from tests.tls_front import TlsFront

ROOT = Path(__file__).resolve().parents[2]
GOAL_MS = 25.0
WARM_UP = 20
AT_ONCE = 100
ROUNDS = 3
WAYS = ("direct", "https")


def one_job(rig: Rig, deployment: Deployment) -> float:
    """Milliseconds from the submit to the outcome."""
    began = time.perf_counter()
    done = rig.services.jobs.wait(rig.submit(deployment, {}), TENANT, 60)
    took = (time.perf_counter() - began) * 1000
    assert done.status.value == "succeeded", done
    return took


def many_jobs(rig: Rig, deployment: Deployment) -> float:
    """Milliseconds per job, of `AT_ONCE` that are submitted at once to one slot."""
    began = time.perf_counter()
    jobs = [rig.submit(deployment, {}) for _ in range(AT_ONCE)]
    for job_id in jobs:
        assert rig.services.jobs.wait(job_id, TENANT, 60).status.value == "succeeded"
    return (time.perf_counter() - began) * 1000 / AT_ONCE


def measure(rig: Rig, jobs: int) -> dict[str, dict[str, list[float]]]:
    """Both ways in turn."""
    wishes = {
        way: rig.deploy(way, "echo", scaling={"minimum": 1}, placement=Placement(labels={"way": way})) for way in WAYS
    }
    for way in WAYS:
        rig.await_ready(way, 1, 120)
    for _ in range(WARM_UP):
        for wish in wishes.values():
            one_job(rig, wish)
    alone: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in track(range(jobs), "one at a time", transient=True):
        for way, wish in wishes.items():
            alone[way].append(one_job(rig, wish))
    crowd: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in track(range(ROUNDS), "at once", transient=True):
        for way, wish in wishes.items():
            crowd[way].append(many_jobs(rig, wish))
    return {"alone": alone, "crowd": crowd}


def summary(found: dict[str, dict[str, list[float]]], jobs: int) -> dict[str, object]:
    """What is written down."""
    alone, crowd = found["alone"], found["crowd"]
    pairs = [https - direct for direct, https in zip(alone["direct"], alone["https"], strict=True)]
    return {
        "benchmark": "node.https",
        "jobs": jobs,
        "one_at_a_time_ms": {way: _quantiles(alone[way]) for way in WAYS},
        "cost_ms": _quantiles(pairs),
        "at_once_ms_per_job": {way: round(statistics.median(crowd[way]), 2) for way in WAYS},
        "at_once_cost_ms_per_job": round(
            statistics.median(https - direct for direct, https in zip(crowd["direct"], crowd["https"], strict=True)), 2
        ),
        "goal_ms": GOAL_MS,
    }


def _quantiles(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=20)
    return {"p50": round(statistics.median(values), 2), "p95": round(cuts[18], 2), "best": round(min(values), 2)}


def draw(found: dict[str, dict[str, list[float]]], file: Path) -> None:
    """How many jobs took at most so long, each way."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.6))
    for way, color in zip(WAYS, ("#2f6f8f", "#b5482f"), strict=True):
        values = sorted(found["alone"][way])
        axes.plot(values, [(number + 1) / len(values) for number in range(len(values))], color=color, label=way)
    axes.set_xlim(0, sorted(found["alone"]["https"])[int(len(found["alone"]["https"]) * 0.98)] * 1.1)
    axes.set_xlabel("milliseconds from the submit to the outcome")
    axes.set_ylabel("share of the jobs")
    axes.legend(fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="jgb") as folder:
        redis, mongo = RedisServer(Path(folder) / "redis"), MongoServer(Path(folder) / "mongo")
        redis.start()
        mongo.start()
        rig = Rig(Path(folder), redis, mongo)
        function = start_function(rig)
        front = TlsFront(Path(folder) / "front", "127.0.0.1", ("127.0.0.1", function.port))
        front.start()
        try:
            rig.agent("near", "--label", "way=direct")
            join(rig, front.url, "far", "--ca-file", str(front.authority))
            start(rig, "far", "--label", "way=https")
            until(lambda: len(rig.store.nodes()) == 2, 60)
            found = measure(rig, options.jobs)
        except AssertionError:
            print(rig.logs())
            raise
        finally:
            rig.stop_agents()
            front.stop()
            function.stop()
            rig.close()
    told = summary(found, options.jobs)
    (options.out / "node_https.json").write_text(json.dumps(told, indent=1) + "\n")
    draw(found, options.out / "node_https.png")
    print(json.dumps(told))


if __name__ == "__main__":
    main()

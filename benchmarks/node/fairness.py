"""
What a tenant's jobs wait while another floods the queue: on a deployment that both share, and on one of its own.

    python -m benchmarks.node.fairness [--replicas 10] [--flood 1000] [--jobs 40] [--seconds 0.5] [--out …]

Tenant B sends a job now and then: first alone, then while a thousand jobs of tenant A
are queued before it. What counts is what B waits for its answer, from the submit on; what
of that the job was queued is told by the queue's own clock. No job is interrupted, so one
of B's is queued until a slot is free, which with these replicas and run times comes to
pass every ``seconds / replicas``. Writes ``node_fairness.json`` and ``node_fairness.png``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import track

from jangada.clock import utc_now
from jangada.deployments.deployment import Deployment
from jangada.ids import new_id
from jangada.jobs.job import Job, Policy
from tests.integration.node.rig import Rig
from tests.servers import MongoServer, RedisServer, until

ROOT = Path(__file__).resolve().parents[2]
FLOODER, OTHER = "ten_a", "ten_b"
GOALS = {"shared_p95_over_idle": 2.0, "own_p95_over_idle": 1.0}
EVERY_S = 0.1
"""Between two of B's jobs."""


@dataclass(frozen=True)
class Waits:
    """Of each of B's jobs, in seconds: what it was queued, and what it took to the answer."""

    queued: list[float]
    answered: list[float]


def made(deployment: Deployment, tenant_id: str, seconds: float) -> Job:
    """A job that sleeps."""
    return Job(
        id=new_id("job"),
        tenant_id=tenant_id,
        algorithm=deployment.algorithm,
        algorithm_version="1.0.0",
        deployment=deployment.name,
        queue=deployment.queue,
        input={"seconds": seconds},
        created_at=utc_now(),
        policy=Policy(),
    )


def waits(rig: Rig, deployment: Deployment, options: argparse.Namespace, says: str) -> Waits:
    """Send B's jobs, one after the other."""
    found = Waits([], [])
    for _ in track(range(options.jobs), says, transient=True):
        began = time.monotonic()
        job = rig.services.jobs.submit(made(deployment, OTHER, options.seconds))
        done = rig.services.jobs.wait(job.id, OTHER, 120)
        assert done.status.value == "succeeded", done
        found.answered.append(time.monotonic() - began)
        found.queued.append(float(done.metrics["queue_s"] or 0.0))
        time.sleep(EVERY_S)
    return found


def flooded(rig: Rig, shared: Deployment, used: Deployment, options: argparse.Namespace, says: str) -> Waits:
    """The same on *used* while A's jobs are queued on *shared*; fails when they did not last so long."""
    refused = [
        one
        for one in rig.services.jobs.submit_many([made(shared, FLOODER, options.seconds) for _ in range(options.flood)])
        if not isinstance(one, Job)
    ]
    assert not refused, refused[0]
    found = waits(rig, used, options, says)
    left = rig.services.queue.stats(shared.queue).jobs
    assert left > options.replicas, f"the flood was over before B's last job: {left} of A's jobs are left"
    until(lambda: not rig.services.queue.stats(shared.queue).jobs, 600, 0.1)
    return found


def measure(rig: Rig, options: argparse.Namespace) -> dict[str, Waits]:
    """B's waits in the four situations."""
    shared = rig.deploy("shared", "sleeps", scaling={"minimum": options.replicas, "maximum": options.replicas})
    own = rig.deploy("own", "sleeps", scaling={"minimum": 1, "maximum": 1}, tenant_id=OTHER)
    rig.agent("bench")
    rig.await_ready("shared", options.replicas, 300)
    rig.await_ready("own", 1, 300)
    for deployment in (shared, own):
        # Every slot has run a job once, so that none is timed on its first.
        jobs = [made(deployment, OTHER, options.seconds) for _ in range(10 * options.replicas)]
        assert all(isinstance(one, Job) for one in rig.services.jobs.submit_many(jobs))
        until(lambda queue=deployment.queue: not rig.services.queue.stats(queue).jobs, 300, 0.1)
    return {
        "shared_idle": waits(rig, shared, options, "shared, B alone"),
        "shared_flooded": flooded(rig, shared, shared, options, "shared, A's flood"),
        "own_idle": waits(rig, own, options, "B's own, B alone"),
        "own_flooded": flooded(rig, shared, own, options, "B's own, A's flood"),
    }


def report(found: dict[str, Waits], options: argparse.Namespace) -> dict[str, Any]:
    """The figures, as JSON values; waits in milliseconds."""
    p95 = {name: quantile(waited.answered, 0.95) for name, waited in found.items()}
    return {
        "benchmark": "node.fairness",
        "replicas": options.replicas,
        "flood": options.flood,
        "jobs": options.jobs,
        "seconds": options.seconds,
        "shared_p95_over_idle": round(p95["shared_flooded"] / p95["shared_idle"], 2),
        "own_p95_over_idle": round(p95["own_flooded"] / p95["own_idle"], 2),
        "answer_ms": {name: _milliseconds(waited.answered) for name, waited in found.items()},
        "queued_ms": {name: _milliseconds(waited.queued) for name, waited in found.items()},
        "behind_the_flood_ms": round(1000 * options.flood * options.seconds / options.replicas),
        "goals": GOALS,
    }


def _milliseconds(values: list[float]) -> dict[str, float]:
    return {name: round(1000 * quantile(values, share), 1) for name, share in (("p50", 0.5), ("p95", 0.95))}


def quantile(values: Iterable[float], share: float) -> float:
    """The value that *share* of them stay under."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def draw(found: dict[str, Waits], behind_s: float, file: Path) -> None:
    """How many of B's jobs waited no longer than so."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.8))
    styles = {
        "shared_idle": ("#2f7f6f", "--"),
        "shared_flooded": ("#2f7f6f", "-"),
        "own_idle": ("#4a6fb5", "--"),
        "own_flooded": ("#4a6fb5", "-"),
    }
    for name, waited in found.items():
        color, line = styles[name]
        values = sorted(1000 * one for one in waited.answered)
        shares = [(number + 1) / len(values) for number in range(len(values))]
        axes.step(values, shares, line, color=color, label=name.replace("_", ", "))
    axes.axvline(1000 * behind_s, color="#b5482f", linewidth=1, linestyle=":", label="behind the flood")
    axes.set_xscale("log")
    axes.set_xlabel("what tenant B waits for an answer, ms")
    axes.set_ylabel("share of its jobs")
    axes.legend(fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=10)
    parser.add_argument("--flood", type=int, default=1000, help="jobs of tenant A")
    parser.add_argument("--jobs", type=int, default=40, help="jobs of tenant B in each situation")
    parser.add_argument("--seconds", type=float, default=0.5, help="what each job runs")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        redis, mongo = RedisServer(Path(folder) / "redis"), MongoServer(Path(folder) / "mongo")
        redis.start()
        mongo.start()
        rig = Rig(Path(folder), redis, mongo)
        try:
            found = measure(rig, options)
        except AssertionError:
            print(rig.logs())
            raise
        finally:
            rig.close()
    figures = report(found, options)
    (options.out / "node_fairness.json").write_text(json.dumps(figures, indent=1) + "\n")
    draw(found, figures["behind_the_flood_ms"] / 1000, options.out / "node_fairness.png")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

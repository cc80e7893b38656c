"""
The scaling policy on a platform that runs: an embedded one with everything on demand, a short crowd, real replicas.

``python scripts/simulate_autoscaling.py --live`` calls it. The same load through the
simulation, with the start time that was measured, is drawn beside it.
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.autoscaling.load import Scenario, Work, poisson
from benchmarks.autoscaling.simulator import Run, Sample, Simulation
from jangada.client import Client
from jangada.deployments.scaling import ScalingPolicy
from tests.live_platform import LivePlatform
from tests.servers import until

LANE = "crowd"
POLICY = {"min": 0, "max": 6, "target_s": 2.0, "idle_s": 4.0}
SAMPLE_S = 0.5
SAYS = "Ten quiet seconds, then twenty times as much for twenty, then quiet again."

Tell = Callable[[str], None]


@dataclass
class Live:
    """What a platform made of the load, and what the simulation makes of it."""

    real: Run = field(default_factory=Run)
    simulated: Run = field(default_factory=Run)
    start_s: float = 0.0


def crowd(dice: random.Random) -> list[Work]:
    """See `SAYS`."""

    def rate(at: float) -> float:
        return 8.0 if 10 <= at < 30 else 0.4

    return poisson(dice, 40 / 3600, rate, 8.0, lambda _: 0.5, 0.2)


def run(seed: int, tell: Tell) -> Live:
    """Bring a platform up, send the load, wait until it is back at zero."""
    work = sorted(crowd(random.Random(seed)), key=lambda one: one.at_s)
    with tempfile.TemporaryDirectory() as folder:
        platform = LivePlatform(Path(folder) / "home", ["sleeps"])
        try:
            tell("starting a platform")
            done = platform.jangada("up", "--detach", "--on-demand", "--algorithms", "sleeps")
            if done.returncode:
                raise SystemExit(f"the platform does not come up:\n{done.stdout}{done.stderr}")
            with platform.client() as client:
                until(lambda: "sleeps" in {one.name for one in client.algorithms()}, 120, 0.2)
                found = _measure(client, work, tell)
        finally:
            platform.jangada("down")
    scenario = Scenario("live", SAYS, 40 / 3600, 2.0, found.start_s, int(POLICY["max"]), crowd, POLICY["idle_s"])
    policy = ScalingPolicy(0, int(POLICY["max"]), target_s=POLICY["target_s"], idle_s=POLICY["idle_s"])
    found.simulated = Simulation(scenario, policy, work, every_s=SAMPLE_S).run()
    return found


def _measure(client: Client, work: list[Work], tell: Tell) -> Live:
    small = {"cpu_millicores": 100, "memory_mib": 64}
    client.deployments.create({"name": LANE, "algorithm": "sleeps", "scaling": POLICY, "resources": small})
    found, over = Live(), threading.Event()
    began = time.monotonic()
    watcher = threading.Thread(target=_watch, args=(client, began, found, over), name="watch")
    watcher.start()
    ids = []
    try:
        for one in work:
            time.sleep(max(0.0, one.at_s - (time.monotonic() - began)))
            ids.append(client.submit("sleeps", {"seconds": one.run_s}, deployment=LANE).id)
            tell(f"{len(ids)} of {len(work)} jobs sent")
        tell("waiting for the end")
        for job_id in ids:
            job = client.wait(job_id, timeout_s=120)
            if job.started_at is not None and job.created_at is not None:
                found.real.waits.append((job.started_at - job.created_at).total_seconds())
        until(lambda: found.real.scaled_to_zero, 60, 0.2)
    finally:
        over.set()
        watcher.join()
    return found


def _watch(client: Client, began: float, found: Live, over: threading.Event) -> None:
    """Sample the deployment's status until *over*."""
    while not over.wait(SAMPLE_S):
        status = client.deployments.get(LANE)
        (lane,) = status.lanes
        last = status.raw["status"]["lanes"][0]["last_start"]
        if last is not None:
            found.start_s = max(found.start_s, last["total_s"])
        found.real.samples.append(
            Sample(time.monotonic() - began, lane.ready, lane.starting, lane.queued, lane.backlog_s)
        )


def failures(found: Live) -> list[str]:
    """What the platform did not do."""
    lacks = []
    if found.real.highest < 2:
        lacks.append("live: it never scaled up")
    if not found.real.scaled_to_zero:
        lacks.append("live: it did not come back to zero")
    return lacks


def report(found: Live) -> dict[str, object]:
    """The figures, as JSON values."""
    rows = {"live": found.real, "simulated": found.simulated}
    return {
        "load": SAYS,
        "policy": POLICY,
        "slowest_start_s": round(found.start_s, 3),
        **{
            name: {
                "jobs": len(one.waits),
                "p50_s": round(one.p50_s, 3),
                "p95_s": round(one.p95_s, 3),
                "most_replicas": one.highest,
                "ended_at_zero": one.scaled_to_zero,
            }
            for name, one in rows.items()
        },
    }


def draw(found: Live, file: Path) -> None:
    """Replicas, queue and waits, of the platform and of the simulation."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    until_s = found.real.samples[-1].at_s
    figure, panels = plt.subplots(1, 3, figsize=(13, 3.4))
    for name, one, color in (("live", found.real, "#2f7f6f"), ("simulated", found.simulated, "#9a9a9a")):
        samples = [sample for sample in one.samples if sample.at_s <= until_s]
        at = [sample.at_s for sample in samples]
        drawn = {"color": color, "label": name, "lw": 1.3}
        panels[0].step(at, [sample.ready + sample.starting for sample in samples], where="post", **drawn)
        panels[1].plot(at, [sample.queued for sample in samples], **drawn)
        ordered = sorted(one.waits)
        panels[2].plot(ordered, [(number + 1) / len(ordered) for number in range(len(ordered))], **drawn)
    titles = ("replicas", "queued jobs", "share of jobs that waited no longer")
    for axis, title, unit in zip(panels, titles, ("s", "s", "wait, s"), strict=True):
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(unit, fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    panels[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(file, dpi=90)
    plt.close(figure)

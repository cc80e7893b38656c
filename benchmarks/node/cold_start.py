"""
From no replica to the first answer, and back: what each phase takes.

    python -m benchmarks.node.cold_start [--rounds 10] [--engine process] [--image IMAGE] [--out …]

An agent of its own on real servers; each round submits one job to an on-demand
deployment that has nothing running, waits for the answer, then for the replica to be
gone again. Writes ``node_cold_start.json`` and ``node_cold_start.png``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.progress import track

from jangada.deployments.deployment import Resources
from tests.integration.node.rig import TENANT, Rig
from tests.servers import MongoServer, RedisServer, until

ROOT = Path(__file__).resolve().parents[2]
IDLE_S = 3.0
PHASES = ("decide", "claim", "start", "process", "environment", "setup", "register")
PLATFORM = ("decide", "claim", "start")
"""The platform's own part."""
NEED = Resources(cpu_millicores=2000, memory_mib=512)
GOALS = {"zero_to_answer_s": {"process": 1.2, "docker": 1.8}, "platform_s": 0.15, "scale_down_s": 2.0}


def one_round(rig: Rig, deployment: Any, input: Any) -> dict[str, float]:
    """One cold start and one end; seconds."""
    began = time.monotonic()
    job_id = rig.submit(deployment, input)
    done = rig.services.jobs.wait(job_id, TENANT, 60)
    answered = time.monotonic()
    assert done.status.value == "succeeded", done
    until(lambda: rig.ready(deployment.name), 10, 0.005)
    phases = dict(rig.ready(deployment.name)[0].phases_s)
    until(lambda: not rig.live(deployment.name), 60, 0.005)
    gone = time.monotonic()
    return {
        "zero_to_answer_s": answered - began,
        "platform_s": sum(phases[name] for name in PLATFORM),
        "scale_down_s": gone - answered - IDLE_S,
        **{name: phases.get(name, 0.0) for name in PHASES},
    }


def draw(rows: list[dict[str, float]], engine: str, file: Path) -> None:
    """The phases of each round, one above the other, and the whole."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4.2))
    below = [0.0] * len(rows)
    for name in PHASES:
        values = [row[name] for row in rows]
        axes.bar(range(1, len(rows) + 1), values, bottom=below, label=name, width=0.7)
        below = [low + value for low, value in zip(below, values, strict=True)]
    axes.plot(range(1, len(rows) + 1), [row["zero_to_answer_s"] for row in rows], "kD", markersize=5, label="answer")
    axes.axhline(GOALS["zero_to_answer_s"][engine], color="#b5482f", linewidth=1, linestyle="--", label="goal")
    axes.set_xlabel("round")
    axes.set_ylabel("seconds since the submit")
    axes.legend(fontsize=8, ncols=3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--engine", choices=("process", "docker"), default="process")
    parser.add_argument("--algorithm", default="echo")
    parser.add_argument("--input", type=json.loads, default={})
    parser.add_argument("--image", help="docker: the algorithm's image")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        redis, mongo = RedisServer(Path(folder) / "redis"), MongoServer(Path(folder) / "mongo")
        redis.start()
        mongo.start()
        rig = Rig(Path(folder), redis, mongo)
        try:
            flags = ["--engine", options.engine]
            if options.engine == "docker":
                flags += ["--image", f"{options.algorithm}={options.image}", "--network", "host"]
            deployment = rig.deploy("cold", options.algorithm, resources=NEED, scaling={"idle_s": IDLE_S})
            rig.agent("bench", *flags)
            until(rig.store.nodes, 60)
            one_round(rig, deployment, options.input)  # the algorithm's environment is built, files are in the cache
            rounds = [
                one_round(rig, deployment, options.input)
                for _ in track(range(options.rounds), "cold starts", transient=True)
            ]
        except AssertionError:
            print(rig.logs())
            raise
        finally:
            rig.close()
    names = ("zero_to_answer_s", "platform_s", "scale_down_s", *PHASES)
    medians = {name: round(statistics.median(row[name] for row in rounds), 4) for name in names}
    found = {
        "benchmark": "node.cold_start",
        "engine": options.engine,
        "algorithm": options.algorithm,
        "rounds": options.rounds,
        "median": medians,
        "best": {name: round(min(row[name] for row in rounds), 4) for name in names},
        "worst": {name: round(max(row[name] for row in rounds), 4) for name in names},
        "goals": GOALS,
    }
    suffix = "" if options.engine == "process" else f"_{options.engine}"
    (options.out / f"node_cold_start{suffix}.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(rounds, options.engine, options.out / f"node_cold_start{suffix}.png")
    print(json.dumps(found))


if __name__ == "__main__":
    main()

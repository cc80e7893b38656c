"""
The platform's promised figures, measured and drawn: one command.

    python -m benchmarks.report [--rounds 3] [--out benchmarks/results]

Runs the benchmarks of the executor and of the whole platform one after another,
takes the median of the rounds, writes ``platform_figures.json`` and
``platform_figures.png``: one bar per promise, as a share of its goal, so that
rates and times read alike (longer is better, the line is the goal).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Promise:
    """One figure: which benchmark gives it, under which key, and the goal it is held against."""

    name: str
    module: str
    arguments: tuple[str, ...]
    key: str
    goal: float
    unit: str
    is_rate: bool = True


PROMISES = (
    Promise("drain, one executor", "benchmarks.executor.drain", ("--jobs", "6000"), "jobs_per_s", 1200, "jobs/s"),
    Promise(
        "drain, two executors",
        "benchmarks.executor.drain",
        ("--jobs", "8000", "--executors", "2"),
        "jobs_per_s",
        2500,
        "jobs/s",
    ),
    Promise("one job in flight, p50", "benchmarks.executor.latency", (), "p50_ms", 6, "ms", is_rate=False),
    Promise(
        "idle executor, CPU", "benchmarks.executor.idle", (), "cpu_percent_of_a_core", 1, "% of a core", is_rate=False
    ),
    Promise("idle executor, memory", "benchmarks.executor.idle", (), "together_mib", 60, "MiB", is_rate=False),
    Promise(
        "submit through gateway and function",
        "benchmarks.platform.submit",
        (),
        "submit_16_clients.calls_per_s",
        400,
        "submits/s",
    ),
    Promise(
        "submit, 16 clients, p99",
        "benchmarks.platform.submit",
        (),
        "submit_16_clients.p99_ms",
        100,
        "ms",
        is_rate=False,
    ),
    Promise("batch call", "benchmarks.platform.submit", (), "batch.jobs_per_s", 2000, "jobs/s"),
)


def run(module: str, arguments: tuple[str, ...], out: Path) -> dict[str, Any]:
    """One run of a benchmark: the JSON it prints or, for the platform's, the medians it writes."""
    extra: tuple[str, ...] = ()
    written = out / "platform_runs.json"
    if module == "benchmarks.platform.submit":
        extra = ("--runs", "1", "--out", str(written))
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments, *extra], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{module} failed:\n{done.stdout}{done.stderr}")
    if extra:
        medians = json.loads(written.read_text())["median"]
        written.unlink()
        return {f"{name}.{key}": value for name, row in medians.items() for key, value in row.items()}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def measure(rounds: int, out: Path) -> dict[str, list[float]]:
    """Every promise's figure in every round; benchmarks that give several figures run once a round."""
    found: dict[str, list[float]] = {promise.name: [] for promise in PROMISES}
    plans = list(dict.fromkeys((promise.module, promise.arguments) for promise in PROMISES))
    with Progress() as progress:
        task = progress.add_task("measuring", total=rounds * len(plans))
        for _ in range(rounds):
            for module, arguments in plans:
                progress.update(task, description=" ".join((module, *arguments)))
                result = run(module, arguments, out)
                for promise in PROMISES:
                    if (promise.module, promise.arguments) == (module, arguments):
                        found[promise.name].append(float(result[promise.key]))
                progress.advance(task)
    return found


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """The bars."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 0.5 * len(rows) + 1.4))
    names = [row["name"] for row in rows][::-1]
    shares = [row["share_of_goal"] for row in rows][::-1]
    bars = axes.barh(names, shares, color=["#2f7d4f" if share >= 1 else "#b5482f" for share in shares])
    labels = [f" {row['median']:g} {row['unit']} (goal {row['goal']:g})" for row in rows][::-1]
    axes.bar_label(bars, labels, fontsize=8)
    axes.axvline(1, color="#333", linewidth=1)
    axes.set_xlim(0, max([*shares, 1]) * 1.45)
    axes.set_xlabel("share of the goal: median over goal for rates, goal over median for times and sizes")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    """Measure, write, draw; exit code 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for promise, values in zip(PROMISES, measure(options.rounds, options.out).values(), strict=True):
        median = statistics.median(values)
        share = median / promise.goal if promise.is_rate else promise.goal / median
        rows.append(
            {
                "name": promise.name,
                "median": median,
                "goal": promise.goal,
                "unit": promise.unit,
                "share_of_goal": round(share, 2),
                "rounds": values,
            }
        )
        print(f"{promise.name:40} {median:10g} {promise.unit:12} goal {promise.goal:g}")
    (options.out / "platform_figures.json").write_text(json.dumps(rows, indent=1) + "\n")
    draw(rows, options.out / "platform_figures.png")
    sys.exit(any(row["share_of_goal"] < 1 for row in rows))


if __name__ == "__main__":
    main()

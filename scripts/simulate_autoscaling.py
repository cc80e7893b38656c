#!/usr/bin/env python3
"""
Hours of load in seconds, through the platform's own scaling policy and others; a table, a plot, JSON.

Fails (exit code 1) when Jangada's policy did not scale up and back to zero, or lost
to a fixed number of replicas or to a queue-length scaler (with the defaults that such
scalers come with) on cost at the same wait.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402
from rich.progress import Progress  # noqa: E402
from rich.table import Table  # noqa: E402

from benchmarks.autoscaling.comparison import CONTENDERS, Result, compare  # noqa: E402
from benchmarks.autoscaling.load import SCENARIOS, Scenario, trace_scenario  # noqa: E402
from benchmarks.autoscaling.plot import draw  # noqa: E402

OURS = ("backlog", "forecast")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--scenario", action="append", choices=[*SCENARIOS], help="one of the shipped loads; may be repeated (all)"
    )
    parser.add_argument("--trace", type=Path, action="append", help="a CSV file with columns start_s,jobs,run_s")
    parser.add_argument("--slo", type=_seconds, default=10.0, help="wait that 95%% of a trace's jobs keep, in s (10)")
    parser.add_argument("--start", type=_seconds, default=3.0, help="start time of a replica for a trace, in s (3)")
    parser.add_argument("--policy", action="append", choices=[*CONTENDERS], help="may be repeated (all)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same jobs (1)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder for autoscaling.json and .png"
    )
    parser.add_argument(
        "--live", action="store_true", help="instead: a short crowd on an embedded platform of its own (two minutes)"
    )
    asked = parser.parse_args()
    if asked.live:
        return _live(asked.out, asked.seed)
    try:
        scenarios = _scenarios(asked)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    contenders = [CONTENDERS[name] for name in asked.policy or CONTENDERS]
    console = Console(stderr=True)
    shown = Console(width=max(110, Console().width))
    with Progress(console=console) as progress:
        task = progress.add_task("simulating", total=len(scenarios) * len(contenders))
        results = compare(
            scenarios, contenders, asked.seed, lambda one: progress.update(task, advance=1, description=one.scenario)
        )
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "autoscaling.json").write_text(json.dumps(_report(scenarios, results, asked.seed), indent=1) + "\n")
    draw(results, asked.out / "autoscaling.png")
    shown.print(_table(scenarios, results))
    failures = _failures(results)
    for line in failures:
        console.print(f"[red]{line}")
    return 1 if failures else 0


def _live(out: Path, seed: int) -> int:
    """The same policy on a platform that runs; fails when it did not scale up and back to zero."""
    from benchmarks.node import live

    console = Console(stderr=True)
    with console.status("") as status:
        found = live.run(seed, status.update)
    out.mkdir(parents=True, exist_ok=True)
    (out / "autoscaling_live.json").write_text(json.dumps(live.report(found), indent=1) + "\n")
    live.draw(found, out / "autoscaling_live.png")
    Console().print_json(data=live.report(found))
    lacks = live.failures(found)
    for line in lacks:
        console.print(f"[red]{line}")
    return 1 if lacks else 0


def _scenarios(asked: argparse.Namespace) -> list[Scenario]:
    traces = [trace_scenario(file, slo_s=asked.slo, start_s=asked.start) for file in asked.trace or ()]
    names = asked.scenario or ([] if traces else [*SCENARIOS])
    return [SCENARIOS[name] for name in names] + traces


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"must be seconds above 0 and at most a day, not {text}")
    return value


def _report(scenarios: list[Scenario], results: list[Result], seed: int) -> dict[str, object]:
    bounds = {scenario.name: scenario.slo_s for scenario in scenarios}
    return {
        "seed": seed,
        "rows": [
            {
                "scenario": result.scenario,
                "policy": result.policy,
                "knob": round(result.knob, 3),
                "bound_p95_s": bounds[result.scenario],
                "p95_s": round(result.run.p95_s, 3),
                "p50_s": round(result.run.p50_s, 3),
                "replica_hours": round(result.run.cost_s / 3600, 3),
                "most_replicas": result.run.highest,
                "starts": result.run.started,
                "ended_at_zero": result.run.scaled_to_zero,
                "jobs": len(result.run.waits),
            }
            for result in results
        ],
    }


def _table(scenarios: list[Scenario], results: list[Result]) -> Table:
    table = Table(title="cheapest setting of each policy that keeps the wait", title_justify="left")
    for name in ("scenario", "policy", "p95 s", "bound s", "replica-hours", "of backlog", "most", "starts", "to zero"):
        table.add_column(name, justify="left" if name in {"scenario", "policy"} else "right")
    for scenario in scenarios:
        rows = [result for result in results if result.scenario == scenario.name]
        ours = next((result.run.cost_s for result in rows if result.policy == "backlog"), None)
        for result in rows:
            run = result.run
            table.add_row(
                scenario.name,
                result.policy,
                f"{run.p95_s:.1f}" if result.keeps else f"[red]{run.p95_s:.1f}",
                f"{scenario.slo_s:.0f}",
                f"{run.cost_s / 3600:.2f}",
                f"{run.cost_s / ours:.2f}x" if ours else "",
                str(run.highest),
                str(run.started),
                "yes" if run.scaled_to_zero else "no",
            )
        table.add_section()
    return table


def _failures(results: list[Result]) -> list[str]:
    found = []
    by_key = {(result.scenario, result.policy): result for result in results}
    for (scenario, policy), result in by_key.items():
        if policy not in OURS:
            continue
        if not result.keeps:
            found.append(f"{scenario}: {policy} keeps the wait with no setting (p95 {result.run.p95_s:.1f} s)")
        if result.run.highest < 2:
            found.append(f"{scenario}: {policy} never scaled up")
        if not result.run.scaled_to_zero:
            found.append(f"{scenario}: {policy} did not come back to zero")
        for peer in ("fixed", "reactive"):
            other = by_key.get((scenario, peer))
            if policy == "backlog" and other and other.keeps and other.run.cost_s < result.run.cost_s:
                share = result.run.cost_s / other.run.cost_s
                found.append(f"{scenario}: backlog costs {share:.3f} of {peer} at the same wait")
    return found


if __name__ == "__main__":
    sys.exit(main())

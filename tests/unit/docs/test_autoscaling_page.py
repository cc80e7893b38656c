"""The figures of docs/autoscaling.md are those that the benchmarks wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "autoscaling.md").read_text(encoding="utf-8")


def results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def table(first: str) -> list[list[str]]:
    """The rows of the table whose first row's first cells are *first*, that one left out."""
    start = TEXT.index(first)
    lines = TEXT[start : TEXT.index("\n\n", start)].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_cost_and_wait_of_each_policy_in_each_load():
    said = {row[0]: row[1:] for row in table("| load | bound |")}
    found: dict[str, list[str]] = {}
    for row in results("autoscaling")["rows"]:
        bound = f"{row['bound_p95_s']:g} s"
        cell = f"{row['replica_hours']:.2f} ({row['p95_s']:.1f} s)"
        found.setdefault(row["scenario"], [bound]).append(cell)
    assert said == found


def test_backlog_beats_fixed_and_reactive_at_equal_wait_in_every_load():
    rows = {(row["scenario"], row["policy"]): row for row in results("autoscaling")["rows"]}
    for scenario in {name for name, _ in rows}:
        ours = rows[scenario, "backlog"]
        assert ours["p95_s"] <= ours["bound_p95_s"]
        assert ours["ended_at_zero"]
        for policy in ("fixed", "reactive"):
            assert ours["replica_hours"] < rows[scenario, policy]["replica_hours"], (scenario, policy)


def test_the_phases_of_a_cold_start():
    phases = ("decide", "claim", "start", "process", "environment", "setup", "register")
    rows = table("| | decide |")
    for (_, *said), name in zip(rows, ("node_cold_start", "node_cold_start_docker"), strict=True):
        median = results(name)["median"]
        assert said[:7] == [f"{1000 * median[phase]:.0f} ms" for phase in phases]
        assert said[7:] == [f"{median['zero_to_answer_s']:.2f} s", f"{max(0.0, median['scale_down_s']):.2f} s"]


def test_what_a_flood_costs_others():
    figures = results("node_fairness")
    said = [row[1] for row in table("| | ratio |")]
    assert said == [f"{figures['shared_p95_over_idle']:g}", f"{figures['own_p95_over_idle']:g}"]
    assert figures["shared_p95_over_idle"] < figures["goals"]["shared_p95_over_idle"]


def test_the_table_of_fields_has_the_defaults_of_the_request():
    from functions.deployments.wishes import Scaling

    said = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", TEXT, re.MULTILINE))
    shown = {
        name: "false" if field.default is False else f"{field.default}" for name, field in Scaling.model_fields.items()
    }
    named = ("target_s", "buffer", "idle_s", "uses_forecast")
    assert {name: said[name] for name in named} == {name: shown[name].removesuffix(".0") for name in named}

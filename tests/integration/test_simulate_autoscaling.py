"""``scripts/simulate_autoscaling.py`` on loads of a few minutes: what it compares, draws, and calls a failure."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.autoscaling.comparison import CONTENDERS, Result, tune
from benchmarks.autoscaling.load import SCENARIOS, Scenario, trace_scenario
from benchmarks.autoscaling.simulator import Run, Sample

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "simulate_autoscaling.py"
CROWD = "start_s,jobs,run_s\n0,0,2\n60,120,2\n120,10,2\n300,0,2\n"
LONE = "start_s,jobs,run_s\n0,1,2\n60,0,2\n"


def simulate(folder: Path, trace: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The command over *trace*, which it finds as ``minutes.csv``."""
    file = folder / "minutes.csv"
    file.write_text(trace)
    command = [sys.executable, str(SCRIPT), "--trace", str(file), "--out", str(folder / "out"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("simulate_autoscaling", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_crowd_is_compared_by_cost_and_wait_and_drawn(tmp_path: Path) -> None:
    done = simulate(tmp_path, CROWD)
    assert done.returncode == 0, done.stderr
    rows = {row["policy"]: row for row in json.loads((tmp_path / "out" / "autoscaling.json").read_text())["rows"]}
    assert [*rows] == [*CONTENDERS]
    ours = rows["backlog"]
    assert ours["p95_s"] <= ours["bound_p95_s"] == 10
    assert ours["ended_at_zero"]
    assert ours["most_replicas"] >= 2
    assert ours["replica_hours"] < min(rows["fixed"]["replica_hours"], rows["reactive"]["replica_hours"])
    assert (tmp_path / "out" / "autoscaling.png").read_bytes().startswith(b"\x89PNG")
    assert all(name in done.stdout for name in CONTENDERS)


def test_a_policy_that_never_scaled_up_is_a_failure_with_the_scenario_named(tmp_path: Path) -> None:
    done = simulate(tmp_path, LONE, "--policy", "backlog")
    assert done.returncode == 1
    assert "minutes: backlog never scaled up" in done.stderr


def test_a_trace_that_cannot_be_read_is_named_with_line_and_column(tmp_path: Path) -> None:
    done = simulate(tmp_path, "start_s,jobs,run_s\n0,many,2\n")
    assert done.returncode == 2
    assert "minutes.csv, line 2: jobs must be a number at least 0, not 'many'" in done.stderr


def test_who_costs_more_stays_up_or_lets_jobs_wait_has_failed(script: ModuleType) -> None:
    def ran(policy: str, cost_s: float, *, ends: bool = True, keeps: bool = True) -> Result:
        samples = [Sample(0, 2, 0, 0, 0), Sample(1, 0 if ends else 1, 0, 0, 0)]
        return Result("day", policy, 1.0, keeps, Run([12.0], cost_s, 2, samples))

    peers = [ran("fixed", 100.0), ran("reactive", 100.0)]
    assert script._failures([*peers, ran("backlog", 99.0)]) == []
    assert script._failures([*peers, ran("backlog", 200.0)]) == [
        "day: backlog costs 2.000 of fixed at the same wait",
        "day: backlog costs 2.000 of reactive at the same wait",
    ]
    assert script._failures([ran("forecast", 1.0, ends=False)]) == ["day: forecast did not come back to zero"]
    assert script._failures([ran("backlog", 1.0, keeps=False)]) == [
        "day: backlog keeps the wait with no setting (p95 12.0 s)"
    ]


@pytest.mark.parametrize("name", ["burst", "flash-crowd"])
def test_the_first_minutes_of_a_shipped_load_cost_backlog_least(name: str) -> None:
    whole = SCENARIOS[name]
    begins_s, minutes = (0, 25) if name == "burst" else (3000, 25)
    work = [one for one in whole.work(seed=1) if begins_s <= one.at_s < begins_s + 60 * minutes]
    scenario = Scenario(name, "", (begins_s / 60 + minutes) / 60, whole.slo_s, whole.start_s, whole.maximum, whole.make)
    found = {one: tune(scenario, CONTENDERS[one], work) for one in ("fixed", "reactive", "backlog")}
    ours = found.pop("backlog")
    assert ours.keeps
    assert ours.run.scaled_to_zero
    assert ours.run.highest >= 2
    assert all(ours.run.cost_s < other.run.cost_s for other in found.values() if other.keeps)


def test_a_trace_is_as_long_as_its_rows(tmp_path: Path) -> None:
    (tmp_path / "minutes.csv").write_text(CROWD)
    scenario = trace_scenario(tmp_path / "minutes.csv")
    assert len(scenario.work(seed=1)) == 130
    assert scenario.hours * 3600 == 480

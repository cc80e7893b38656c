"""
The whole platform under load: gateway, function, MongoDB-wire store, Redis, executor.

    python -m benchmarks.platform.submit [--runs 3] [--out benchmarks/results/platform.json]

Starts the embedded platform on the toy algorithm `noop` in a folder of its own and measures
submits through gateway and function (16 clients), the batch call, and one job in flight with
``Prefer: wait`` from the submit call to the stored outcome. Rates are medians over the runs;
CPU seconds per 1,000 jobs are given by part, and `elsewhere` is how many cores other
processes of the machine used meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.processes import Reading, busy_cores_elsewhere, machine_cpu_s, tree

ROOT = Path(__file__).resolve().parents[2]
TOYS = ROOT / "tests" / "algorithms" / "toy"


def jangada(home: Path, *arguments: str, check: bool = True) -> str:
    """Run the command line on the platform in *home*."""
    environ = os.environ | {"JANGADA_HOME": str(home), "JANGADA_PORT": "0", "JANGADA_ALGORITHMS_DIR": str(TOYS)}
    done = subprocess.run(
        [sys.executable, "-m", "jangada.cli.main", *arguments], env=environ, capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        raise SystemExit(f"jangada {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def parts(home: Path) -> dict[str, list[int]]:
    """Pids by part of the platform in *home*."""
    rows = json.loads(jangada(home, "status", "--json"))["parts"]
    owned: dict[str, list[int]] = {}
    functions = {row["pid"] for row in rows if row["part"].startswith("function") and row["pid"]}
    for row in rows:
        if not row["pid"] or row["part"] == "supervisor":
            continue
        pids = tree(row["pid"]) if row["pid"] not in functions else [row["pid"]]
        owned[row["part"]] = [pid for pid in pids if pid == row["pid"] or pid not in functions]
    return owned


def measure(home: Path, kind: str, *options: str) -> dict[str, Any]:
    """One run of the load generator, with CPU by part."""
    connection = json.loads((home / "connection.json").read_text())
    owned = parts(home)
    before, machine = Reading.of(owned), machine_cpu_s()
    started = time.perf_counter()
    load = subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.platform.load", kind),
            *("--url", connection["url"], "--api-key", connection["api_key"]),
            *options,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    output = load.communicate()[0]
    wall = time.perf_counter() - started
    result: dict[str, Any] = json.loads(output)
    after = Reading.of(owned)
    jobs = round(result["jobs_per_s"] * result["wall_s"])
    result["cpu_s_per_1k"] = after.per_thousand(before, jobs)
    ours = sum(after.by_part.values()) - sum(before.by_part.values())
    result["elsewhere_and_client"] = round(busy_cores_elsewhere(machine, machine_cpu_s(), ours, wall), 2)
    return result


def settle(home: Path, algorithm: str) -> float:
    """Wait until the queue is empty; seconds waited."""
    from jangada.client import Client

    connection = json.loads((home / "connection.json").read_text())
    client = Client(connection["url"], connection["api_key"])
    started = time.perf_counter()
    while next(iter(client.jobs(status="queued", algorithm=algorithm)), None) is not None:
        time.sleep(0.1)
    return time.perf_counter() - started


def main() -> None:
    """Measure, print, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "platform.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jangada-bench-") as folder:
        home = Path(folder)
        jangada(home, "up", "--detach", "--algorithms", "noop")
        try:
            measure(home, "submit", "--count", "320")
            settle(home, "noop")
            plans = {
                "one_in_flight": ("wait", "--clients", "1", "--count", "400"),
                "submit_16_clients": ("submit", "--clients", "16", "--count", "4000"),
                "batch": ("batch", "--clients", "1", "--count", "5", "--size", "2000"),
            }
            runs: dict[str, list[dict[str, Any]]] = {name: [] for name in plans}
            for _ in range(arguments.runs):
                for name, (kind, *options) in plans.items():
                    runs[name].append(measure(home, kind, *options))
                    settle(home, "noop")
                    print(name, json.dumps(runs[name][-1]), flush=True)
        finally:
            jangada(home, "down", check=False)
    summary = {
        name: {
            key: statistics.median(result[key] for result in results)
            for key in ("calls_per_s", "jobs_per_s", "p50_ms", "p99_ms")
        }
        for name, results in runs.items()
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"median": summary, "runs": runs}, indent=1) + "\n")
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()

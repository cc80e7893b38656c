"""
The promises about faults, tried many times and counted.

    python -m tests.chaos.trials outage --trials 100 [--lanes 10] [--out benchmarks/results/faults.json]

Each kind prints one line per trial and writes its counts under its name into the
file, where the other kinds' stay.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from jangada.errors import StoreUnavailableError
from jangada.jobs.job import Job
from tests.chaos.idle import measure
from tests.chaos.lanes import Lane, Ledger, trial_stage
from tests.redis_shapes import wait_for_other_master
from tests.servers import ROOT, until

OUT = ROOT / "benchmarks" / "results" / "faults.json"
OUTAGE_S = 2.0
Row = dict[str, Any]


def outage(count: int, lanes: int, folder: Path) -> list[Row]:
    """Redis is killed, stays away for 2 s and comes back, while two executors work off a queue."""

    def one(number: int) -> Row:
        place = folder / str(number)
        place.mkdir()
        with trial_stage(place) as (stage, redis), Ledger(place / "ledger") as ledger, ExitStack() as stack:
            lane = _lane(stack, stage, "outage")
            for _ in range(2):
                lane.start()
            jobs = [lane.submit({"ledger": str(ledger.path), "seconds": 0.25, "number": n}) for n in range(40)]
            until(lambda: len(ledger.lines) > 4, 60)
            server = redis.servers["node0"]
            server.kill()
            time.sleep(OUTAGE_S)
            server.start()
            back = time.monotonic()
            resumed = until(lambda: ledger.first_after(back), 60)
            assert isinstance(resumed, float)
            return {"resume_s": round(resumed - back, 3), **_count(lane, jobs, ledger)}

    return _spread(one, count, lanes)


def failover(count: int, lanes: int, folder: Path, shape: str) -> list[Row]:
    """The queue's master is killed under load, and a replica takes over; the old one comes back as a replica."""

    def one(number: int) -> Row:
        place = folder / str(number)
        place.mkdir()
        with trial_stage(place, shape) as (stage, redis), Ledger(place / "ledger") as ledger, ExitStack() as stack:
            lane = _lane(stack, stage, "failover")
            for _ in range(2):
                lane.start()
            jobs: list[Job] = []
            over = threading.Event()
            feeder = threading.Thread(target=_feed, args=(lane, ledger, jobs, over))
            feeder.start()
            try:
                until(lambda: len(ledger.lines) > 10, 60)
                name = _master_of(redis, stage, lane)
                server = redis.servers[name]
                killed = time.monotonic()
                server.kill()
                replaced = wait_for_other_master(redis, name)
                resumed = until(lambda: ledger.first_after(replaced), 60)
                assert isinstance(resumed, float)
                server.start()
                time.sleep(2.0)
            finally:
                over.set()
                feeder.join()
            took = {"failover_s": round(replaced - killed, 3), "resume_s": round(resumed - replaced, 3)}
            return {**took, **_count(lane, jobs, ledger)}

    return _spread(one, count, lanes)


def redelivery(count: int, lanes: int, folder: Path) -> list[Row]:
    """The executor that runs a job is killed with -9; nothing else happens in the queue; settings as they come."""
    return _handed_on(count, lanes, folder, signal.SIGKILL)


def hand_back(count: int, lanes: int, folder: Path) -> list[Row]:
    """The executor that runs a job is told to stop (SIGTERM), as a deploy does."""
    return _handed_on(count, lanes, folder, signal.SIGTERM)


def _handed_on(count: int, lanes: int, folder: Path, number: signal.Signals) -> list[Row]:
    """One job per lane, handed on from executor to executor; an idle one always stands by."""
    with trial_stage(folder) as (stage, _), Ledger(folder / "ledger") as ledger, ExitStack() as stack:

        def lane_of(index: int) -> list[Row]:
            lane = _lane(stack, stage, f"lane{index}")
            value = {"ledger": str(ledger.path), "seconds": 3600.0, "number": index}
            # A hand-back must not cost an attempt: there is one only.
            job = lane.submit(value, max_attempts=1 if number is signal.SIGTERM else 25)
            lane.start()
            rows: list[Row] = []
            for turn in range(count // lanes):
                until(lambda turn=turn: len(ledger.of(job.id)) > turn, 60)  # type: ignore[misc]
                holder = lane.holder(job.id)
                lane.start()
                time.sleep(0.5)
                hit = time.monotonic()
                os.kill(holder.pid, number)
                again = until(lambda turn=turn: ledger.of(job.id)[turn + 1 :], 60)  # type: ignore[misc]
                assert isinstance(again, list)
                rows.append({"again_s": round(again[0][0] - hit, 3), "attempt": again[0][1]})
                _tell(f"{job.id} {rows[-1]}")
                holder.wait(30)
            rows[-1]["runs"] = len(ledger.of(job.id))
            rows[-1]["unexpected"] = len(ledger.of(job.id)) - 1 - len(rows)
            return rows

        with ThreadPoolExecutor(lanes) as pool:
            return [row for rows in pool.map(lane_of, range(lanes)) for row in rows]


def held_gil(count: int, lanes: int, folder: Path) -> list[Row]:
    """A job sits for three leases (45 s) in native code that holds the interpreter's lock; an idle executor watches."""
    with trial_stage(folder) as (stage, _), ExitStack() as stack:
        lane = _lane(stack, stage, "gil", "holds_the_gil")
        for _ in range(2):
            lane.start("--concurrency", str(lanes))
        jobs = [lane.submit({"seconds": 45.0}, max_attempts=5) for _ in range(count)]
        until(lambda: all(lane.job(job.id).is_final for job in jobs), 120 + 60 * (count // lanes), every_s=1.0)
        found = [lane.job(job.id) for job in jobs]
        return [
            {"status": job.status.value, "runs": job.attempt, "once": job.status == "succeeded" and job.attempt == 1}
            for job in found
        ]


def poison(count: int, lanes: int, folder: Path) -> list[Row]:
    """A job that kills its process each time, between jobs that do not, on one slot."""
    with trial_stage(folder) as (stage, _), ExitStack() as stack:

        def lane_of(index: int) -> list[Row]:
            lane = _lane(stack, stage, f"poison{index}", "killed_in_run")
            lane.start()
            rows = []
            for _ in range(count // lanes):
                bad = lane.submit({"times": 99}, max_attempts=3)
                waits: list[float] = []
                while not lane.job(bad.id).is_final:
                    began = time.monotonic()
                    good = lane.submit({"times": 0})
                    until(lambda good=good: lane.job(good.id).is_final, 60)  # type: ignore[misc]
                    waits.append(time.monotonic() - began)
                    time.sleep(0.05)
                job = lane.job(bad.id)
                dead = [job_id for job_id, *_ in stage.connections.queue.dead(lane.queue, limit=1000)]
                rows.append(
                    {
                        "runs": len(job.attempts),
                        "status": job.status.value,
                        "dead_letter": bad.id in dead,
                        "others": len(waits),
                        "others_delayed_s": round(max(waits), 3),
                    }
                )
                _tell(str(rows[-1]))
            return rows

        with ThreadPoolExecutor(lanes) as pool:
            return [row for rows in pool.map(lane_of, range(lanes)) for row in rows]


def idle(count: int, lanes: int, folder: Path) -> list[Row]:
    """A thousand simulated executors without work, for half a minute each time."""
    rows = []
    for number in range(count):
        rows.append(measure(1000, 30.0, folder / str(number)))
        _tell(str(rows[-1]))
    return rows


def _feed(lane: Lane, ledger: Ledger, jobs: list[Job], over: threading.Event) -> None:
    """Submit without a pause; a refusal is no acceptance."""
    number = 0
    while not over.is_set():
        try:
            jobs.append(lane.submit({"ledger": str(ledger.path), "seconds": 0.05, "number": number}))
        except StoreUnavailableError:
            time.sleep(0.05)
        number += 1
        time.sleep(0.01)


def _master_of(redis: Any, stage: Any, lane: Lane) -> str:
    masters = redis.masters()
    if len(masters) == 1:
        return str(masters[0])
    client = stage.connections.redis.commands
    port = client.get_node_from_key(f"jangada:{{{lane.queue}}}:lease").port
    return next(name for name, server in redis.servers.items() if server.port == port)


def _count(lane: Lane, jobs: Sequence[Job], ledger: Ledger) -> Row:
    """Wait for all; what was lost, what finished twice, what ran more than once."""
    until(lambda: all(lane.job(job.id).is_final for job in jobs), 150, every_s=0.2)
    found = [lane.job(job.id) for job in jobs]
    good = [job for job in found if job.status == "succeeded" and job.output["attempt"] == job.attempt]
    runs = ledger.runs()
    ids = {job.id for job in jobs}
    return {
        "jobs": len(jobs),
        "lost": len(jobs) - len(good),
        "doubled": sum(times - 1 for (job_id, _), times in runs.items() if job_id in ids),
        "run_again": sum(1 for (job_id, attempt) in runs if attempt > 1 and job_id in ids),
    }


def _lane(stack: ExitStack, stage: Any, queue: str, *toy: str) -> Lane:
    lane = Lane(stage, queue, *toy)
    stack.callback(lane.end)
    return lane


def _spread(one: Callable[[int], Row], count: int, lanes: int) -> list[Row]:
    def told(number: int) -> Row:
        row = one(number)
        _tell(f"{number}: {row}")
        return row

    with ThreadPoolExecutor(lanes) as pool:
        return list(pool.map(told, range(count)))


def _tell(line: str) -> None:
    print(line, flush=True)


KINDS: dict[str, tuple[Callable[[int, int, Path], list[Row]], Callable[[Row], bool]]] = {
    "outage": (outage, lambda row: row["lost"] == row["doubled"] == 0 and row["resume_s"] <= 1.0),
    "failover-sentinel": (
        lambda count, lanes, folder: failover(count, lanes, folder, "sentinel"),
        lambda row: row["lost"] == row["doubled"] == 0 and row["resume_s"] <= 2.0,
    ),
    "failover-cluster": (
        lambda count, lanes, folder: failover(count, lanes, folder, "cluster"),
        lambda row: row["lost"] == row["doubled"] == 0 and row["resume_s"] <= 2.0,
    ),
    "redelivery": (redelivery, lambda row: row["again_s"] <= 16.0 and row.get("unexpected", 0) == 0),
    "hand-back": (hand_back, lambda row: row["again_s"] <= 1.0 and row.get("unexpected", 0) == 0),
    "idle": (idle, lambda row: row["redis_share_of_a_core"] <= 0.02),
    "held-gil": (held_gil, lambda row: bool(row["once"])),
    "poison": (
        poison,
        lambda row: row["runs"] == 3 and row["dead_letter"] and row["others_delayed_s"] < 2.0,
    ),
}


def run(kind: str, count: int, lanes: int) -> dict[str, Any]:
    """The counts of *count* trials, *lanes* at a time."""
    play, kept = KINDS[kind]
    with tempfile.TemporaryDirectory(prefix="jangada-trial-") as folder:
        rows = play(count, lanes, Path(folder))
    extra: dict[str, Any] = {}
    if kind == "poison":
        dead = sum(row["dead_letter"] for row in rows)
        extra = {"runs_each": sorted({row["runs"] for row in rows}), "dead_letters": dead}
    elif kind == "held-gil":
        extra = {"runs_each": sorted({row["runs"] for row in rows})}
    numbers = [name for name, value in rows[0].items() if isinstance(value, float)]
    sums = [name for name in ("jobs", "lost", "doubled", "run_again", "unexpected") if any(name in row for row in rows)]
    return {
        "trials": len(rows),
        "kept": sum(kept(row) for row in rows),
        **extra,
        **{name: sum(row.get(name, 0) for row in rows) for name in sums},
        **{name: _spread_of([row[name] for row in rows]) for name in numbers},
        "broken": [row for row in rows if not kept(row)],
    }


def _spread_of(values: Sequence[float]) -> dict[str, float]:
    return {"min": min(values), "median": round(statistics.median(values), 3), "max": max(values)}


def _revision() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--lanes", type=int, default=2, help="trials at a time")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    began = time.monotonic()
    counts = run(options.kind, options.trials, options.lanes)
    counts |= {"lanes": options.lanes, "took_s": round(time.monotonic() - began), "revision": _revision()}
    known = json.loads(options.out.read_text()) if options.out.exists() else {}
    options.out.write_text(json.dumps({**known, options.kind: counts}, indent=1, sort_keys=True) + "\n")
    print(json.dumps({options.kind: counts}))
    return 0 if counts["kept"] == counts["trials"] else 1


if __name__ == "__main__":
    sys.exit(main())

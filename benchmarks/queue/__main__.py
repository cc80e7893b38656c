"""
Jangada and nine other job systems in one run: JSON and plots.

    python -m benchmarks.queue [--peers bullmq,saq] [--rounds 3] [--rows drain,latency] [--out benchmarks/results]

The systems take turns inside every round. Each is installed on demand (pip, npm)
into an environment of its own in the cache folder; one that cannot be installed is
left out and named. The figures are medians of the rounds in which the rest of the
machine used little (see `report.py`); compare CPU-seconds first, then ratios.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.progress import Progress

from benchmarks.queue import measure, priority
from benchmarks.queue.measure import Figures, Task
from benchmarks.queue.report import Record, write
from benchmarks.queue.systems import OURS, System, install, systems

RESULTS = Path(__file__).resolve().parents[1] / "results"
ROWS = ("enqueue", "bulk", "drain", "blob", "latency", "idle", "memory")
PEER_JOBS, OUR_JOBS = 10_000, 60_000
FAST = (OURS, "bullmq")
"""A drain lasts a fixed time: whoever is faster starts with more."""
DRAIN_S = 2.5
SLOW_ENQUEUES, LATENCIES, BULK_JOBS = 1000, 300, 10_000

Step = tuple[str, str, Callable[[], Figures | None]]


def steps(system: System, rows: set[str], number: int) -> Iterator[Step]:
    """What is measured of *system* in round *number*: (kind of job, row, how)."""
    noop = Task("noop", OUR_JOBS if system.name in FAST else PEER_JOBS)
    blob = Task("blob", noop.jobs)
    # What ours looks like is being worked on; and jobs that waited for a minute are moved to a higher band.
    anew = system.name == OURS
    if "enqueue" in rows:
        yield "noop", "enqueue", lambda: measure.enqueue(system, "noop", SLOW_ENQUEUES, bulk=False)
    if "bulk" in rows:
        yield "noop", "bulk", lambda: measure.enqueue(system, "noop", BULK_JOBS, bulk=True)
    if rows & {"drain", "memory"}:
        rdb = measure.preload(system, noop, anew)
        if "memory" in rows and number == 0:
            yield "noop", "memory", lambda: measure.bytes_per_job(noop, rdb)
        if "drain" in rows:
            for crew in system.crews:
                yield "noop", f"drain-{crew}", lambda crew=crew: measure.drain(system, crew, noop, rdb, DRAIN_S)
    if "blob" in rows:
        rdb_blob = measure.preload(system, blob, anew)
        yield "blob", "drain-best", lambda: measure.drain(system, "best", blob, rdb_blob, DRAIN_S)
    if "latency" in rows:
        yield "noop", "latency", lambda: measure.latency(system, LATENCIES)
    if "idle" in rows and number < 2:
        yield "noop", "idle", lambda: measure.idle(system, 4.0)


def chosen(names: str | None) -> list[System]:
    """The systems to compare, ours first; those that cannot be installed are left out."""
    known = systems()
    wanted = [name for name in known if names is None or name in names.split(",") or name == OURS]
    unknown = set((names or OURS).split(",")) - set(known)
    if unknown:
        raise SystemExit(f"--peers: no system is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    able = []
    for name in wanted:
        print(f"installing what {name} needs, unless it is there", file=sys.stderr)
        why = install(known[name])
        if why is None:
            able.append(known[name])
        else:
            print(f"{name} is left out, it cannot be installed: {why}", file=sys.stderr)
    return able


def run(able: list[System], rounds: int, rows: set[str], records: list[Record]) -> None:
    """All rounds, into *records*; a system that fails is named and left out of its round."""
    with Progress() as progress:
        bar = progress.add_task("measuring", total=rounds * len(able))
        for number in range(rounds):
            for system in able if number % 2 == 0 else able[::-1]:
                progress.update(bar, description=f"round {number + 1}: {system.name}")
                try:
                    for kind, row, how in steps(system, rows, number):
                        figures = how()
                        if figures is not None:
                            records.append(Record(system.name, kind, row, number, figures))
                except Exception as error:  # noqa: BLE001 - one system that fails must not end the others' run
                    progress.console.print(f"{system.name}: {type(error).__name__}: {error}", markup=False)
                progress.advance(bar)


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", metavar="NAMES", help="separated by commas (default: all that can be installed)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS)} (default: all)")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--nice", type=int, default=0, help="how far to go before what else runs (root; -20 to 0)")
    options = parser.parse_args()
    priority.ask(options.nice)
    rows = set(options.rows.split(","))
    if not rows <= set(ROWS):
        parser.error(f"--rows: expected some of {', '.join(ROWS)}")
    records: list[Record] = []
    try:
        run(chosen(options.peers), options.rounds, rows, records)
    except KeyboardInterrupt:
        print("interrupted: what there is so far", file=sys.stderr)
    options.out.mkdir(parents=True, exist_ok=True)
    print(write(records, options.out))


if __name__ == "__main__":
    main()

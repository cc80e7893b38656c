"""
From records of single runs to medians, a table and plots.

    python -m benchmarks.queue.report [benchmarks/results/queue.json] [--doc docs/queue.md]

prints the Markdown tables (against the peers, against the goals) of runs that were
measured before and draws their plots anew beside them; ``--doc`` puts both into a page
between their marks.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.queue.goals import goals
from benchmarks.queue.measure import CURVE, Figures
from benchmarks.queue.redis_server import server_version
from benchmarks.queue.systems import OURS, systems, version

QUIET = 0.35
"""Runs during which other processes used more cores than this count only when too few others are left."""
FEWEST = 3
ALTERNATIVES = {OURS: "one claim for each job", "rq": "SimpleWorker", "celery": "solo"}
"""What a system's ``alt`` crew does differently at concurrency 1."""
MARKS = ("table", "goals")
"""Between the lines ``<!-- table: begin -->`` and ``<!-- table: end -->`` of a page its table is put."""
OUR_COLOUR, PEER_COLOUR = "#2f7d4f", "#8a97a8"


@dataclass(frozen=True, slots=True)
class Record:
    """One run of one row."""

    system: str
    kind: str
    row: str
    round: int
    figures: Figures


Medians = dict[str, dict[str, Figures]]
"""system → ``kind/row`` → figures"""


def medians(records: Sequence[Record]) -> Medians:
    """The median of each figure over the quiet runs, or over the three quietest."""
    runs: dict[tuple[str, str], list[Figures]] = {}
    for record in records:
        runs.setdefault((record.system, f"{record.kind}/{record.row}"), []).append(record.figures)
    found: Medians = {}
    for (system, row), all_of_it in runs.items():
        by_noise = sorted(all_of_it, key=lambda figures: figures.get("foreign", 0.0))
        quiet = [figures for figures in by_noise if figures.get("foreign", 0.0) <= QUIET]
        counted = quiet if len(quiet) >= FEWEST else by_noise[:FEWEST]
        median = {name: statistics.median(figures[name] for figures in counted) for name in counted[0]}
        found.setdefault(system, {})[row] = {**median, "runs": len(all_of_it), "quiet": len(quiet)}
    return found


def _cell(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _cpu(figures: Figures) -> float | None:
    return figures["worker_cpu_1k"] + figures["redis_cpu_1k"] if figures else None


def _cpu_cell(figures: Figures) -> str:
    value = _cpu(figures)
    return _cell(value, 2 if (value or 0.0) >= 1 else 3)


def table(found: Medians) -> str:
    """Markdown: a line for each system."""
    lines = [
        "| system | enqueue /s | bulk /s | drain c=1 /s | best of 2 cores /s | 1 KiB /s "
        "| CPU-s per 1k: c=1 | best | 1 KiB | p50 ms | p99 ms | idle MiB (RSS) | idle commands/s | bytes per job |",
        "|---|" + "---:|" * 13,
    ]
    for system, rows in found.items():
        c1, best, blob = (rows.get(name, {}) for name in ("noop/drain-c1", "noop/drain-best", "blob/drain-best"))
        latency, idle = rows.get("noop/latency", {}), rows.get("noop/idle", {})
        cells = [
            _cell(rows.get("noop/enqueue", {}).get("rate")),
            _cell(rows.get("noop/bulk", {}).get("rate")),
            *(_cell(each.get("rate")) for each in (c1, best, blob)),
            *(_cpu_cell(each) for each in (c1, best, blob)),
            _cell(latency.get("p50_ms"), 2),
            _cell(latency.get("p99_ms"), 2),
            _cell(idle.get("rss_mib")),
            _cell(idle.get("commands_s"), 1),
            _cell(rows.get("noop/memory", {}).get("bytes")),
        ]
        lines.append(f"| {system} | " + " | ".join(cells) + " |")
        alternative = rows.get("noop/drain-alt")
        if alternative is not None:
            shown = ["", "", _cell(alternative["rate"]), "", "", _cpu_cell(alternative), *[""] * 7]
            lines.append(f"| {system}, {ALTERNATIVES[system]} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def write(records: Sequence[Record], out: Path) -> str:
    """Write ``queue.json``, ``queue.png`` and ``queue_latency.png`` into *out*; the table."""
    found = medians(records)
    said: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "redis-server": server_version(),
        },
        "versions": {name: version(system) for name, system in systems().items() if name in found},
        "median": found,
        "runs": [asdict(record) for record in records],
    }
    (out / "queue.json").write_text(json.dumps(said, indent=1) + "\n")
    draw(found, out)
    return table(found)


def draw(found: Medians, out: Path) -> None:
    """Write ``queue.png`` and ``queue_latency.png`` into *out*."""
    _bars(found, out / "queue.png")
    _curves(found, out / "queue_latency.png")


def put_into(page: Path, mark: str, shown: str) -> None:
    """Replace what stands between the lines of *mark* in *page*. Raises `ValueError` when it has none."""
    before, begin, rest = page.read_text().partition(f"<!-- {mark}: begin -->")
    _, end, after = rest.partition(f"<!-- {mark}: end -->")
    if not begin or not end:
        raise ValueError(f"{page} has no lines <!-- {mark}: begin --> and <!-- {mark}: end -->")
    page.write_text(f"{before}{begin}\n{shown}\n{end}{after}")


def main() -> None:
    """Show again what was measured before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[1] / "results" / "queue.json"
    parser.add_argument("file", type=Path, nargs="?", default=default)
    parser.add_argument("--doc", type=Path, help="a page to put the table into")
    options = parser.parse_args()
    said = json.loads(options.file.read_text())
    found = medians([Record(**run) for run in said["runs"]])
    draw(found, options.file.parent)
    for mark, shown in zip(MARKS, (table(found), goals(found, options.file.parent)), strict=True):
        print(shown)
        if options.doc is not None:
            put_into(options.doc, mark, shown)


def _bars(found: Medians, file: Path) -> None:
    from matplotlib import pyplot as plt

    panels = (
        ("jobs enqueued per second, one by one", "noop/enqueue", lambda row: row["rate"]),
        ("jobs enqueued per second, in bulk", "noop/bulk", lambda row: row["rate"]),
        ("jobs finished per second, concurrency 1", "noop/drain-c1", lambda row: row["rate"]),
        ("jobs finished per second, best on two cores", "noop/drain-best", lambda row: row["rate"]),
        ("the same with 1 KiB in and out", "blob/drain-best", lambda row: row["rate"]),
        ("CPU-seconds per 1,000 jobs at its best (less is better)", "noop/drain-best", _cpu),
    )
    figure, grid = plt.subplots(3, 2, figsize=(11, 10))
    for axes, (title, row, value) in zip(grid.flat, panels, strict=True):
        shown = {system: value(rows[row]) for system, rows in found.items() if row in rows}
        names = sorted(shown, key=lambda system: shown[system], reverse=title.startswith("CPU"))
        colours = [OUR_COLOUR if name == OURS else PEER_COLOUR for name in names]
        bars = axes.barh(names, [shown[name] for name in names], color=colours)
        axes.bar_label(bars, [f" {shown[name]:,.2f}" if value is _cpu else f" {shown[name]:,.0f}" for name in names])
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlim(0, max([*shown.values(), 0.001]) * 1.2)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=80)
    plt.close(figure)


def _curves(found: Medians, file: Path) -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5))
    for system, rows in found.items():
        figures = rows.get("noop/latency")
        if figures is None:
            continue
        ours = system == OURS
        values = [figures[f"p{share:g}"] for share in CURVE]
        axes.plot(range(len(CURVE)), values, label=system, linewidth=3 if ours else 1.3, marker="o" if ours else None)
    axes.set_yscale("log")
    axes.set_xticks(range(len(CURVE)), [f"{share:g}" for share in CURVE])
    axes.set_xlabel("percentile")
    axes.set_ylabel("ms from the submit to the stored result, one job in flight")
    axes.legend(ncols=2)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    main()

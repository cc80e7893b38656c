"""The load that a simulation sends: when jobs come, and how long each runs. The same seed gives the same load."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

TRACES = Path(__file__).parent / "traces"


@dataclass(frozen=True)
class Work:
    """One job: its arrival and its run time, in seconds."""

    at_s: float
    run_s: float


@dataclass(frozen=True)
class Scenario:
    """
    A load with the machine it meets.

    *slo_s* is the wait that 95 of 100 jobs must stay under; *start_s* how long a
    replica takes from the decision until it claims.
    """

    name: str
    says: str
    hours: float
    slo_s: float
    start_s: float
    maximum: int
    make: Callable[[random.Random], list[Work]]
    idle_s: float = 120.0
    slots: int = 1

    def work(self, seed: int) -> list[Work]:
        """The jobs, by arrival."""
        return sorted(self.make(random.Random(f"{self.name}-{seed}")), key=lambda work: work.at_s)


def poisson(
    dice: random.Random,
    hours: float,
    rate: Callable[[float], float],
    peak: float,
    run_s: Callable[[float], float],
    spread: float = 0.5,
) -> list[Work]:
    """Arrivals whose *rate* (jobs/s at second t, at most *peak*) changes; run times log-normal around *run_s* at t."""
    jobs, at = [], 0.0
    while (at := at + dice.expovariate(peak)) < hours * 3600:
        if dice.random() * peak < rate(at):
            jobs.append(Work(at, run_s(at) * dice.lognormvariate(0.0, spread)))
    return jobs


def steady(dice: random.Random) -> list[Work]:
    """Two jobs a second, all day alike."""
    return poisson(dice, 4, lambda _: 2.0, 2.0, lambda _: 1.5)


def diurnal(dice: random.Random) -> list[Work]:
    """An office day: nothing at night, most at eleven and four; scans in the afternoon have more pages."""

    def rate(at: float) -> float:
        hour = at / 3600
        return 1.6 * math.exp(-(((hour - 11) / 1.8) ** 2)) + 1.2 * math.exp(-(((hour - 16) / 1.5) ** 2))

    return poisson(dice, 24, rate, 2.0, lambda at: 2.0 if at < 13 * 3600 else 6.0)


def burst(dice: random.Random) -> list[Work]:
    """A tenant sends a folder every half hour or so; in between, hardly anything."""
    jobs = poisson(dice, 6, lambda _: 0.001, 0.001, lambda _: 3.0)
    at = 600.0
    while at < 6 * 3600:
        pages = dice.choice((1.0, 8.0))
        jobs += [
            Work(at + dice.uniform(0, 20), pages * dice.lognormvariate(0.0, 0.4))
            for _ in range(dice.randrange(80, 250))
        ]
        at += dice.uniform(1200, 2400)
    return jobs


def flash_crowd(dice: random.Random) -> list[Work]:
    """A quiet service that is suddenly asked twenty times as much, for twelve minutes."""

    def rate(at: float) -> float:
        return 6.0 if 3600 <= at < 4320 else 0.3

    return poisson(dice, 3, rate, 6.0, lambda at: 1.0 if at < 3600 else 2.0)


def traced(rows: Sequence[tuple[float, float, float]], dice: random.Random) -> list[Work]:
    """So many jobs of a median run time from each row's start to the next row's."""
    ends = [row[0] for row in rows[1:]] + [rows[-1][0] + _last_step_s(rows)]
    return [
        Work(dice.uniform(start, end), run_s * dice.lognormvariate(0.0, 0.5))
        for (start, jobs, run_s), end in zip(rows, ends, strict=True)
        for _ in range(round(jobs))
    ]


def _last_step_s(rows: Sequence[tuple[float, float, float]]) -> float:
    return rows[-1][0] - rows[-2][0] if len(rows) > 1 else 60.0


def _read(file: Path) -> list[tuple[float, float, float]]:
    columns = ("start_s", "jobs", "run_s")
    rows: list[tuple[float, float, float]] = []
    with file.open(newline="") as lines:
        table = csv.DictReader(lines)
        missing = [name for name in columns if name not in (table.fieldnames or ())]
        if missing:
            raise ValueError(f"{file.name}: there is no column {missing[0]}; expected {','.join(columns)}")
        for row in table:
            values = []
            for name in columns:
                try:
                    value = float(row[name] or "")
                except (TypeError, ValueError):
                    value = -1.0
                if not 0 <= value < math.inf:
                    raise ValueError(
                        f"{file.name}, line {table.line_num}: {name} must be a number at least 0, not {row[name]!r}"
                    )
                values.append(value)
            if rows and values[0] <= rows[-1][0]:
                raise ValueError(f"{file.name}, line {table.line_num}: start_s must grow from row to row")
            rows.append((values[0], values[1], values[2]))
    if not rows:
        raise ValueError(f"{file.name}: there is no row")
    return rows


def trace_scenario(file: Path, *, slo_s: float = 10.0, start_s: float = 3.0, maximum: int = 40) -> Scenario:
    """
    A scenario of a CSV file with the columns ``start_s,jobs,run_s``.

    Raises ValueError naming file, line and column when a value is not a number at
    least 0, or a row goes back in time; OSError when the file cannot be read.
    """
    rows = _read(file)
    hours = (rows[-1][0] + _last_step_s(rows)) / 3600
    return Scenario(file.stem, f"The load of {file.name}.", hours, slo_s, start_s, maximum, partial(traced, rows))


SCENARIOS: dict[str, Scenario] = {
    one.name: one
    for one in (
        Scenario("steady", steady.__doc__ or "", 4, slo_s=5, start_s=3, maximum=30, make=steady),
        Scenario("diurnal", diurnal.__doc__ or "", 24, slo_s=10, start_s=3, maximum=40, make=diurnal),
        Scenario("burst", burst.__doc__ or "", 6, slo_s=30, start_s=5, maximum=60, make=burst),
        Scenario("flash-crowd", flash_crowd.__doc__ or "", 3, slo_s=15, start_s=5, maximum=60, make=flash_crowd),
        trace_scenario(TRACES / "scanning-office.csv"),
    )
}

"""What the queue is to reach, what the newest results say of it, and what bounds the figures that fall short."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.queue.systems import OURS

Results = dict[str, Any]
"""The JSON files beside ``queue.json`` by name; ours of its medians as ``ours``."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One line. *reached* gives what is compared with *limit*, smaller being better where *at_most*; None: unknown."""

    name: str
    limit: float
    reached: Callable[[Results], float]
    at_most: bool = False
    shown: str = "{:,.0f}"
    bound: str = ""

    def line(self, results: Results) -> str:
        """The goal as a row of Markdown."""
        sign = "≤" if self.at_most else "≥"
        wanted = f"{sign} {self.shown.format(self.limit)}"
        try:
            value = self.reached(results)
        except (KeyError, IndexError, TypeError):
            return f"| {self.name} | {wanted} | not measured | |"
        is_met = value <= self.limit if self.at_most else value >= self.limit
        verdict = "" if is_met else f"**not reached**: {self.bound}" if self.bound else "**not reached**"
        return f"| {self.name} | {wanted} | {self.shown.format(value)} | {verdict} |"


def _rate(row: str) -> Callable[[Results], float]:
    return lambda results: results["ours"][row]["rate"]


def _cpu(row: str) -> Callable[[Results], float]:
    return lambda results: results["ours"][row]["worker_cpu_1k"] + results["ours"][row]["redis_cpu_1k"]


def _fault(kind: str, *path: str) -> Callable[[Results], float]:
    def found(results: Results) -> float:
        value: Any = results["faults"][kind]
        for name in path:
            value = value[name]
        return float(value)

    return found


def _unkept(kind: str) -> Callable[[Results], float]:
    return lambda results: results["faults"][kind]["trials"] - results["faults"][kind]["kept"]


_ONE_BY_ONE = (
    "one call of Redis for each job (25 commands, MongoDB or the results before it) and two changes of process, "
    "parent to child and back; the batched row does without both"
)
_LATENCY = (
    "two calls of Redis follow one another (the submit with the claim behind it, the outcome with the close and the "
    "look at it), and six changes of process; each costs 50–100 µs of a virtual machine that sleeps in between"
)

GOALS = (
    Goal("enqueue one by one, every cap and idempotency on, per s", 3500, _rate("noop/enqueue")),
    Goal("enqueue in bulk, per s", 40_000, _rate("noop/bulk")),
    Goal("drain, one executor of concurrency 1, short jobs in batches, per s", 3000, _rate("noop/drain-c1")),
    Goal(
        "drain, best on two cores, per s",
        12_000,
        _rate("noop/drain-best"),
        bound="both cores are busy: the CPU of a job below",
    ),
    Goal("the same with 1 KiB in and out, per s", 9000, _rate("blob/drain-best"), bound="as above"),
    Goal("CPU-s per 1,000 jobs at concurrency 1, in batches", 0.40, _cpu("noop/drain-c1"), True, "{:.3f}"),
    Goal(
        "the same with one claim for each job",
        0.40,
        _cpu("noop/drain-alt"),
        True,
        "{:.3f}",
        _ONE_BY_ONE,
    ),
    Goal(
        "CPU-s per 1,000 jobs at best",
        0.12,
        _cpu("noop/drain-best"),
        True,
        "{:.3f}",
        "the profile is flat: records of leases, orders and outcomes in the parent, one message for each job in the "
        "child, one record, one live hash and one result for each in Redis",
    ),
    Goal("latency p50, one in flight, ms", 1.2, lambda found: found["ours"]["noop/latency"]["p50_ms"], True, "{:.2f}",
         _LATENCY),
    Goal("latency p99, one in flight, ms", 2.0, lambda found: found["ours"]["noop/latency"]["p99_ms"], True, "{:.2f}",
         "who else takes the cores at that moment (`foreign` in the JSON)"),
    Goal("bytes of Redis per queued job", 300, lambda found: found["ours"]["noop/memory"]["bytes"], True),
    Goal("claim p99 with 1,000,000 queued, ms", 5.0, lambda found: found["queue_growth"][-1]["claim_p99_ms"], True,
         "{:.2f}"),
    Goal("1,000 idle executors, % of a Redis core", 2.0,
         lambda found: found["queue_fleet"]["redis_percent_of_a_core"], True, "{:.2f}"),
    Goal(
        "idle executor, parent and child, MiB (RSS)",
        40,
        lambda found: found["ours"]["noop/idle"]["rss_mib"],
        True,
        "{:,.0f}",
        "two interpreters; of the parent redis-py with asyncio 19, of the child pydantic 19; proportional it is 42",
    ),
    Goal(
        "whole platform durable, embedded store, drain with two executors, per s",
        2500,
        lambda found: found["queue_durable"]["median"]["drain, 2 × 32"]["jobs_s"],
        bound="the embedded store's own CPU",
    ),
    Goal("redelivery after kill -9, s at most", 16, _fault("redelivery", "again_s", "max"), True, "{:.1f}"),
    Goal("redelivery: trials not kept", 0, _unkept("redelivery"), True),
    Goal("2 s outage of Redis: jobs lost", 0, _fault("outage", "lost"), True),
    Goal("2 s outage of Redis: jobs doubled", 0, _fault("outage", "doubled"), True),
    Goal("2 s outage of Redis: resumed after s at most", 1.0, _fault("outage", "resume_s", "max"), True, "{:.2f}"),
    Goal("GIL held for 3 × the lease: trials not run once", 0, _unkept("held-gil"), True),
    Goal("job that kills its process: others delayed s at most", 2.0, _fault("poison", "others_delayed_s", "max"),
         True, "{:.2f}"),
    Goal("master fails over, Cluster: lost and doubled", 0,
         lambda found: found["faults"]["failover-cluster"]["lost"] + found["faults"]["failover-cluster"]["doubled"],
         True),
    Goal("master fails over, Sentinel: lost and doubled", 0,
         lambda found: found["faults"]["failover-sentinel"]["lost"] + found["faults"]["failover-sentinel"]["doubled"],
         True),
    Goal("master fails over, Cluster: resumed after s at most", 2.0, _fault("failover-cluster", "resume_s", "max"),
         True, "{:.2f}"),
    Goal("hand-back on SIGTERM, again after s at most", 1.0, _fault("hand-back", "again_s", "max"), True, "{:.2f}"),
)  # fmt: skip


def goals(medians: dict[str, Any], folder: Path) -> str:
    """Markdown: a line for each goal, by *medians* and what other results lie in *folder*."""
    results: Results = {"ours": medians.get(OURS, {})}
    for file in folder.glob("*.json"):
        if file.stem.startswith("queue_") or file.stem == "faults":
            results[file.stem] = json.loads(file.read_text())
    head = ["| goal | wanted | reached | what bounds it |", "|---|---:|---:|---|"]
    return "\n".join([*head, *(goal.line(results) for goal in GOALS)])

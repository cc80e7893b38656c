"""
Policies against each other at the same wait: each is tuned to the scenario, the cheapest that keeps its promise counts.

Every policy has one knob. The search finds the laziest setting with which 95 of 100
jobs still start within the scenario's bound; its cost is what the policy is worth.
So none wins by waiting longer, and none loses by a default that suits another load.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from benchmarks.autoscaling.load import Scenario, Work
from benchmarks.autoscaling.simulator import Run, Simulation
from jangada.deployments.scaling import ScalingPolicy, Signal

_STEPS = 7


def fixed(_scenario: Scenario, knob: float) -> ScalingPolicy:
    """The same number of replicas all the time."""
    count = max(1, round(knob))
    return ScalingPolicy(minimum=count, maximum=count)


def reactive(scenario: Scenario, knob: float) -> ScalingPolicy:
    """
    A queue-length scaler as it comes: so many unfinished jobs per replica, looked at each 15 s, down after 300 s.

    These are the defaults of the Kubernetes horizontal autoscaler, which is what
    KEDA's queue triggers drive (``--horizontal-pod-autoscaler-sync-period`` and
    ``-downscale-stabilization``).
    """
    return _on_demand(scenario, signal=Signal.QUEUE_LENGTH, target_jobs=knob, cooldown_s=300.0)


def queue_length(scenario: Scenario, knob: float) -> ScalingPolicy:
    """The same signal with Jangada's clock and cool-down: what is left of the difference is the signal."""
    return _on_demand(scenario, signal=Signal.QUEUE_LENGTH, target_jobs=knob)


def backlog(scenario: Scenario, knob: float) -> ScalingPolicy:
    """Jangada's: seconds of work that may wait."""
    return _on_demand(scenario, target_s=knob)


def forecast(scenario: Scenario, knob: float) -> ScalingPolicy:
    """The same, counting on the arrivals expected while a replica starts."""
    return _on_demand(scenario, target_s=knob, uses_forecast=True)


def _on_demand(scenario: Scenario, **fields: Any) -> ScalingPolicy:
    return ScalingPolicy(minimum=0, maximum=scenario.maximum, idle_s=scenario.idle_s, **fields)


@dataclass(frozen=True)
class Contender:
    """A policy with its knob: from always too eager to always too lazy, asked each *every_s*."""

    name: str
    make: Callable[[Scenario, float], ScalingPolicy]
    every_s: float = 1.0

    def bounds(self, scenario: Scenario) -> tuple[float, float]:
        """(eager, lazy) ends of the search."""
        if self.make is fixed:
            return float(scenario.maximum), 1.0
        if self.make in {reactive, queue_length}:
            return 1.0, 40.0
        return 0.1 * scenario.slo_s, 2.0 * scenario.slo_s


CONTENDERS: dict[str, Contender] = {
    one.name: one
    for one in (
        Contender("fixed", fixed),
        Contender("reactive", reactive, every_s=15.0),
        Contender("queue-length", queue_length),
        Contender("backlog", backlog),
        Contender("forecast", forecast),
    )
}


@dataclass
class Result:
    """The best that a policy did in a scenario. *knob* is the setting found; *keeps* whether it met the bound."""

    scenario: str
    policy: str
    knob: float
    keeps: bool
    run: Run


def tune(scenario: Scenario, contender: Contender, work: Sequence[Work]) -> Result:
    """The cheapest run within the bound that a bisection of the knob finds; else the one that came nearest to it."""
    eager, lazy = contender.bounds(scenario)
    tried: dict[float, Run] = {}

    def attempt(knob: float) -> bool:
        knob = round(knob) if contender.make is fixed else round(knob, 4)
        if knob not in tried:
            tried[knob] = Simulation(scenario, contender.make(scenario, knob), work, contender.every_s).run()
        return tried[knob].p95_s <= scenario.slo_s

    attempt(eager)
    for _ in range(_STEPS):
        middle = (eager + lazy) / 2
        if attempt(middle):
            eager = middle
        else:
            lazy = middle
    kept = {knob: run for knob, run in tried.items() if run.p95_s <= scenario.slo_s}
    if kept:
        knob = min(kept, key=lambda one: kept[one].cost_s)
        return Result(scenario.name, contender.name, knob, keeps=True, run=kept[knob])
    knob = min(tried, key=lambda one: tried[one].p95_s)
    return Result(scenario.name, contender.name, knob, keeps=False, run=tried[knob])


def compare(
    scenarios: Sequence[Scenario], contenders: Sequence[Contender], seed: int, done: Callable[[Result], None]
) -> list[Result]:
    """Every contender in every scenario with the same jobs, on all cores; *done* hears of each that is ready."""
    plans = [(scenario, contender) for scenario in scenarios for contender in contenders]
    works = {scenario.name: scenario.work(seed) for scenario in scenarios}
    found: dict[tuple[str, str], Result] = {}
    with ProcessPoolExecutor() as pool:
        futures = [pool.submit(tune, scenario, contender, works[scenario.name]) for scenario, contender in plans]
        for future in as_completed(futures):
            result = future.result()
            found[result.scenario, result.policy] = result
            done(result)
    return [found[scenario.name, contender.name] for scenario, contender in plans]

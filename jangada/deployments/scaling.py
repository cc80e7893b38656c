"""
How many replicas a deployment should have. Pure: a policy and what was measured in, a number and its reason out.

The measure is the backlog in seconds of work: queued jobs times their median run
time. Each job may wait *target_s*; how long it has waited is known from the arrivals
counted before, since queues are worked off in order. So many replicas are needed that
every queued job starts within its target (a demand bound, as for periodic real-time
tasks), those that start already counted in, and the time that a start takes counted
out. Fewer are kept once no moment of the cool-down needed more; sooner where that was a
crowd of which nobody waits any more, and what comes now is so little that those who would
stay had nothing to do. The last one goes after *idle_s* without a job. A busy deployment so
keeps a short queue rather than idle replicas. The same function serves the node agents
and the simulation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

UNKNOWN_RUN_S = 1.0
"""Taken for the run time of an algorithm that has not finished a job yet."""

COOLDOWN_STARTS = 2.0
"""Start times that an idle replica is kept when the policy names no cool-down: near what another start would cost."""

MOST_COOLDOWN_S = 60.0
_LEVEL_SHARE = 0.5
_TREND_SHARE = 0.3
_SAMPLE_S = 5.0
_HISTORY_STEPS = 16
"""Counts of arrivals kept for each target time."""
_MOST_HISTORY = 64
_LOOK_BACK = 1.5
"""Target times for which counts of arrivals are kept: who waits longer is late already."""


class Signal(StrEnum):
    """What a policy looks at."""

    BACKLOG = "backlog"
    """Seconds of work that wait."""
    QUEUE_LENGTH = "queue_length"
    """Unfinished jobs per replica, as queue-length scalers have it."""


class Reason(StrEnum):
    """Why a decision is what it is: shown beside the number."""

    FIRST_JOB = "first_job"
    BACKLOG = "backlog"
    FORECAST = "forecast"
    BUFFER = "buffer"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    CALM = "calm"
    IDLE = "idle"
    STEADY = "steady"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """
    The wish about replicas. Times in seconds.

    *buffer* replicas are kept free above those that work, while anything works.
    *cooldown_s* is how long replicas must not have been needed before they go; None:
    `COOLDOWN_STARTS` times the measured start time, at most `MOST_COOLDOWN_S`, and less
    for those that only a crowd has needed.
    *step* bounds how many one decision adds; None does not. *uses_forecast* counts
    on the jobs expected until a replica started now is ready. *target_jobs* serves
    the signal ``queue_length`` only.
    """

    minimum: int = 0
    maximum: int = 1
    buffer: int = 0
    signal: Signal = Signal.BACKLOG
    target_s: float = 10.0
    target_jobs: float = 1.0
    idle_s: float = 300.0
    cooldown_s: float | None = None
    step: int | None = None
    uses_forecast: bool = False

    def cooldown(self, start_s: float) -> float:
        """Seconds that replicas stay idle before they go, where one takes *start_s* to start."""
        if self.cooldown_s is not None:
            return self.cooldown_s
        return min(MOST_COOLDOWN_S, COOLDOWN_STARTS * start_s)


@dataclass(frozen=True, slots=True)
class Load:
    """
    What a deployment does now.

    *ready* replicas take jobs, *starting* ones will; *slots* is jobs at a time per
    replica. *run_s* is the median run time, None before the first job ended; *start_s*
    the median time from decision to ready. *arrivals* counts jobs since ever.
    """

    queued: int = 0
    running: int = 0
    ready: int = 0
    starting: int = 0
    slots: int = 1
    run_s: float | None = None
    start_s: float = 1.0
    arrivals: int = 0

    @property
    def replicas(self) -> int:
        """Those that work or will."""
        return self.ready + self.starting

    @property
    def typical_run_s(self) -> float:
        """*run_s*, or what is taken for it until it is known."""
        return UNKNOWN_RUN_S if self.run_s is None else self.run_s

    @property
    def unfinished(self) -> int:
        """Jobs that wait or run."""
        return self.queued + self.running


@dataclass(frozen=True, slots=True)
class ScalingMemory:
    """What one decision leaves for the next."""

    needed: tuple[tuple[float, int], ...] = ()
    """(instant, replicas needed then) within the cool-down: a falling sequence, whose first is its maximum."""
    busy_at: float | None = None
    seen: int = 0
    """Jobs that had come by the latest decision: one that came and ended since then was work too."""
    fell_at: float | None = None
    """Since when fewer are counted than were seen; for who measures the load."""
    history: tuple[tuple[float, int], ...] = ()
    """(instant, jobs that had come by then), as far back as a job may wait and a cool-down lasts."""
    sampled_at: float | None = None
    arrivals: int = 0
    rate: float = 0.0
    trend: float = 0.0
    """Arrivals per second, and their change per second (Holt's double exponential smoothing)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Replicas to have from now on."""

    replicas: int
    reason: Reason
    memory: ScalingMemory


def decide(policy: ScalingPolicy, load: Load, memory: ScalingMemory, now: float) -> Decision:
    """
    The replicas to have from *now* (any steady clock, in seconds), why, and what to remember.

    Never fewer than *minimum*, never more than *maximum*. Zero to one on the first
    job whatever the target says; one to zero only after *idle_s* without a job.
    """
    memory = _sampled(memory, load, now, policy)
    if load.unfinished or memory.busy_at is None or load.arrivals > memory.seen:
        memory = replace(memory, busy_at=now)
    memory = replace(memory, seen=load.arrivals)
    needed, reason = _needed(policy, load, memory, now)
    if load.unfinished and policy.buffer:
        needed += policy.buffer
        reason = Reason.BUFFER if reason is Reason.STEADY else reason
    memory = replace(memory, needed=_remembered(memory.needed, needed, now, policy.cooldown(load.start_s)))
    wanted, reason = _damped(policy, load, memory, needed, reason, now)
    if wanted > policy.maximum:
        return Decision(policy.maximum, Reason.MAXIMUM, memory)
    if wanted < policy.minimum:
        return Decision(policy.minimum, Reason.MINIMUM, memory)
    return Decision(wanted, reason, memory)


def _needed(policy: ScalingPolicy, load: Load, memory: ScalingMemory, now: float) -> tuple[int, Reason]:
    """Replicas that the load of this moment asks for, before buffer, bounds and damping."""
    if not load.unfinished:
        return 0, Reason.STEADY
    if policy.signal is Signal.QUEUE_LENGTH:
        return max(1, math.ceil(load.unfinished / policy.target_jobs)), Reason.BACKLOG
    needed, reason = _for(_waiting(policy, load, memory, now), load), Reason.BACKLOG
    # More replicas than jobs have nothing to do.
    needed = max(1, min(needed, math.ceil(load.unfinished / load.slots)))
    if policy.uses_forecast:
        expected = _expected(policy, load, memory)
        foreseen = min(_for([expected], load), math.ceil((expected[0] + load.running) / load.slots))
        if foreseen > needed:
            needed, reason = foreseen, Reason.FORECAST
    if load.replicas == 0:
        reason = Reason.FIRST_JOB
    return needed, reason if needed > load.replicas else Reason.STEADY


def _waiting(policy: ScalingPolicy, load: Load, memory: ScalingMemory, now: float) -> list[tuple[float, float]]:
    """(queued jobs that came at least so early, seconds that they may still wait), from the counts of arrivals."""
    waiting = [(float(load.queued), policy.target_s)]
    for at, arrivals in memory.history:
        older = load.queued - (load.arrivals - arrivals)
        if older > 0 and now - at <= policy.target_s * _LOOK_BACK:
            waiting.append((float(older), max(0.0, policy.target_s - (now - at))))
    return waiting


def _expected(policy: ScalingPolicy, load: Load, memory: ScalingMemory) -> tuple[float, float]:
    """As `_waiting`, of the jobs that will have come when a replica that is started now is ready."""
    ahead_s = load.start_s + _SAMPLE_S
    rate = max(0.0, memory.rate + memory.trend * ahead_s / 2)
    return load.queued + rate * ahead_s, policy.target_s + ahead_s


def _for(waiting: Sequence[tuple[float, float]], load: Load) -> int:
    """
    Replicas with which *waiting* jobs, after those that run, are done within a run time of their last moment.

    The first of *waiting* are all that wait. Those with little time left count only
    as long as a replica started now could still help them.
    """
    run_s = load.typical_run_s
    whole_s = waiting[0][1]
    needed = 0.0
    for queued, slack_s in waiting:
        work_s, within_s = (queued + load.running) * run_s / load.slots, slack_s + run_s
        if slack_s < whole_s and slack_s <= max(load.start_s, whole_s / 2) and work_s > load.replicas * within_s:
            continue
        if not load.replicas:
            within_s = max(within_s - load.start_s, run_s)
        needed = max(needed, work_s / within_s)
    return math.ceil(needed)


def _damped(
    policy: ScalingPolicy, load: Load, memory: ScalingMemory, needed: int, reason: Reason, now: float
) -> tuple[int, Reason]:
    """Up at once, by at most a step; down when the whole cool-down agrees, and to none only after the idle time."""
    have = load.replicas
    if needed > have:
        return (needed if policy.step is None else min(needed, have + policy.step)), reason
    calm = min(have, memory.needed[0][1])
    if policy.cooldown_s is None and policy.signal is Signal.BACKLOG and not load.queued:
        calm = min(calm, max(needed, _kept_busy(policy, load, memory, now)))
    if not load.unfinished:
        if now - (now if memory.busy_at is None else memory.busy_at) >= policy.idle_s:
            return 0, Reason.IDLE
        # What stays warm for the next job is one replica and the buffer, not the whole of a past crowd.
        calm = max(calm, min(have, 1 + policy.buffer))
    return calm, Reason.STEADY if calm == have else Reason.CALM


def _kept_busy(policy: ScalingPolicy, load: Load, memory: ScalingMemory, now: float) -> int:
    """
    Replicas that the arrivals of the latest cool-down keep at work, were there no queue.

    Their mean by Little's law and one standard deviation (of a Poisson stream) more.
    What a crowd needed above that to be worked off in time is not needed again before
    the next crowd, which may not come. All there are, while nothing is known.
    """
    cooldown_s = policy.cooldown(load.start_s)
    since, before = next((one for one in memory.history if now - one[0] <= cooldown_s), (now, 0))
    if since >= now:
        return load.replicas
    busy = (load.arrivals - before) / (now - since) * load.typical_run_s / load.slots
    return math.ceil(busy + math.sqrt(max(0.0, busy))) + (policy.buffer if load.unfinished else 0)


def _remembered(
    needed: tuple[tuple[float, int], ...], count: int, now: float, cooldown_s: float
) -> tuple[tuple[float, int], ...]:
    """What a sliding maximum needs: only those that no later one reaches."""
    return (*(one for one in needed if now - one[0] < cooldown_s and one[1] > count), (now, count))


def _sampled(memory: ScalingMemory, load: Load, now: float, policy: ScalingPolicy) -> ScalingMemory:
    """The counts of arrivals, and every few seconds their rate and its trend."""
    whole_s = max(policy.target_s * _LOOK_BACK, policy.cooldown(load.start_s))
    history = tuple(one for one in memory.history if now - one[0] <= whole_s)
    if not history or now - history[-1][0] >= max(policy.target_s / _HISTORY_STEPS, whole_s / _MOST_HISTORY):
        history = (*history, (now, load.arrivals))
    if memory.sampled_at is None:
        return replace(memory, history=history, sampled_at=now, arrivals=load.arrivals)
    passed = now - memory.sampled_at
    if passed < _SAMPLE_S:
        return replace(memory, history=history)
    seen = max(0, load.arrivals - memory.arrivals) / passed
    rate = _LEVEL_SHARE * seen + (1 - _LEVEL_SHARE) * max(0.0, memory.rate + memory.trend * passed)
    trend = _TREND_SHARE * (rate - memory.rate) / passed + (1 - _TREND_SHARE) * memory.trend
    return replace(memory, history=history, sampled_at=now, arrivals=load.arrivals, rate=rate, trend=trend)

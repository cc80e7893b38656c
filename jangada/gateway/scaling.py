"""
How many replicas a function should have. Pure: labels and numbers in, a number out [contract §4].

Two ways. Without a target, the community edition's alert: more than 5 answers
with code 200 per second, for 5 s, is one step up, and another every
`STEP_EVERY_S`; when it ends, straight down to the least. With a
``com.openfaas.scale.type`` or ``.target`` label, as many replicas as the load
needs; down only when no moment of the last `CALM_S` needed more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "com.openfaas.scale."
DEFAULT_MAX = 5
MOST_REPLICAS = 1000
"""Of one function, whoever asks."""

DEFAULT_FACTOR = 10
DEFAULT_TARGET = 50.0
DEFAULT_PROPORTION = 0.9
DEFAULT_ZERO_AFTER_S = 15 * 60.0
ALERT_PER_S = 5.0
ALERT_FOR_S = 5.0
STEP_EVERY_S = 10.0
CALM_S = 30.0

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class ScalePolicy:
    """What the labels say. *kind* is ``alert``, ``rps``, ``capacity`` or ``cpu``; *has_maximum*: a label says it."""

    minimum: int = 1
    maximum: int = DEFAULT_MAX
    factor: int = DEFAULT_FACTOR
    kind: str = "alert"
    target: float = DEFAULT_TARGET
    proportion: float = DEFAULT_PROPORTION
    to_zero: bool = False
    zero_after_s: float = DEFAULT_ZERO_AFTER_S
    has_maximum: bool = False

    @property
    def is_off(self) -> bool:
        """Equal bounds switch scaling by load off."""
        return self.minimum == self.maximum

    @property
    def step(self) -> int:
        """Replicas that one firing alert adds."""
        return math.ceil(self.maximum / 100 * self.factor)


@dataclass(frozen=True, slots=True)
class Load:
    """What a function does now; *ok_per_s* and *rps* over the last 10 s, *idle_s* since its last request."""

    ok_per_s: float = 0.0
    rps: float = 0.0
    in_flight: float = 0.0
    cpu_millicores: float = 0.0
    idle_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ScaleMemory:
    """What one decision leaves for the next. Times are the caller's seconds."""

    over_since: float | None = None
    is_firing: bool = False
    stepped_at: float = 0.0
    needed: tuple[tuple[float, int], ...] = ()


def read_policy(labels: Mapping[str, str]) -> ScalePolicy:
    """The policy of *labels*; a value that is no number, or not a possible one, is as if it were absent."""
    minimum = _whole(labels, "min", 1, least=1)
    maximum = _whole(labels, "max", max(DEFAULT_MAX, minimum), least=1)
    factor = _whole(labels, "factor", DEFAULT_FACTOR, least=1)
    wanted = labels.get(f"{PREFIX}type", "").strip().lower()
    has_target = f"{PREFIX}target" in labels or wanted in {"rps", "capacity", "cpu"}
    kind = wanted if wanted in {"rps", "capacity", "cpu"} else "rps"
    proportion = _number(labels, "target-proportion", DEFAULT_PROPORTION)
    return ScalePolicy(
        has_maximum=_whole(labels, "max", 0, least=1) > 0,
        minimum=minimum,
        maximum=max(minimum, maximum),
        factor=factor if factor <= 100 else DEFAULT_FACTOR,
        kind=kind if has_target else "alert",
        target=_number(labels, "target", DEFAULT_TARGET),
        proportion=proportion if proportion <= 1 else DEFAULT_PROPORTION,
        to_zero=labels.get(f"{PREFIX}zero", "").strip().lower() in {"true", "1", "t"},
        zero_after_s=read_duration(labels.get(f"{PREFIX}zero-duration", "")) or DEFAULT_ZERO_AFTER_S,
    )


def read_duration(text: str) -> float | None:
    """Seconds of ``15m``, ``1h30m``, ``90s`` or a bare number of seconds; None when it is none of these."""
    rest, seconds = text.strip(), 0.0
    if not rest:
        return None
    if rest.isascii() and rest.isdigit():
        return float(rest)
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        unit = next((unit for unit in ("ms", "s", "m", "h") if rest[digits:].startswith(unit)), None)
        try:
            amount = float(rest[:digits])
        except ValueError:
            return None
        if unit is None:
            return None
        seconds += amount * _UNITS_S[unit]
        rest = rest[digits + len(unit) :]
    return seconds


def decide(policy: ScalePolicy, replicas: int, load: Load, memory: ScaleMemory, now: float) -> tuple[int, ScaleMemory]:
    """
    The replicas to have from *now*, and what to remember.

    A function with none stays at none: only a request wakes it. One that was
    scaled by hand stays as it is until a load of its own moves it.
    """
    if replicas == 0:
        return 0, ScaleMemory()
    if policy.to_zero and load.in_flight == 0 and load.idle_s >= policy.zero_after_s:
        return 0, ScaleMemory()
    if policy.is_off:
        return replicas, ScaleMemory()
    if policy.kind == "alert":
        return _by_alert(policy, replicas, load, memory, now)
    return _by_target(policy, replicas, load, memory, now)


def after_alert(policy: ScalePolicy, replicas: int, *, firing: bool) -> int:
    """What an alert makes of *replicas*: a step up while it fires, the least when it is resolved."""
    if policy.is_off or replicas == 0:
        return replicas
    # Somebody may have asked for more than the greatest by hand; an alert takes nothing away.
    return max(replicas, min(replicas + policy.step, policy.maximum)) if firing else policy.minimum


def _by_alert(
    policy: ScalePolicy, replicas: int, load: Load, memory: ScaleMemory, now: float
) -> tuple[int, ScaleMemory]:
    if load.ok_per_s <= ALERT_PER_S:
        return (after_alert(policy, replicas, firing=False) if memory.is_firing else replicas), ScaleMemory()
    since = memory.over_since if memory.over_since is not None else now
    if now - since < ALERT_FOR_S:
        return replicas, ScaleMemory(over_since=since)
    if memory.is_firing and now - memory.stepped_at < STEP_EVERY_S:
        return replicas, memory
    return after_alert(policy, replicas, firing=True), ScaleMemory(since, is_firing=True, stepped_at=now)


def _by_target(
    policy: ScalePolicy, replicas: int, load: Load, memory: ScaleMemory, now: float
) -> tuple[int, ScaleMemory]:
    loads = {"rps": load.rps, "capacity": load.in_flight, "cpu": load.cpu_millicores}
    wanted = math.ceil(loads[policy.kind] / (policy.target * policy.proportion))
    wanted = min(policy.maximum, max(policy.minimum, wanted))
    needed = (*((at, count) for at, count in memory.needed if now - at < CALM_S), (now, wanted))
    remembered = ScaleMemory(needed=needed)
    if wanted >= replicas:
        return wanted, remembered
    # Too short a look back to call it calm.
    if now - needed[0][0] < CALM_S * 0.9:
        return replicas, remembered
    return min(replicas, max(count for _, count in needed)), remembered


def _whole(labels: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = labels.get(PREFIX + name, "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 6:
        return default
    return int(text) if least <= int(text) <= MOST_REPLICAS else default


def _number(labels: Mapping[str, str], name: str, default: float) -> float:
    try:
        value = float(labels.get(PREFIX + name, ""))
    except ValueError:
        return default
    return value if 0 < value < math.inf else default

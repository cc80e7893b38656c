"""What is broken when: decided by a seed before anything runs, so that the seed repeats it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One way of breaking one thing."""

    action: str
    """kill, term, pause, cut, slow, stall, fill (a disk) or jump (a clock)."""
    victim: str
    weight: float = 1.0
    lasts_s: tuple[float, float] = (0.0, 0.0)
    """For how long; a victim that was killed is kept down for that time, if it is not 0."""
    group: str = ""
    """Of faults in one group there is one at a time, …"""
    rest_s: float = 0.0
    """… and so long after its end none either."""


@dataclass(frozen=True)
class Fault:
    """One fault of a plan. *draw* picks one of several that fit."""

    at_s: float
    action: str
    victim: str
    lasts_s: float
    draw: int

    def __str__(self) -> str:
        during = f" for {self.lasts_s:.2f} s" if self.lasts_s else ""
        return f"{self.action} {self.victim}{during}"


def make_plan(seed: int, seconds: float, kinds: Sequence[Kind], pause_s: tuple[float, float]) -> list[Fault]:
    """Faults for *seconds*, one each *pause_s* (between its two ends); the same for the same arguments."""
    chance = random.Random(seed)
    free_at: dict[str, float] = {}
    faults: list[Fault] = []
    now = chance.uniform(*pause_s)
    while now < seconds:
        allowed = [kind for kind in kinds if free_at.get(kind.group or kind.victim, 0.0) <= now]
        if allowed:
            kind = chance.choices(allowed, [each.weight for each in allowed])[0]
            lasts_s = round(chance.uniform(*kind.lasts_s), 2)
            free_at[kind.group or kind.victim] = now + lasts_s + kind.rest_s
            faults.append(Fault(round(now, 2), kind.action, kind.victim, lasts_s, chance.randrange(1 << 20)))
        now += chance.uniform(*pause_s)
    return faults

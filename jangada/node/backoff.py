"""When a lane whose replica crashed here is tried here again. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_S = 0.5
MOST_S = 60.0
CALM_S = 30.0
"""A replica that lived so long forgets the crashes before it."""
WILL_NOT_MEND_S = 30.0
"""What is set wrongly is looked at no more often than this."""


@dataclass(slots=True)
class _Past:
    failures: int = 0
    until: float = 0.0


@dataclass(slots=True)
class CrashBackoff:
    """Doubles with each crash of a lane, by itself for each lane; times are any steady clock's seconds."""

    _lanes: dict[str, _Past] = field(default_factory=dict)

    def crashed(self, lane: str, now: float, *, lived_s: float, will_not_mend: bool = False) -> float:
        """Remember a crash; seconds until the lane may be tried again here."""
        past = self._lanes.setdefault(lane, _Past())
        if lived_s >= CALM_S:
            past.failures = 0
        wait_s = min(MOST_S, FIRST_S * 2.0 ** min(past.failures, 20))
        if will_not_mend:
            wait_s = max(wait_s, WILL_NOT_MEND_S)
        past.failures += 1
        past.until = now + wait_s
        return wait_s

    def allows(self, lane: str, now: float) -> bool:
        """Whether a replica of *lane* may be started here now."""
        past = self._lanes.get(lane)
        return past is None or now >= past.until

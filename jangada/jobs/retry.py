"""Whether a failed attempt is followed by another one, and when. Pure but for the jitter's dice."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jangada.jobs.job import AttemptFailure, ErrorCode

BASE_S = 1.0
CAP_S = 300.0

NEVER_AGAIN = frozenset({ErrorCode.INVALID_INPUT, ErrorCode.CANCELED, ErrorCode.DEADLINE})
"""Codes for which another attempt would meet the same end, whatever the failure says of itself."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again, not before *delay_s* from now."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The failure is the job's final one."""

    reason: str


def decide(
    failure: AttemptFailure,
    *,
    max_attempts: int,
    history: Sequence[Mapping[str, Any]],
    now_ms: int,
    deadline_ms: int | None = None,
    dice: Callable[[], float] = random.random,
) -> RetryAt | GiveUp:
    """
    Judge the attempt that just ended with *failure* after the ones in *history*.

    Handed-back attempts do not count. The delay is exponential with full jitter
    (1 s, 2 s, 4 s … 300 s at most), never below what the failure asks for.
    """
    if failure.code in NEVER_AGAIN:
        return GiveUp(f"{failure.code} is never tried again")
    if not failure.retryable:
        return GiveUp("not retryable")
    used = 1 + sum(1 for attempt in history if attempt.get("outcome") != "handed_back")
    if used >= max_attempts:
        return GiveUp(f"attempt {used} of {max_attempts}")
    # Full jitter keeps a crowd that failed together from coming back together.
    delay_s = dice() * min(CAP_S, BASE_S * 2.0 ** (used - 1))
    if failure.retry_after_s is not None:
        delay_s = max(delay_s, failure.retry_after_s)
    if deadline_ms is not None and now_ms + delay_s * 1000 >= deadline_ms:
        return GiveUp("the deadline comes first")
    return RetryAt(delay_s)

"""When a call is tried again, and how long we wait before. Pure."""

from __future__ import annotations

import random
from datetime import datetime
from email.utils import parsedate_to_datetime

RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})

_FIRST_S = 0.2
_LONGEST_S = 20.0


def delay_s(attempt: int, retry_after_s: float | None, chance: random.Random) -> float:
    """
    Seconds before try number *attempt* + 1 (the first try is 1): doubling, with jitter.

    Never less than the server asked for; jitter is added on top of that, so that
    many clients told the same second do not come back in the same one.
    """
    backoff = min(_LONGEST_S, _FIRST_S * 2.0 ** (attempt - 1)) * chance.uniform(0.5, 1.0)
    if retry_after_s is None:
        return backoff
    return max(0.0, retry_after_s) + backoff


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """The seconds in a ``Retry-After`` (a number or an HTTP date), never negative; None when absent or unreadable."""
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (TypeError, ValueError):
        return None

"""
The record of one webhook delivery, and the rules of its retries. Pure.

    pending → delivered | failed        (failed: refused, disabled, or ten attempts without a 2xx)
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

RETRY_DELAYS_S = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Waits before attempt 1, 2, …: 0, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h (api-conventions §6)."""
MAX_ATTEMPTS = len(RETRY_DELAYS_S)
KEPT_S = 30 * 86_400.0
"""How long a delivery stays in the log."""
_JITTER = 0.1

EVENTS = ("started", "output", "logs", "completed")


class DeliveryState(StrEnum):
    """Where a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One sending: the status that came back, or the error that prevented an answer."""

    at: datetime
    duration_ms: int
    status: int | None
    error: str | None
    retry_after_s: float | None = None
    permanent: bool = False
    """No further attempt can help: the address is refused, or the receiver said 410."""

    @property
    def succeeded(self) -> bool:
        """2xx within the time; a 3xx is a failure, since redirects are not followed."""
        return self.error is None and self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    One event of one job on its way to one URL.

    *id* is the `webhook-id`: the same at every attempt and redelivery, derived from
    job, event and occurrence, so that telling twice of one thing makes one delivery.
    """

    id: str
    tenant_id: str
    job_id: str
    event: Literal["started", "output", "logs", "completed"]
    type: str
    """`job.running`, `job.output`, `job.log` or `job.<final status>`: the `type` in the body."""
    url: str
    format: Literal["standard", "cloudevents"]
    created_at: datetime
    data: dict[str, Any] | None = None
    """What the body tells beside the job's identity; None for events that show the whole job."""
    state: DeliveryState = DeliveryState.PENDING
    attempts: tuple[DeliveryAttempt, ...] = ()
    next_at: datetime | None = None
    epoch: int = 0
    """Raised by a redelivery, so that the queue takes it although it may hold an older entry."""
    round: int = 0
    """How many attempts had been made when the present round of retries began."""

    def after(self, attempt: DeliveryAttempt) -> Delivery:
        """The record once *attempt* is over: delivered, failed for good, or pending with its next instant."""
        attempts = (*self.attempts, attempt)
        if attempt.succeeded:
            return replace(self, state=DeliveryState.DELIVERED, attempts=attempts, next_at=None)
        delay_s = next_delay_s(len(attempts) - self.round, attempt.retry_after_s)
        if attempt.permanent or delay_s is None:
            return replace(self, state=DeliveryState.FAILED, attempts=attempts, next_at=None)
        # In whole milliseconds, as stores keep instants.
        return replace(self, attempts=attempts, next_at=attempt.at + timedelta(milliseconds=round(delay_s * 1000)))

    def again(self, now: datetime) -> Delivery:
        """The record at the start of a redelivery: pending, with a full round of attempts before it."""
        return replace(self, state=DeliveryState.PENDING, next_at=now, epoch=self.epoch + 1, round=len(self.attempts))


def next_delay_s(attempts_made: int, retry_after_s: float | None = None) -> float | None:
    """
    Seconds until the next attempt after *attempts_made*, with ±10 % jitter; None when there is none left.

    A receiver's `Retry-After` (429, 503) can lengthen the wait up to a day, never shorten it.
    """
    if attempts_made >= MAX_ATTEMPTS:
        return None
    planned = RETRY_DELAYS_S[attempts_made] * random.uniform(1 - _JITTER, 1 + _JITTER)
    return max(planned, min(retry_after_s or 0.0, 86_400.0))


def delivery_id(job_id: str, event: str, occurrence: int = 0) -> str:
    """``msg_<job>-<event>[-<n>]``: sorts like the jobs, holds no dot (a dot separates what is signed)."""
    suffix = "" if event == "completed" else f"-{occurrence}"
    return f"msg_{job_id.removeprefix('job_')}-{event}{suffix}"

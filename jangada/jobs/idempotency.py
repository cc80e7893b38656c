"""
What was answered to a request that carried an `Idempotency-Key`, kept for 24 hours.

The record comes before the job and names it: whoever dies between the job and
`remember` leaves a record from which the next caller learns that the job exists.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from jangada.clock import Clock, to_ms, utc_now
from jangada.errors import IdempotencyInProgressError, IdempotencyKeyReusedError

KEPT_S = 24 * 3600.0
TAKEOVER_S = 10.0
"""After that long without an answer the first caller is taken for dead."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """One key's record. *memo* is None while the first request is being handled."""

    fingerprint: str
    began_ms: int
    job_id: str | None = None
    memo: bytes | None = None


class IdempotencyStore(Protocol):
    """One record for each (tenant, route, key). Raises `StoreUnavailableError` when its server is away."""

    def begin(
        self, tenant_id: str, route: str, key: str, fingerprint: str, *, job_id: str | None = None
    ) -> bytes | None:
        """
        Say that the request with this body (its *fingerprint*) is about to be handled.

        None: go on (making the job *job_id*, when one is named), then `remember`,
        `forget` or `release`. `again` of an id: go on, but make the job of that id,
        which an earlier request may have made, or may be making still. Else the memo
        of the first time; for one that died after it made its job, `made` of that
        job's id. Raises `IdempotencyInProgressError`, or `IdempotencyKeyReusedError`
        when the key came with another body.
        """
        ...

    def remember(self, tenant_id: str, route: str, key: str, fingerprint: str, memo: bytes) -> None:
        """Keep *memo* as the answer. The second time it replaces the first."""
        ...

    def forget(self, tenant_id: str, route: str, key: str) -> None:
        """The request made nothing: the key is as good as new."""
        ...

    def release(self, tenant_id: str, route: str, key: str) -> None:
        """Nobody knows whether the request made its job: the next one goes on at once, with the same job."""
        ...

    def purge(self) -> int:
        """Remove records older than 24 hours; how many."""
        ...


def made(job_id: str) -> bytes:
    """The memo that says that the request made this job."""
    return b"j" + job_id.encode()


def again(job_id: str) -> bytes:
    """What `begin` says of a request that is to make the job of this id, which may exist by then."""
    return b"r" + job_id.encode()


def record_id(tenant_id: str, route: str, key: str) -> str:
    """One short id for the three."""
    return hashlib.sha256(f"{tenant_id}\0{route}\0{key}".encode()).hexdigest()


def judge(found: Remembered, fingerprint: str, now_ms: int, exists: Callable[[str], bool]) -> bytes | None:
    """
    What a second request is told about *found*; None: the first one is dead, take over, with its job's id.

    Raises as `IdempotencyStore.begin` does.
    """
    if found.fingerprint != fingerprint:
        raise IdempotencyKeyReusedError("this Idempotency-Key was used with another body")
    if found.memo is not None:
        return found.memo
    if found.job_id is not None and exists(found.job_id):
        return made(found.job_id)
    left_s = TAKEOVER_S - (now_ms - found.began_ms) / 1000
    if left_s > 0:
        raise IdempotencyInProgressError(
            "the first request with this Idempotency-Key is still being handled", retry_after_s=min(1.0, left_s)
        )
    return None


def dead_since(now_ms: int) -> int:
    """The beginning of a request that is taken for dead just now."""
    return now_ms - round(TAKEOVER_S * 1000)


class MemoryIdempotencyStore:
    """`IdempotencyStore` in one process. *exists* tells whether a job of that id was made."""

    def __init__(self, *, clock: Clock = utc_now, exists: Callable[[str], bool] = lambda _: False) -> None:
        self._clock = clock
        self._exists = exists
        self._lock = threading.Lock()
        self._records: dict[str, Remembered] = {}

    def begin(
        self, tenant_id: str, route: str, key: str, fingerprint: str, *, job_id: str | None = None
    ) -> bytes | None:
        now_ms = to_ms(self._clock())
        with self._lock:
            found = self._records.get(record_id(tenant_id, route, key))
            first_id = None
            if found is not None and now_ms - found.began_ms < KEPT_S * 1000:
                memo = judge(found, fingerprint, now_ms, self._exists)
                if memo is not None:
                    return memo
                first_id = found.job_id
            self._records[record_id(tenant_id, route, key)] = Remembered(fingerprint, now_ms, first_id or job_id)
            return None if first_id is None else again(first_id)

    def remember(self, tenant_id: str, route: str, key: str, fingerprint: str, memo: bytes) -> None:
        with self._lock:
            found = self._records.get(record_id(tenant_id, route, key))
            base = found or Remembered(fingerprint, to_ms(self._clock()))
            self._records[record_id(tenant_id, route, key)] = replace(base, fingerprint=fingerprint, memo=memo)

    def forget(self, tenant_id: str, route: str, key: str) -> None:
        with self._lock:
            self._records.pop(record_id(tenant_id, route, key), None)

    def release(self, tenant_id: str, route: str, key: str) -> None:
        row_id = record_id(tenant_id, route, key)
        with self._lock:
            if row_id in self._records:
                self._records[row_id] = replace(self._records[row_id], began_ms=dead_since(to_ms(self._clock())))

    def purge(self) -> int:
        oldest_ms = to_ms(self._clock()) - round(KEPT_S * 1000)
        with self._lock:
            old = [key for key, found in self._records.items() if found.began_ms < oldest_ms]
            for key in old:
                del self._records[key]
        return len(old)

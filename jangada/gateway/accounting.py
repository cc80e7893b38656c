"""Counts what passes: invocations by status code, how long they took, what is in flight, when the last one was."""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass, field

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram, as Prometheus clients have them by default."""


@dataclass(slots=True)
class CodeAccount:
    """The calls of one function that ended with one code; *buckets* are not cumulative, the last is above all."""

    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))

    def observe(self, seconds: float) -> None:
        """One more, that took so long."""
        self.count += 1
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS_S, seconds)] += 1


@dataclass(slots=True)
class FunctionAccount:
    """One function since this gateway's start; *used_at* is monotonic seconds."""

    started: int = 0
    in_flight: int = 0
    used_at: float = field(default_factory=time.monotonic)
    codes: dict[int, CodeAccount] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """How many calls ended, with whatever code."""
        return sum(code.count for code in self.codes.values())

    @property
    def succeeded(self) -> int:
        """How many ended with 200."""
        found = self.codes.get(200)
        return found.count if found is not None else 0


class Accounting:
    """By ``name.namespace``. Not thread-safe: lives on the gateway's one event loop."""

    def __init__(self) -> None:
        self.accounts: dict[str, FunctionAccount] = {}

    def of(self, function: str) -> FunctionAccount:
        """The account of *function*, empty when it was never called."""
        account = self.accounts.get(function)
        if account is None:
            account = self.accounts[function] = FunctionAccount()
        return account

    def begin(self, function: str) -> FunctionAccount:
        """One invocation has begun."""
        account = self.of(function)
        account.started += 1
        account.in_flight += 1
        return account

    def end(self, account: FunctionAccount, code: int, seconds: float) -> None:
        """That invocation ended with *code* after *seconds*; 499 when the client left first."""
        account.in_flight -= 1
        account.used_at = time.monotonic()
        ended = account.codes.get(code)
        if ended is None:
            ended = account.codes[code] = CodeAccount()
        ended.observe(seconds)

    def invocations(self, function: str) -> int:
        """How many invocations ended: what OpenFaaS calls ``invocationCount``."""
        account = self.accounts.get(function)
        return account.ended if account is not None else 0

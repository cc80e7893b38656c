"""Counts what passes: invocations by status code, what is in flight, seconds spent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class FunctionAccount:
    """One function since this gateway's start."""

    started: int = 0
    in_flight: int = 0
    seconds: float = 0.0
    codes: Counter[int] = field(default_factory=Counter)


class Accounting:
    """Not thread-safe: lives on the gateway's one event loop."""

    def __init__(self) -> None:
        self._accounts: dict[str, FunctionAccount] = {}

    def of(self, function: str) -> FunctionAccount:
        """The account of *function*, empty when it was never called."""
        account = self._accounts.get(function)
        if account is None:
            account = self._accounts[function] = FunctionAccount()
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
        account.seconds += seconds
        account.codes[code] += 1

    def invocations(self, function: str) -> int:
        """How many invocations ended: what OpenFaaS calls ``invocationCount``."""
        return self.of(function).codes.total()

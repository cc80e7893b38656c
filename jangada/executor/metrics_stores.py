"""Queue, store and execution as they are, with a look at the clock before and after."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from jangada.errors import StoreUnavailableError
from jangada.executor.metrics import ExecutorMetrics
from jangada.jobs.execution import Completion, JobExecution
from jangada.jobs.queue import BellClaim, Claimed, Lease

T = TypeVar("T")

QUEUE_OPERATIONS = ("finish_and_claim", "renew")
STORE_OPERATIONS = ("write_outcomes", "raise_fences")
"""The calls that jobs wait for; all others go through unmeasured."""


class MeasuredExecution(JobExecution):
    """Counts what every exchange stored and claimed, and tells *on_stored* of what is stored."""

    def __init__(
        self,
        metrics: ExecutorMetrics,
        *arguments: Any,
        on_stored: Callable[[Sequence[Completion]], None] = lambda _: None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._exchanged = metrics.exchanged
        self._on_stored = on_stored

    def exchange(self, completions: Sequence[Completion] = (), want: int = 0, **options: Any) -> list[Lease]:
        """As `JobExecution.exchange`; one that raises is not counted, since it is tried again."""
        leases = super().exchange(completions, want, **options)
        self._exchanged(completions, leases)
        self._on_stored(completions)
        return leases

    def heard(self, claim: BellClaim, claimed: Claimed, want: int) -> list[Lease]:
        """As `JobExecution.heard`: an exchange like any other."""
        leases = super().heard(claim, claimed, want)
        self._exchanged((), leases)
        return leases


def measured(inner: T, store: str, operations: Sequence[str], metrics: ExecutorMetrics) -> T:
    """*inner*, whose *operations* are timed under the name *store*; everything else is its own."""
    return cast(T, _Measured(inner, store, operations, metrics))


class _Measured:
    def __init__(self, inner: Any, store: str, operations: Sequence[str], metrics: ExecutorMetrics) -> None:
        self._inner = inner
        for operation in operations:
            setattr(self, operation, _timed(getattr(inner, operation), store, operation, metrics))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _timed(call: Callable[..., Any], store: str, operation: str, metrics: ExecutorMetrics) -> Callable[..., Any]:
    metrics.store_errors.add(store, operation, by=0)
    observe, clock = metrics.store.observe, time.perf_counter

    def timed(*arguments: Any, **options: Any) -> Any:
        began = clock()
        try:
            answer = call(*arguments, **options)
        except StoreUnavailableError:
            metrics.store_errors.add(store, operation)
            raise
        observe(clock() - began, store, operation)
        return answer

    return timed

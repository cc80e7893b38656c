"""The bell of one executor, at which a job may be claimed: what a lost answer had brought comes with its next call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jangada.errors import StoreUnavailableError
from jangada.jobs.queue import BellClaim, Claimed, Lease

if TYPE_CHECKING:
    from jangada.jobs.bell_line import BellLine


class Claimant(Protocol):
    """Whose bell it is, see `execution.JobExecution`."""

    def claim_at_bell(self) -> BellClaim:
        """One job to run."""
        ...

    def heard(self, claim: BellClaim, claimed: Claimed, want: int) -> Sequence[Lease]:
        """What the claim brought; beyond *want* it is handed back."""
        ...

    def missed(self, claim: BellClaim) -> None:
        """The answer to the claim will not be heard."""
        ...


@dataclass(frozen=True, slots=True)
class Ring:
    """The bell rang. *take*, given how many jobs there is room for, gives what was claimed; None: nothing was asked."""

    take: Callable[[int], Sequence[Lease]] | None = None
    left_more: bool = True
    """Whether there may be more to claim."""


class ClaimingLine:
    """A `BellLine` that claims for *claimant*. Only one thread may use it at a time."""

    def __init__(self, line: BellLine, claimant: Claimant) -> None:
        self._line = line
        self._claimant = claimant
        self._claim: BellClaim | None = None

    def ask(self, *, claims: bool = False) -> int:
        """Listen, and with *claims* claim a job at the ring; as `BellLine.ask`."""
        claim = self._claimant.claim_at_bell() if claims else None
        descriptor = self._line.ask(claim)
        self._claim = claim
        return descriptor

    @property
    def is_claiming(self) -> bool:
        """Whether a claim waits for the bell."""
        return self._claim is not None

    @property
    def is_overdue(self) -> bool:
        """Whether the answer should have come long ago."""
        return self._line.is_overdue

    @property
    def has_answer(self) -> bool:
        """Whether there is one, or the line is dead."""
        return self._line.has_answer

    def answer(self) -> Ring | None:
        """Once there is one: the ring, or None when only the time has passed. Raises `StoreUnavailableError`."""
        claim = self._claim
        try:
            rang, claimed = self._line.answer()
        except StoreUnavailableError:
            self._forget()
            raise
        self._claim = None
        if claim is None or claimed is None:
            return Ring() if rang else None
        if not rang and not claimed.leases:
            return None
        due_ms = claimed.next_due_ms
        return Ring(
            lambda want: self._claimant.heard(claim, claimed, want), due_ms is not None and due_ms <= claimed.now_ms
        )

    def close(self) -> None:
        """Listen no more; `ask` may be called again."""
        self._line.close()
        self._forget()

    def _forget(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            self._claimant.missed(claim)

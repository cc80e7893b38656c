"""What the executor's loop asks of the other side, whichever way leads there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from jangada.jobs.bell_claims import ClaimingLine
    from jangada.jobs.outcome import Completion
    from jangada.jobs.queue import Lease, LeaseState


class Execution(Protocol):
    """
    One executor's dealings with one queue: `JobExecution`, or `RemoteExecution` over HTTPS.

    Every method raises `StoreUnavailableError` when the other side is away; all may be
    called again then. Safe to call from several threads.
    """

    def exchange(
        self, completions: Sequence[Completion] = (), want: int = 0, *, running: bool = True, settle: int = 32
    ) -> list[Lease]:
        """Store what ended, close it in the queue and lease up to *want* jobs to run."""
        ...

    def start(self, leases: Sequence[Lease]) -> None:
        """Say that claimed jobs have begun to run."""
        ...

    def renew(self, leases: Sequence[Lease]) -> list[LeaseState]:
        """Keep *leases*; the answers also bring cancels."""
        ...

    def emit(self, lease: Lease, events: Sequence[tuple[str, dict[str, Any]]]) -> bool:
        """Append progress and log events of a running attempt."""
        ...

    def tell(self, lease: Lease, events: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """The last events of an attempt that ended: appended at the latest with the exchange that follows at once."""
        ...

    def listen(self, timeout_s: float) -> bool:
        """Block until the bell rings, at most *timeout_s*; whether it rang."""
        ...

    def bell_line(self) -> ClaimingLine | None:
        """What tells of the bell to a selector; None where only `listen` does."""
        ...

    def pass_on(self) -> None:
        """Wake another executor: this one heard the bell and has no room."""
        ...

    def idle_s(self) -> float:
        """How long an executor that hears no bell may go without an exchange."""
        ...

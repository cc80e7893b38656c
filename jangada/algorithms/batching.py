"""How jobs are gathered for an algorithm's ``run_batch``: said by ``executor.yml``, overridden by deployments."""

from __future__ import annotations

from dataclasses import dataclass

MOST_TOGETHER = 1024
LONGEST_WAIT_MS = 60_000


@dataclass(frozen=True, slots=True)
class Batching:
    """
    Jobs given to ``run_batch`` together: at most *max_batch*, waited for at most *max_wait_ms*. 1 is no batching.

    *is_adaptive*: both are upper bounds, and what is used follows what was measured.
    """

    max_batch: int = 1
    max_wait_ms: int = 0
    is_adaptive: bool = False

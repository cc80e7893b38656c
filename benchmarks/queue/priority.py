"""
Letting the benchmark go before what else runs on the machine, for all systems alike.

Linux gives each session an equal share of the processors, so on a busy machine one
with many sessions would take most of them. Where we may (root), ours are weighted up.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from benchmarks.processes import tree

_nice = 0


def ask(nice: int) -> None:
    """From now on run this session and those told to `join` at *nice* (-20 to 19); nothing happens where that fails."""
    global _nice  # noqa: PLW0603 - one for the whole run
    _nice = nice
    join(os.getpid())


def join_all(pids: Iterable[int]) -> None:
    """Give all that *pids* have started, in whatever sessions, the weight that was asked for."""
    for pid in pids:
        for each in tree(pid):
            join(each)


def join(pid: int) -> None:
    """Give the session of *pid* the weight that was asked for."""
    if _nice:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(str(_nice))

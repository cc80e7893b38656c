"""How much memory a child uses with all its processes, and whether the kernel killed one for it. Reads /proc only."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1024 * 1024


def tree_rss_bytes(pid: int) -> int:
    """Resident bytes of *pid* and its descendants; 0 when it is gone."""
    return sum(map(_rss_bytes, tree(pid)))


def tree(pid: int) -> list[int]:
    """*pid*, then its descendants."""
    found = [pid]
    for current in found:
        found += [child for child in _children(current) if child not in found]
    return found


def _rss_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 — read five times a second
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 — as above
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123 — as above
                found += map(int, file.read().split())
    except OSError:
        pass
    return found


class OomWatch:
    """Whether the kernel's out-of-memory killer struck in our control group since the last look."""

    def __init__(self) -> None:
        self._file = _events_file()
        self._count = self._read()

    def struck(self) -> bool:
        """True when it killed something of ours since the last call."""
        count, before = self._read(), self._count
        self._count = count
        return count > before

    def _read(self) -> int:
        if self._file is None:
            return 0
        try:
            for line in self._file.read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
        except (OSError, ValueError):
            pass
        return 0


def _events_file() -> Path | None:
    try:
        group = next(
            line.split("::", 1)[1] for line in Path("/proc/self/cgroup").read_text().splitlines() if "::" in line
        )
    except (OSError, StopIteration):
        return None
    file = Path("/sys/fs/cgroup", group.lstrip("/"), "memory.events")
    return file if file.is_file() else None

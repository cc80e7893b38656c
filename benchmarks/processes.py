"""CPU time and memory of processes, read from /proc: what every benchmark here reports beside its rates."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """*pid* and all its descendants."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in task.read_text().split())
            except OSError:
                continue
    return found


def cpu_s(pids: list[int]) -> float:
    """CPU seconds that *pids* and their reaped children have used so far."""
    total = 0.0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15]) * _TICK_S
    return total


def pss_mib(pids: list[int]) -> float:
    """Proportional set size of *pids* together, in MiB: shared pages counted once."""
    return _rollup_mib(pids, "Pss:")


def rss_mib(pids: list[int]) -> float:
    """Resident set size of *pids* together, in MiB: shared pages counted for each that has them."""
    return _rollup_mib(pids, "Rss:")


def _rollup_mib(pids: list[int], field: str) -> float:
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith(field))
    return total / 1024


def busy_cores_elsewhere(total_before: float, total_after: float, ours: float, wall_s: float) -> float:
    """Cores that processes outside the benchmark used, from two `machine_cpu_s` readings."""
    return max(0.0, (total_after - total_before - ours) / wall_s)


def machine_cpu_s() -> float:
    """CPU seconds that the whole machine has been busy since it started."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) * _TICK_S


@dataclass(frozen=True)
class Reading:
    """CPU seconds by part at one instant."""

    by_part: dict[str, float]

    @classmethod
    def of(cls, parts: dict[str, list[int]]) -> Reading:
        """Read all *parts* (name → pids)."""
        return cls({name: cpu_s(pids) for name, pids in parts.items()})

    def per_thousand(self, earlier: Reading, count: int) -> dict[str, float]:
        """CPU seconds per 1,000 of *count* things since *earlier*, by part."""
        return {
            name: round((value - earlier.by_part.get(name, 0.0)) * 1000 / count, 4)
            for name, value in self.by_part.items()
        }

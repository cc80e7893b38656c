"""What this machine has: cores, memory, GPUs. Read once, when the agent starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from jangada.deployments.gpu import Gpu
from jangada.errors import ConfigurationError
from jangada.executor.devices import NVIDIA_SMI, NvidiaDevices

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a machine can give to replicas in all. Thousandths of a core, MiB."""

    cpu_millicores: int
    memory_mib: int
    gpus: tuple[Gpu, ...] = ()


def machine_capacity(
    *, cpu: float | None = None, memory_mib: int | None = None, cgroup: Path = _CGROUP, meminfo: Path = _MEMINFO
) -> Capacity:
    """
    All that this machine has, or *cpu* cores and *memory_mib* of it where given.

    What a container or a service may use counts, not what lies under it. Raises
    `ConfigurationError` when more is to be offered than there is, and when the
    driver does not say which GPUs there are.
    """
    has_cpu, has_memory = _millicores(cgroup), _memory_mib(cgroup, meminfo)
    offers_cpu = has_cpu if cpu is None else round(cpu * 1000)
    offers_memory = has_memory if memory_mib is None else memory_mib
    if offers_cpu > has_cpu:
        raise ConfigurationError(f"this machine has {has_cpu / 1000:g} cores, {offers_cpu / 1000:g} cannot be offered")
    if offers_memory > has_memory:
        raise ConfigurationError(f"this machine has {has_memory} MiB of memory, {offers_memory} cannot be offered")
    return Capacity(offers_cpu, offers_memory, find_gpus())


def find_gpus(program: str = NVIDIA_SMI) -> tuple[Gpu, ...]:
    """
    The GPUs that NVIDIA's driver shows, by UUID; none where there is no *program*.

    Raises `ConfigurationError` when it is there and fails: a node that hides its
    GPUs would let jobs wait for ever, and nobody would know why.
    """
    return tuple(gpu for gpu in NvidiaDevices(program).gpus() if gpu.memory_mib)


def _millicores(cgroup: Path) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _words(cgroup / "cpu.max")
    if len(quota) == 2 and quota[0].isdigit() and int(quota[1]):
        return min(cores * 1000, max(1, int(quota[0]) * 1000 // int(quota[1])))
    return cores * 1000


def _memory_mib(cgroup: Path, meminfo: Path) -> int:
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    for line in _lines(meminfo):
        if line.startswith("MemTotal:"):
            there = int(line.split()[1]) // 1024
    most = _words(cgroup / "memory.max")
    return min(there, int(most[0]) // 2**20) if most and most[0].isdigit() else there


def _words(file: Path) -> list[str]:
    return " ".join(_lines(file)).split()


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").splitlines()
    except OSError:
        return []

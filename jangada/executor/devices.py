"""
The GPUs of this machine, and which of them a slot has for itself.

Devices are named by UUID and nothing else: an index is another device to another
program, and to the same one after a restart. `NvidiaDevices` asks the driver;
`FixedDevices` is for tests, and for whoever knows better.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jangada.deployments.gpu import Gpu
from jangada.errors import ConfigurationError

NVIDIA_SMI = "nvidia-smi"
MIB = 2**20

_ASK_WITHIN_S = 20.0
_PLACES = ("/usr/lib/wsl/lib",)
"""Where the program lies beside those of PATH: Windows' Linux puts it there."""
_PROC = Path("/proc/driver/nvidia/gpus")
_NOT_A_DEVICE = frozenset({"", "-1", "none", "void", "NoDevFiles"})


class DeviceLayer(Protocol):
    """What the machine's driver knows."""

    def gpus(self) -> tuple[Gpu, ...]:
        """All devices; none where there is no driver. Raises `ConfigurationError` when it does not answer."""
        ...

    def used_mib(self) -> Mapping[str, int]:
        """Memory in use by UUID, of whomever it is; raises as `gpus`."""
        ...


@dataclass(frozen=True, slots=True)
class FixedDevices:
    """A `DeviceLayer` that was told."""

    found: tuple[Gpu, ...] = ()
    used: Mapping[str, int] | None = None

    def gpus(self) -> tuple[Gpu, ...]:
        """See `DeviceLayer.gpus`."""
        return self.found

    def used_mib(self) -> Mapping[str, int]:
        """See `DeviceLayer.used_mib`."""
        return self.used or {gpu.uuid: 0 for gpu in self.found}


@dataclass(frozen=True, slots=True)
class NvidiaDevices:
    """
    A `DeviceLayer` over ``nvidia-smi``, which speaks NVML to the driver.

    Where there is no such *program*, the driver's own files in *proc* name the devices, without their memory.
    """

    program: str = NVIDIA_SMI
    proc: Path = _PROC

    def gpus(self) -> tuple[Gpu, ...]:
        """See `DeviceLayer.gpus`."""
        path = self._path()
        if path is None:
            return _named_by_driver(self.proc)
        lines = self._ask(path, "uuid,name,memory.total")
        return tuple(_gpu(line) for line in lines)

    def used_mib(self) -> Mapping[str, int]:
        """See `DeviceLayer.used_mib`."""
        path = self._path()
        if path is None:
            return {}
        used = {}
        for line in self._ask(path, "uuid,memory.used"):
            uuid, _, mib = (part.strip() for part in line.partition(","))
            used[uuid] = _whole(mib, line)
        return used

    def _path(self) -> str | None:
        return shutil.which(self.program) or shutil.which(self.program, path=":".join(_PLACES))

    def _ask(self, path: str, fields: str) -> list[str]:
        command = [path, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_WITHIN_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigurationError(f"{self.program} does not answer: {error}") from error
        if answer.returncode != 0:
            said = (answer.stderr or answer.stdout).strip().splitlines() or [f"exit code {answer.returncode}"]
            raise ConfigurationError(f"{self.program} cannot say which GPUs there are: {said[0]}")
        return [line for line in answer.stdout.splitlines() if line.strip()]


def _gpu(line: str) -> Gpu:
    parts = [part.strip() for part in line.split(",")]
    if len(parts) != 3:
        raise ConfigurationError(f"{NVIDIA_SMI} said {line.strip()!r}, expected UUID, name and memory in MiB")
    return Gpu(parts[0], parts[1], _whole(parts[2], line))


def _whole(text: str, line: str) -> int:
    if not text.isdigit():
        raise ConfigurationError(f"{NVIDIA_SMI} said {line.strip()!r}, expected UUID, name and memory in MiB")
    return int(text)


def _named_by_driver(folder: Path) -> tuple[Gpu, ...]:
    found = []
    for file in sorted(folder.glob("*/information")):
        lines = (line.partition(":") for line in file.read_text(errors="replace").splitlines())
        facts = {name.strip(): value.strip() for name, _, value in lines}
        if uuid := facts.get("GPU UUID"):
            found.append(Gpu(uuid, facts.get("Model") or "gpu", 0))
    return tuple(found)


def visible(gpus: Sequence[Gpu], environ: Mapping[str, str]) -> tuple[Gpu, ...]:
    """
    Those of *gpus* that this process may use, by CUDA_VISIBLE_DEVICES, in its order.

    Raises `ConfigurationError` for an index, and for a device that is not there.
    """
    said = environ.get("CUDA_VISIBLE_DEVICES")
    if said is None:
        return tuple(gpus)
    if said.strip() in _NOT_A_DEVICE:
        return ()
    return tuple(_named(word.strip(), gpus) for word in said.split(","))


def _named(word: str, gpus: Sequence[Gpu]) -> Gpu:
    there = ", ".join(gpu.uuid for gpu in gpus) or "none"
    if word.startswith("MIG-"):
        # A part of a device: the driver lists only whole ones.
        return Gpu(word, "MIG", 0)
    if word.isdigit():
        raise ConfigurationError(
            f"CUDA_VISIBLE_DEVICES: expected UUIDs, found the index {word}, "
            f"which is another device to another program; there are {there}"
        )
    # CUDA itself takes the beginning of a UUID.
    found = [gpu for gpu in gpus if word and gpu.uuid.startswith(word)]
    if len(found) != 1:
        raise ConfigurationError(f"CUDA_VISIBLE_DEVICES: {word!r} is not one device of this machine; there are {there}")
    return found[0]


@dataclass(frozen=True, slots=True)
class SlotDevice:
    """
    What the children of one slot have for themselves: *gpus*, and of each at most *memory_fraction* (0 to 1).

    *is_required*: without them its algorithm is not to run. None of them: the CPU.
    """

    gpus: tuple[Gpu, ...] = ()
    memory_fraction: float = 1.0
    is_required: bool = False

    @property
    def memory_bytes(self) -> int | None:
        """That share of the smallest of them; None where its size is not known."""
        smallest = min((gpu.memory_mib for gpu in self.gpus), default=0)
        return int(smallest * MIB * self.memory_fraction) or None

    @property
    def type(self) -> str | None:
        """What the ledger calls it; None for the CPU."""
        return ", ".join(sorted({gpu.type for gpu in self.gpus})) or None

    def environ(self, known: Mapping[str, str]) -> dict[str, str]:
        """What its children's environment has besides *known*, whose own words on memory stay."""
        said = {"CUDA_VISIBLE_DEVICES": ",".join(gpu.uuid for gpu in self.gpus)}
        if not self.gpus:
            return said
        share = {
            # JAX takes three quarters at once unless told otherwise, CuPy all.
            "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{self.memory_fraction:g}",
            "CUPY_GPU_MEMORY_LIMIT": f"{self.memory_fraction * 100:g}%",
        }
        return said | {name: value for name, value in share.items() if name not in known}

    def options(self) -> list[str]:
        """What a child is told of it on its command line."""
        if not self.gpus:
            return ["--gpu-required"] if self.is_required else []
        said = ["--gpus", ",".join(gpu.uuid for gpu in self.gpus), "--gpu-memory-fraction", f"{self.memory_fraction:g}"]
        if self.memory_bytes is not None:
            said += ["--gpu-memory-bytes", str(self.memory_bytes)]
        return [*said, "--gpu-required"] if self.is_required else said


def deal(gpus: Sequence[Gpu], slots: int) -> tuple[tuple[Gpu, ...], ...]:
    """
    One share of *gpus* for each slot, no device in two: two processes on one device run out of its memory together.

    Raises `ConfigurationError` when there are fewer devices than *slots*.
    """
    if slots > len(gpus):
        raise ConfigurationError(f"{slots} slots need {slots} GPUs, one each, and {len(gpus)} can be seen")
    return tuple(tuple(gpus[slot::slots]) for slot in range(slots))

"""Whether an executor's algorithm runs on GPUs or on the CPU, and with which of them in which slot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jangada.algorithms.manifest import AlgorithmManifest
from jangada.errors import ConfigurationError
from jangada.executor.devices import DeviceLayer, SlotDevice, deal, visible


@dataclass(frozen=True, slots=True)
class Placing:
    """A device for each slot; empty: the algorithm has no use for any. *remark* is for people."""

    slots: int
    devices: tuple[SlotDevice, ...] = ()
    remark: str | None = None

    @property
    def has_gpu(self) -> bool:
        """Whether slots have GPUs."""
        return any(device.gpus for device in self.devices)


def place(
    manifest: AlgorithmManifest,
    layer: DeviceLayer,
    environ: Mapping[str, str],
    *,
    concurrency: int | None = None,
    needs_gpu: bool = False,
    allow_cpu: bool = False,
    memory_fraction: float = 1.0,
) -> Placing:
    """
    Where *manifest*'s algorithm is to run: on the GPUs that *environ* lets us see, wherever it can use them.

    *concurrency* slots, or as many as it says itself; on GPUs its own number is no more than
    there are devices. Raises `ConfigurationError` when a GPU is needed (by it, or by its
    deployment) and none is there, unless *allow_cpu*, and when slots would have to share one.
    """
    slots = concurrency or manifest.concurrency
    if "gpu" not in manifest.device:
        return Placing(slots)
    is_required = (manifest.device == "gpu" or needs_gpu) and not allow_cpu
    try:
        gpus = visible(layer.gpus(), environ)
    except ConfigurationError as error:
        if is_required or "CUDA_VISIBLE_DEVICES" in environ:
            raise
        return Placing(slots, _cpu(slots), f"{error.detail}: {manifest.name} runs on the CPU")
    if not gpus:
        if is_required:
            who = manifest.name if manifest.device == "gpu" else f"the deployment of {manifest.name}"
            raise ConfigurationError(
                f"{who} needs a GPU and this machine shows none; JANGADA_ALLOW_CPU=1 runs it on the CPU"
            )
        return Placing(slots, _cpu(slots))
    if concurrency is None:
        slots = min(slots, len(gpus))
    share = memory_fraction
    if (cap_mib := manifest.limits.gpu_memory_mib) is not None:
        share = min(share, _share_of(cap_mib, min(gpu.memory_mib for gpu in gpus), manifest.name))
    return Placing(slots, tuple(SlotDevice(each, share, is_required) for each in deal(gpus, slots)))


def _cpu(slots: int) -> tuple[SlotDevice, ...]:
    # Said all the same, so that no library finds a GPU by itself.
    return (SlotDevice(),) * slots


def _share_of(cap_mib: int, memory_mib: int, name: str) -> float:
    if not memory_mib:
        return 1.0
    if cap_mib > memory_mib:
        raise ConfigurationError(
            f"{name} is allowed {cap_mib} MiB of GPU memory (limits.gpu_memory_mib), its GPU has {memory_mib} MiB"
        )
    return cap_mib / memory_mib

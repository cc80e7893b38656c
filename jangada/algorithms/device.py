"""Where an algorithm is to compute: what `SetupContext` and `Context` say of it. Standard library only."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"


class DeviceMissingError(Exception):
    """Raised when a GPU was promised and a library cannot use it; says what to do about it."""


@dataclass(frozen=True, slots=True)
class Device:
    """
    The GPUs that this process has for itself; none of them: the CPU.

    Of each it may take *memory_fraction* (0 to 1), which is *memory_bytes* of the smallest.
    *is_required*: it must not fall back to the CPU.
    """

    gpus: tuple[str, ...] = ()
    memory_fraction: float = 1.0
    memory_bytes: int | None = None
    is_required: bool = False

    @property
    def kind(self) -> str:
        """``cuda`` or ``cpu``, as torch names them too."""
        return "cuda" if self.gpus else "cpu"

    def onnx_providers(self, available: Sequence[str]) -> list[Any]:
        """
        What to give an onnxruntime session as *providers*, of those that ``get_available_providers`` names.

        Raises `DeviceMissingError` when a GPU is required and this onnxruntime knows none.
        """
        if not self.gpus or CUDA not in available:
            if self.is_required:
                raise DeviceMissingError("this onnxruntime has no CUDA: install onnxruntime-gpu in its place")
            return [CPU]
        # The arena doubles by itself otherwise, beyond what is needed and up to all there is.
        options = {"device_id": "0", "arena_extend_strategy": "kSameAsRequested"}
        if self.memory_bytes is not None:
            options["gpu_mem_limit"] = str(self.memory_bytes)
        return [(CUDA, options), CPU]

    def of_onnx(self, session: Any) -> str:
        """
        Where *session* runs in fact, ``cuda`` or ``cpu``: a provider that does not load is left out without a word.

        Raises `DeviceMissingError` when that is the CPU and a GPU is required.
        """
        kind = "cuda" if session.get_providers()[0] == CUDA else "cpu"
        if kind == "cpu" and self.is_required:
            raise DeviceMissingError(f"{CUDA} is installed but does not load: see what it printed")
        return kind

    def limit_torch(self) -> None:
        """
        Have torch keep to *memory_fraction*; nothing while it is not imported, or has no CUDA.

        Called by itself before ``setup`` where the module of the algorithm imports torch.
        """
        torch = sys.modules.get("torch")
        if torch is None or not self.gpus or not torch.cuda.is_available():
            return
        for index in range(len(self.gpus)):
            torch.cuda.set_per_process_memory_fraction(self.memory_fraction, index)

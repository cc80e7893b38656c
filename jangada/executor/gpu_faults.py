"""What a GPU's failure looks like in exceptions and on standard error. Standard library only: the child has it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum


class GpuFault(StrEnum):
    """What it means for the child. After either, only a new process is sure to get its memory and its context back."""

    OUT_OF_MEMORY = "out of memory"
    BROKEN = "broken"
    """The CUDA context is lost: whatever comes next in this process fails too."""


_OUT_OF_MEMORY_TYPES = frozenset(
    {
        "torch.OutOfMemoryError",
        "torch.cuda.OutOfMemoryError",
        "cupy.cuda.memory.OutOfMemoryError",
        "cuda.core.CUDAOutOfMemoryError",
    }
)
"""By module and name, as the libraries themselves spell them; their subclasses count."""

# Text, as `re` compiles it when it is first asked for: most children never ask.
_OUT_OF_MEMORY = (
    # torch, numba, cupy's runtime, onnxruntime's CUDA calls
    r"CUDA[^\n]{0,60}out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|hipErrorOutOfMemory"
    r"|CU(?:BLAS|DNN|SPARSE|SOLVER|FFT)_(?:STATUS_)?ALLOC_FAILED"
    r"|c10::(?:cuda::)?(?:CUDA)?OutOfMemoryError"
    # cupy's pool, jax, tensorflow
    r"|Out of memory allocating [\d,]+ bytes|RESOURCE_EXHAUSTED: Out of memory|OOM when allocating tensor"
)
_ARENA = (
    # onnxruntime's arena, which says the same of main memory
    r"BFCArena[^\n]{0,200}(?:Failed to allocate memory for requested buffer|Available memory of)"
)
_BROKEN = (
    r"CUDA error: (?!out of memory)|CUDA failure \d+|cudaError(?!MemoryAllocation)[A-Z]\w+"
    r"|CUDA_ERROR_(?!OUT_OF_MEMORY)(?:ILLEGAL|LAUNCH|ECC|ASSERT|HARDWARE|UNKNOWN)\w*"
)


def fault_in(text: str, *, has_gpu: bool = True) -> GpuFault | None:
    """The fault that *text* tells of. *has_gpu*: the process has a GPU, so that an arena is the GPU's."""
    if re.search(_OUT_OF_MEMORY, text) or (has_gpu and re.search(_ARENA, text)):
        return GpuFault.OUT_OF_MEMORY
    return GpuFault.BROKEN if has_gpu and re.search(_BROKEN, text) else None


def fault_of(error: BaseException, *, has_gpu: bool = True) -> GpuFault | None:
    """The fault behind *error* or behind what caused it, by type and by message; None for any other error."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        if any(f"{kind.__module__}.{kind.__qualname__}" in _OUT_OF_MEMORY_TYPES for kind in type(each).__mro__):
            return GpuFault.OUT_OF_MEMORY
        if not isinstance(each, SystemExit) and (fault := fault_in(str(each), has_gpu=has_gpu)) is not None:
            return fault
        each = each.__cause__
    return None


def out_of_memory_in(lines: Iterable[str], *, has_gpu: bool = True) -> bool:
    """Whether a process that died said in its last *lines* that a GPU's memory was full."""
    return any(fault_in(line, has_gpu=has_gpu) is GpuFault.OUT_OF_MEMORY for line in lines)

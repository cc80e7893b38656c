"""What libraries say when a GPU fails, in their own words."""

from __future__ import annotations

import pytest

from jangada.executor.gpu_faults import GpuFault, fault_in, fault_of, out_of_memory_in

FULL = [
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 23.68 GiB",
    "CUDA error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "CUDA failure 2: out of memory ; GPU=0 ; hostname=x ; expr=cudaMalloc((void**)&p, size);",
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Mul node. "
    "Status Message: bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) "
    "Failed to allocate memory for requested buffer of size 2830172160",
    "Out of memory allocating 1,073,741,824 bytes (allocated so far: 512 bytes).",
    "cudaErrorMemoryAllocation: out of memory",
    "[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY",
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.",
    "terminate called after throwing an instance of 'c10::OutOfMemoryError'",
]
BROKEN = [
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: device-side assert triggered",
    "CUDA failure 700: an illegal memory access was encountered ; GPU=0",
    "cudaErrorIllegalAddress: an illegal memory access was encountered",
    "[700] Call to cuMemcpyDtoH results in CUDA_ERROR_ILLEGAL_ADDRESS",
]


@pytest.mark.parametrize("text", FULL)
def test_a_full_gpu_is_recognised(text: str) -> None:
    assert fault_of(RuntimeError(text)) is GpuFault.OUT_OF_MEMORY
    assert out_of_memory_in(["a line", text])


@pytest.mark.parametrize("text", BROKEN)
def test_a_lost_context_is_recognised_and_is_no_lack_of_memory(text: str) -> None:
    assert fault_of(RuntimeError(text)) is GpuFault.BROKEN
    assert not out_of_memory_in([text])
    assert fault_in(text, has_gpu=False) is None


@pytest.mark.parametrize("text", ["out of memory", "the customer ran out of paper", "", "CUDA is not available"])
def test_what_tells_of_something_else_is_no_fault(text: str) -> None:
    assert fault_of(RuntimeError(text)) is None


def test_an_arena_of_main_memory_is_not_the_gpus() -> None:
    assert fault_in(FULL[5], has_gpu=False) is None


@pytest.mark.parametrize(("module", "name"), [("torch", "OutOfMemoryError"), ("cupy.cuda.memory", "OutOfMemoryError")])
def test_the_types_of_the_libraries_count_whatever_they_say(module: str, name: str) -> None:
    kind = type(name, (MemoryError,), {"__module__": module})
    own = type("Own", (kind,), {})
    assert fault_of(kind("no words")) is GpuFault.OUT_OF_MEMORY
    assert fault_of(own()) is GpuFault.OUT_OF_MEMORY


def test_the_cause_of_an_error_counts_and_a_circle_of_causes_ends() -> None:
    outer, inner = ValueError("inference failed"), RuntimeError(FULL[0])
    outer.__cause__ = inner
    inner.__cause__ = outer
    assert fault_of(outer) is GpuFault.OUT_OF_MEMORY
    inner.args = ("nothing",)
    assert fault_of(outer) is None

"""What an author is told of the device, and what libraries are told by it."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from jangada.algorithms.device import Device, DeviceMissingError

CUDA, CPU, OTHER = "CUDAExecutionProvider", "CPUExecutionProvider", "AzureExecutionProvider"
GPU = Device(("GPU-a", "GPU-b"), 0.5, 1000, is_required=False)
REQUIRED = Device(("GPU-a",), is_required=True)


def test_onnxruntime_gets_cuda_with_its_cap_and_never_what_else_it_lists():
    (name, options), fallback = GPU.onnx_providers([OTHER, CUDA, CPU])
    assert (name, fallback) == (CUDA, CPU)
    assert options == {"device_id": "0", "arena_extend_strategy": "kSameAsRequested", "gpu_mem_limit": "1000"}
    assert Device().onnx_providers([CUDA, CPU]) == [CPU]


def test_a_library_without_cuda_runs_on_the_cpu_unless_a_gpu_is_required():
    assert GPU.onnx_providers([OTHER, CPU]) == [CPU]
    with pytest.raises(DeviceMissingError, match="install onnxruntime-gpu"):
        REQUIRED.onnx_providers([CPU])
    with pytest.raises(DeviceMissingError):
        Device(is_required=True).onnx_providers([CUDA, CPU])


def test_a_provider_that_did_not_load_is_found_out():
    on_cpu, on_cuda = (SimpleNamespace(get_providers=lambda name=name: [name]) for name in (CPU, CUDA))
    assert (GPU.of_onnx(on_cuda), GPU.of_onnx(on_cpu)) == ("cuda", "cpu")
    with pytest.raises(DeviceMissingError, match="does not load"):
        REQUIRED.of_onnx(on_cpu)


def test_torch_is_told_its_share_of_each_device(monkeypatch):
    told = []
    cuda = SimpleNamespace(
        is_available=lambda: True, set_per_process_memory_fraction=lambda share, index: told.append((share, index))
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    GPU.limit_torch()
    Device().limit_torch()
    assert told == [(0.5, 0), (0.5, 1)]


def test_without_torch_nothing_happens(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    GPU.limit_torch()

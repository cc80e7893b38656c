"""Which GPUs there are, which of them are ours, and what a slot has of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jangada.algorithms.manifest import AlgorithmManifest, Limits
from jangada.deployments.gpu import Gpu
from jangada.errors import ConfigurationError
from jangada.executor.devices import FixedDevices, NvidiaDevices, SlotDevice, deal, visible
from jangada.executor.placing import place
from tests.fake_gpu import FakeGpus

A, B = Gpu("GPU-aaaa", "NVIDIA H200", 143_000), Gpu("GPU-bbbb", "NVIDIA A100", 40_000)
TWO = FixedDevices((A, B))
NONE = FixedDevices()
MIB = 2**20


def algorithm(device: str = "cpu+gpu", **facts) -> AlgorithmManifest:
    return AlgorithmManifest("ocr", "1.0.0", Path("/ocr"), device=device, **facts)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, (A, B)),
        ("", ()),
        ("-1", ()),
        ("void", ()),
        ("GPU-bbbb", (B,)),
        ("GPU-bbbb,GPU-aaaa", (B, A)),
        ("GPU-b", (B,)),
        ("MIG-1234", (Gpu("MIG-1234", "MIG", 0),)),
    ],
)
def test_the_environment_says_which_devices_are_ours(said, found):
    assert visible((A, B), {} if said is None else {"CUDA_VISIBLE_DEVICES": said}) == found


@pytest.mark.parametrize(
    ("said", "words"), [("0", "the index 0"), ("GPU-cccc", "'GPU-cccc' is not one"), ("GPU-", "'GPU-' is not one")]
)
def test_an_index_and_what_is_not_there_are_refused_with_what_is(said, words):
    with pytest.raises(ConfigurationError, match=words) as refused:
        visible((A, B), {"CUDA_VISIBLE_DEVICES": said})
    assert "there are GPU-aaaa, GPU-bbbb" in str(refused.value)


def test_no_device_is_in_two_slots():
    assert deal((A, B), 1) == ((A, B),)
    assert deal((A, B), 2) == ((A,), (B,))
    with pytest.raises(ConfigurationError, match="3 slots need 3 GPUs, one each, and 2 can be seen"):
        deal((A, B), 3)


def test_cuda_is_taken_where_there_is_one_and_the_cpu_else():
    assert place(algorithm(), TWO, {}).devices == (SlotDevice((A, B)),)
    assert place(algorithm(), NONE, {}).devices == (SlotDevice(),)
    assert not place(algorithm(), NONE, {}).has_gpu


def test_what_runs_on_the_cpu_does_not_even_look():
    class Unasked:
        def gpus(self):
            raise AssertionError("asked")

        used_mib = gpus

    assert place(algorithm("cpu"), Unasked(), {}).devices == ()


@pytest.mark.parametrize(("device", "needs_gpu"), [("gpu", False), ("cpu+gpu", True)])
def test_a_gpu_queue_is_refused_where_there_is_none_unless_it_is_allowed(device, needs_gpu):
    with pytest.raises(ConfigurationError, match="needs a GPU and this machine shows none; JANGADA_ALLOW_CPU=1"):
        place(algorithm(device), NONE, {}, needs_gpu=needs_gpu)
    with pytest.raises(ConfigurationError, match="needs a GPU"):
        place(algorithm(device), TWO, {"CUDA_VISIBLE_DEVICES": ""}, needs_gpu=needs_gpu)
    assert place(algorithm(device), NONE, {}, needs_gpu=needs_gpu, allow_cpu=True).devices == (SlotDevice(),)


def test_a_required_gpu_is_said_to_be_so():
    assert place(algorithm("gpu"), TWO, {}).devices[0].is_required
    assert not place(algorithm(), TWO, {}).devices[0].is_required


def test_its_own_number_of_slots_is_cut_to_the_devices_and_one_that_was_asked_for_is_refused():
    assert place(algorithm(concurrency=4), TWO, {}).slots == 2
    assert place(algorithm(concurrency=4), NONE, {}).slots == 4
    with pytest.raises(ConfigurationError, match="3 slots need 3 GPUs"):
        place(algorithm(), TWO, {}, concurrency=3)


def test_a_driver_that_fails_is_told_of_and_is_fatal_only_where_a_gpu_is_needed(tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Driver/library version mismatch' >&2; exit 18\n")
    program.chmod(0o755)
    layer = NvidiaDevices(str(program))
    with pytest.raises(ConfigurationError, match="version mismatch"):
        place(algorithm("gpu"), layer, {})
    placing = place(algorithm(), layer, {})
    assert placing.remark is not None
    assert "version mismatch" in placing.remark
    assert placing.devices == (SlotDevice(),)


def test_memory_is_capped_by_share_and_by_what_the_algorithm_says():
    (device,) = place(algorithm(), FixedDevices((B,)), {}, memory_fraction=0.5).devices
    assert device.memory_bytes == 20_000 * MIB
    capped = algorithm(limits=Limits(gpu_memory_mib=10_000))
    (device,) = place(capped, FixedDevices((B,)), {}, memory_fraction=0.5).devices
    assert device.memory_bytes == 10_000 * MIB
    with pytest.raises(ConfigurationError, match=r"allowed 50000 MiB .* its GPU has 40000 MiB"):
        place(algorithm(limits=Limits(gpu_memory_mib=50_000)), TWO, {})


def test_children_see_their_devices_by_uuid_and_no_others():
    device = SlotDevice((B, A), 0.5)
    environ = device.environ({"CUPY_GPU_MEMORY_LIMIT": "1%"})
    assert environ == {"CUDA_VISIBLE_DEVICES": "GPU-bbbb,GPU-aaaa", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.5"}
    assert SlotDevice().environ({}) == {"CUDA_VISIBLE_DEVICES": ""}
    assert device.options() == [
        "--gpus", "GPU-bbbb,GPU-aaaa", "--gpu-memory-fraction", "0.5", "--gpu-memory-bytes", str(20_000 * MIB),
    ]  # fmt: skip
    assert SlotDevice().options() == []
    assert replace(device, is_required=True).options()[-1] == "--gpu-required"


def test_the_ledger_names_the_types():
    assert SlotDevice((A, B)).type == "NVIDIA A100, NVIDIA H200"
    assert SlotDevice().type is None


@pytest.fixture(params=["fixed", "nvidia-smi"])
def layer(request, tmp_path):
    if request.param == "fixed":
        return FixedDevices((Gpu("GPU-aaaa", "NVIDIA H200", 143_771),))
    return NvidiaDevices(str(FakeGpus(tmp_path).install().program))


def test_a_layer_tells_devices_and_their_use(layer):
    assert layer.gpus() == (Gpu("GPU-aaaa", "NVIDIA H200", 143_771),)
    assert dict(layer.used_mib()) == {"GPU-aaaa": 0}


def test_without_the_program_the_drivers_own_files_name_the_devices(tmp_path):
    device = tmp_path / "gpus" / "0000:01:00.0"
    device.mkdir(parents=True)
    (device / "information").write_text("Model: \t\t NVIDIA H200\nIRQ: 1\nGPU UUID: \t GPU-aaaa\n")
    (tmp_path / "gpus" / "0000:02:00.0").mkdir()
    layer = NvidiaDevices(str(tmp_path / "none"), tmp_path / "gpus")
    assert layer.gpus() == (Gpu("GPU-aaaa", "NVIDIA H200", 0),)
    assert layer.used_mib() == {}
    assert SlotDevice(layer.gpus()).memory_bytes is None

"""What a machine offers."""

from __future__ import annotations

import os

import pytest

from jangada.deployments.node import Gpu
from jangada.errors import ConfigurationError
from jangada.node.capacity import find_gpus, machine_capacity


def fake_smi(folder, text):
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "cgroup").mkdir()
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       16777216 kB\nMemFree: 1 kB\n")
    return {"cgroup": tmp_path / "cgroup", "meminfo": meminfo}


def test_without_limits_all_cores_and_all_memory_are_offered(machine):
    found = machine_capacity(**machine)
    assert (found.cpu_millicores, found.memory_mib) == (len(os.sched_getaffinity(0)) * 1000, 16384)


def test_the_limits_of_a_container_count_not_the_machine_under_it(machine):
    (machine["cgroup"] / "cpu.max").write_text("50000 100000\n")
    (machine["cgroup"] / "memory.max").write_text(f"{2 * 2**30}\n")
    found = machine_capacity(**machine)
    assert (found.cpu_millicores, found.memory_mib) == (500, 2048)


def test_a_limit_of_max_is_none(machine):
    (machine["cgroup"] / "cpu.max").write_text("max 100000\n")
    (machine["cgroup"] / "memory.max").write_text("max\n")
    assert machine_capacity(**machine) == machine_capacity(**machine | {"cgroup": machine["cgroup"] / "none"})


def test_less_may_be_offered_than_there_is_and_never_more(machine):
    found = machine_capacity(cpu=0.5, memory_mib=512, **machine)
    assert (found.cpu_millicores, found.memory_mib) == (500, 512)
    with pytest.raises(ConfigurationError, match="cores"):
        machine_capacity(cpu=4096, **machine)
    with pytest.raises(ConfigurationError, match="16384 MiB"):
        machine_capacity(memory_mib=16385, **machine)


def test_gpus_are_what_the_driver_says_by_uuid(tmp_path):
    program = fake_smi(
        tmp_path,
        'test "$1" = --query-gpu=uuid,name,memory.total || exit 9\n'
        'echo "GPU-aaaa, NVIDIA H200, 143771"\necho "GPU-bbbb, NVIDIA A100-SXM4-40GB, 40960"',
    )
    assert find_gpus(program) == (
        Gpu("GPU-aaaa", "NVIDIA H200", 143771),
        Gpu("GPU-bbbb", "NVIDIA A100-SXM4-40GB", 40960),
    )


def test_a_machine_without_the_driver_has_no_gpus(tmp_path):
    assert find_gpus(str(tmp_path / "nvidia-smi")) == ()


def test_a_driver_that_fails_is_told_of_and_not_taken_for_no_gpus(tmp_path):
    program = fake_smi(tmp_path, "echo 'Failed to initialize NVML: Driver/library version mismatch' >&2; exit 18")
    with pytest.raises(ConfigurationError, match="version mismatch"):
        find_gpus(program)


def test_a_driver_that_says_something_else_is_told_of(tmp_path):
    with pytest.raises(ConfigurationError, match="expected UUID"):
        find_gpus(fake_smi(tmp_path, "echo GPU-aaaa, NVIDIA H200, [N/A]"))

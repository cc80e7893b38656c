"""What the pretended devices of the other tests stand for, on a machine that has one."""

from __future__ import annotations

import pytest

from jangada.deployments.gpu import Gpu
from jangada.errors import ConfigurationError
from jangada.executor.devices import NvidiaDevices
from jangada.jobs.job import Job
from tests.integration.executor.harness import Bench, until

pytestmark = pytest.mark.gpu
TOY = "allocates_on_a_gpu"


@pytest.fixture
def gpu() -> Gpu:
    try:
        found = NvidiaDevices().gpus()
    except ConfigurationError as error:
        pytest.skip(f"no GPU that can be used: {error.detail}")
    if not found or not found[0].memory_mib:
        pytest.skip("no GPU on this machine")
    return found[0]


def output(job: Job) -> dict[str, int]:
    assert isinstance(job.output, dict), job.error
    return job.output


def test_a_child_has_one_device_by_uuid_and_its_memory_is_free_when_it_has_ended(bench: Bench, gpu: Gpu) -> None:
    layer = NvidiaDevices()
    assert gpu.uuid.startswith("GPU-")
    before = layer.used_mib()[gpu.uuid]
    with bench.executor(TOY, gpus=(gpu,)):
        said = output(bench.run(TOY, {"mib": 512}))
        assert (said["devices"], said["held_mib"]) == (1, 512)
        assert layer.used_mib()[gpu.uuid] >= before + 512
    until(lambda: layer.used_mib()[gpu.uuid] <= before + 64, 30, "the memory is free again")


def test_a_full_device_is_gpu_oom_and_the_next_job_has_all_of_it(bench: Bench, gpu: Gpu) -> None:
    with bench.executor(TOY, gpus=(gpu,)):
        first = output(bench.run(TOY, {"mib": 256}))
        failed = bench.run(TOY, {"mib": gpu.memory_mib * 2}, max_attempts=1)
        after = output(bench.run(TOY, {"mib": 256}))
    assert failed.error is not None
    assert (failed.error["code"], failed.error["retryable"]) == ("gpu_oom", True)
    assert failed.metrics["gpu_s"] is not None
    assert after["pid"] != first["pid"]
    assert after["held_mib"] == 256

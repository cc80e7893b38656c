"""The GPU image's recipe: well formed, the same runtime as the CPU's, and libraries that fit its CUDA."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jangada.algorithms.manifest import GPU_REQUIREMENTS, load_manifest

EXECUTORS = Path(__file__).parents[3] / "executors"
INSTRUCTIONS = {"ARG", "FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "LABEL", "ENTRYPOINT", "CMD"}
CUDA_OF_ONNXRUNTIME = {12: ((1, 19), (1, 27)), 13: ((1, 27), (9, 0))}
"""CUDA's version: the first onnxruntime-gpu on the registry built for it, and the first that no longer is."""


def instructions(name: str) -> list[tuple[str, str]]:
    """The recipe's instructions with their arguments, continued lines joined."""
    text = (EXECUTORS / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined)]


def of(kind: str, name: str) -> list[str]:
    return [rest for word, rest in instructions(name) if word == kind]


@pytest.mark.parametrize("name", ["cpu.Dockerfile", "gpu.Dockerfile"])
def test_every_line_is_an_instruction_and_every_stage_that_is_copied_from_is_there(name: str) -> None:
    assert {word for word, _ in instructions(name)} <= INSTRUCTIONS
    stages = re.findall(r"AS (\w+)", "\n".join(of("FROM", name)))
    assert set(re.findall(r"--from=(\w+)", "\n".join(of("COPY", name)))) <= set(stages)
    # What follows a FROM knows only the arguments that are named again.
    users = [index for index, (word, rest) in enumerate(instructions(name)) if "${ALGORITHM}" in rest and word != "ARG"]
    for index in users:
        before = instructions(name)[:index]
        start = max(at for at, (word, _) in enumerate(before) if word == "FROM")
        assert ("ARG", "ALGORITHM") in before[start:]


def test_both_images_hold_the_same_runtime_and_start_it_the_same_way() -> None:
    for kind in ("ENTRYPOINT", "CMD", "USER", "COPY"):
        assert of(kind, "gpu.Dockerfile") == of(kind, "cpu.Dockerfile")
    common = set(" ".join(of("ENV", "cpu.Dockerfile")).split())
    assert common <= set(" ".join(of("ENV", "gpu.Dockerfile")).split())


def test_the_gpu_image_asks_for_the_driver_and_its_own_requirements() -> None:
    environ = dict(pair.split("=", 1) for pair in " ".join(of("ENV", "gpu.Dockerfile")).split())
    assert environ["NVIDIA_VISIBLE_DEVICES"] == "all"
    # Without utility there is no nvidia-smi in it, and the executor could not name its devices.
    assert set(environ["NVIDIA_DRIVER_CAPABILITIES"].split(",")) >= {"compute", "utility"}
    assert any("--stage /stage --gpu " in line for line in of("RUN", "gpu.Dockerfile"))
    assert not any("--gpu" in line for line in of("RUN", "cpu.Dockerfile"))


@pytest.mark.parametrize("file", sorted(EXECUTORS.glob(f"*/{GPU_REQUIREMENTS}")), ids=lambda file: file.parent.name)
def test_onnxruntime_is_the_gpus_alone_and_fits_the_cuda_of_the_image(file: Path) -> None:
    assert "gpu" in load_manifest(file.parent).device
    pins = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", file.read_text(encoding="utf-8"), re.MULTILINE))
    # Both at once overwrite each other's files.
    assert "onnxruntime" not in pins
    (base,) = [rest for rest in of("ARG", "gpu.Dockerfile") if rest.startswith("CUDA_IMAGE=")]
    cuda = int(re.findall(r":(\d+)\.", base)[0])
    version = tuple(int(part) for part in pins["onnxruntime-gpu"].split(".")[:2])
    first, beyond = CUDA_OF_ONNXRUNTIME[cuda]
    assert first <= version < beyond

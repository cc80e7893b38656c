"""Replicas as containers, on a real Docker Engine with the image of a real algorithm."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from jangada.deployments.deployment import Resources
from tests.docker_engine import ROOT, base_image, docker
from tests.integration.node.rig import Rig
from tests.servers import until

pytestmark = pytest.mark.docker

IMAGE = "jangada-test/node-executor:1"
NEED = Resources(cpu_millicores=1000, memory_mib=512)
TEXTS = {"texts": ["Bom dia, como vai a senhora?"]}


@pytest.fixture(scope="module")
def image() -> str:
    base = base_image()
    docker(
        "build", "--quiet", "-f", str(ROOT / "executors" / "cpu.Dockerfile"), "--build-arg", f"PYTHON_IMAGE={base}",
        "--build-arg", "ALGORITHM=text-langid", "--tag", IMAGE, str(ROOT),
        within_s=600,
    )  # fmt: skip
    return IMAGE


@pytest.fixture
def containers(rig: Rig) -> Iterator[Rig]:
    """The rig; no container of its nodes is left afterwards."""
    yield rig
    rig.stop_agents()
    for node in {agent.home for agent in rig.agents}:
        label = f"label=jangada.node={(node / 'node' / 'id').read_text().strip()}"
        found = docker("ps", "--all", "--quiet", "--filter", label).split()
        if found:
            docker("rm", "--force", *found)


def of(rig: Rig, replica_id: str) -> dict:
    """What Docker knows of the replica's container."""
    found = docker("ps", "--all", "--quiet", "--filter", f"label=jangada.replica={replica_id}").split()
    return json.loads(docker("inspect", *found))[0] if found else {}


@pytest.mark.timeout(900)
def test_a_replica_is_a_container_that_works_outlives_its_agent_and_goes(containers: Rig, image: str):
    rig = containers
    options = ("--engine", "docker", "--image", f"text-langid={image}", "--network", "host")
    one = rig.deploy("boxed", "text-langid", resources=NEED, scaling={"idle_s": 600.0})
    agent = rig.agent("n1", *options)
    until(rig.store.nodes, 60)
    assert rig.final(rig.submit(one, TEXTS), 120).status.value == "succeeded"
    (replica,) = rig.await_ready("boxed", 1, 60)
    box = of(rig, replica.id)
    assert box["HostConfig"]["NanoCpus"] == 1_000_000_000
    assert box["HostConfig"]["Memory"] == 512 * 2**20
    # No address, which may hold a password, is in what anybody can look at.
    assert rig.redis.url not in json.dumps(box["Config"])
    agent.kill()
    again = rig.agent("n1", *options)
    until(lambda: "replica.adopted" in again.said(), 60)
    (after,) = rig.await_ready("boxed", 1, 60)
    assert after.id == replica.id
    assert of(rig, replica.id)["State"]["StartedAt"] == box["State"]["StartedAt"]
    assert rig.final(rig.submit(one, TEXTS)).status.value == "succeeded"
    assert rig.store.delete("boxed")
    until(lambda: not rig.live("boxed") and not of(rig, replica.id), 60)


@pytest.mark.timeout(300)
def test_a_container_that_ends_at_once_is_told_of(containers: Rig):
    rig = containers
    base = base_image()
    rig.deploy("empty", "echo", resources=NEED, scaling={"minimum": 1})
    agent = rig.agent("n1", "--engine", "docker", "--image", f"echo={base}", "--network", "host")
    until(lambda: "replica.crashed" in agent.said(), 90)
    assert not rig.ready("empty")
    assert agent.process.poll() is None


def test_without_an_engine_the_command_says_so(rig: Rig):
    agent = rig.agent("n1", "--engine", "docker", "--image", "echo=x", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert agent.process.wait(30) == 2
    assert "no Docker Engine answers" in agent.said()

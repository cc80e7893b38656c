"""A node that joined over HTTP: the same executors, and neither Redis nor MongoDB in sight."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.node.distant import NodesFunction, join, start, start_function
from tests.integration.node.rig import Rig
from tests.servers import until


@pytest.fixture
def function(rig: Rig) -> Iterator[NodesFunction]:
    made = start_function(rig)
    yield made
    rig.stop_agents()
    made.stop()


def test_a_job_runs_on_a_node_that_joined(rig: Rig, function: NodesFunction):
    one = rig.deploy("far", scaling={"idle_s": 1.0})
    node_id = join(rig, function.url, "desktop")
    agent = start(rig, "desktop")
    until(rig.store.nodes, 30)
    job = rig.final(rig.submit(one, {"value": 7}))
    assert (job.status.value, job.output["value"]) == ("succeeded", 7)
    (replica,) = rig.await_ready("far", 1)
    assert replica.node_id == node_id
    until(lambda: not rig.live("far") and not agent.executors(), 30)
    assert agent.stop() == 0
    assert not rig.store.nodes()

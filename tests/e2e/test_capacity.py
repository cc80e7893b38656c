"""Stories of capacity: a deployment of one's own comes with its first job, goes when it is idle, and is billed."""

from __future__ import annotations

import pytest
import requests

from jangada.client import NotFoundError
from tests.servers import until

pytestmark = pytest.mark.timeout(300)

WISH = {
    "name": "story-echo",
    "algorithm": "echo",
    "scaling": {"max": 2, "idle_s": 1},
    "resources": {"cpu_millicores": 100, "memory_mib": 64},
    "prices": {"cpu_s": 1.0},
}


@pytest.fixture
def wish(client):
    made, _ = client.deployments.apply(WISH)
    yield made
    try:
        client.deployments.delete(made.name)
    except NotFoundError:
        return


def test_from_zero_to_an_answer_and_back_to_zero_and_on_the_bill(client, platform, wish):
    name = wish.name
    assert (wish.state, wish.lanes[0].wanted) == ("idle", 0)
    connection = platform.connection()
    answer = requests.post(
        f"{connection['url']}/v1/deployments/{name}/jobs",
        json={"input": {"value": 7}},
        headers={"Authorization": f"Bearer {connection['api_key']}"},
        timeout=30,
    )
    assert (answer.status_code, answer.json()["deployment"]) == (202, name)
    job = client.wait(answer.json()["id"], timeout_s=120)
    assert (job.status, client.output(job)["value"]) == ("succeeded", 7)

    def went():
        lane = client.deployments.get(name).lanes[0]
        return (lane.wanted, lane.ready, lane.starting) == (0, 0, 0)

    until(went, within_s=60, every_s=0.2)

    def billed():
        return [line for line in client.usage(deployment=name) if line["attempts"] == 1]

    (line,) = until(billed, within_s=30, every_s=0.5)
    assert line["tenant"] == connection["tenant"]
    assert line["cost"] == pytest.approx(line["cpu_s"] + line["idle_s"], rel=0.01)
    client.deployments.delete(name)
    with pytest.raises(NotFoundError):
        client.deployments.get(name)


def test_what_no_node_can_run_says_why(client, wish):
    changed = client.deployments.change(
        wish.name, {"resources": {"gpu": {"min_memory_mib": 10 * 1024 * 1024}}}, generation=wish.generation
    )
    assert changed.lanes[0].problem == "no node offers gpu ≥ 10240 GiB"


def test_online_is_there_before_the_first_job_and_when_it_is_changed(client, wish):
    client.deployments.apply({**WISH, "mode": "online"})
    until(lambda: client.deployments.get(wish.name).lanes[0].ready == 1, within_s=60, every_s=0.2)
    lane = client.deployments.get(wish.name).lanes[0]
    assert (lane.wanted, lane.reason) == (1, "minimum")
    client.deployments.apply({**WISH, "mode": "on-demand", "scaling": {"max": 2, "min": 0, "idle_s": 1}})
    until(lambda: client.deployments.get(wish.name).lanes[0].ready == 0, within_s=60, every_s=0.2)

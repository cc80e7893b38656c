"""The same queue on a Redis Cluster of three masters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jangada.jobs.queue import Finish, QueueEntry
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.redis_client import check_redis, open_redis
from tests.redis_shapes import ClusterShape


@pytest.fixture(scope="module")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    shape = ClusterShape(tmp_path_factory.mktemp("cluster"), replicas=0)
    try:
        shape.start()
        yield shape.url
    finally:
        shape.stop()


def test_queues_on_every_node_take_jobs_through_their_life(cluster_url: str) -> None:
    connections = open_redis(cluster_url)
    try:
        check_redis(connections.commands)
        queue = RedisJobQueue(connections)
        assert connections.ping()
        assert queue.lock("sweep", 5)
        for number in range(12):
            name = f"algorithm-{number}"
            entries = [QueueEntry(f"job_{number}_{n}", f"t{n % 2}", b"{}\n1") for n in range(6)]
            queue.enqueue_many(name, entries)
            assert queue.wait_for_bell(name, 1)
            leases = queue.finish_and_claim(name, "exe_1", want=4).leases
            assert len(queue.events(name, leases[0].job_id)) == 2
            assert queue.emit(name, leases[0], [("job.progress", {"progress": 0.5})])
            assert queue.renew(name, "exe_1", leases) == ["held"] * 4
            assert queue.release(name, leases[3:]) == [True]
            queue.finish_and_claim(name, "exe_1", finished=[Finish(lease, "succeeded") for lease in leases[:3]])
            last = queue.events(name, leases[0].job_id, after=3, block_s=1)
            assert [event.type for event in last] == ["job.succeeded"]
            queue.bury(name, ["job_x"])
            assert [job_id for job_id, _ in queue.dead(name)] == ["job_x"]
            assert queue.stats(name).jobs == 3
    finally:
        connections.close()

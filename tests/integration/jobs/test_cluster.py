"""The same queue on a Redis Cluster of three masters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis as redis_py

from jangada.jobs.queue import Finish, QueueEntry
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.redis_client import check_redis, open_redis
from tests.servers import RedisServer, started, until

SLOTS = 16384


@pytest.fixture(scope="module")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        servers, clients = [], []
        for number in range(3):
            server = RedisServer(folder / str(number), "--cluster-enabled", "yes")
            # The bus port is the port plus 10,000 and must be a port.
            while server.port > 55_000:
                server = RedisServer(folder / str(number), "--cluster-enabled", "yes")
            servers.append(stack.enter_context(started(server)))
            client = redis_py.Redis(port=server.port, protocol=2)
            stack.callback(client.close)
            clients.append(client)
        for number, client in enumerate(clients):
            slots = range(number * SLOTS // 3, (number + 1) * SLOTS // 3)
            client.execute_command("CLUSTER", "ADDSLOTS", *slots)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for server in servers[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", server.port)

        def whole() -> bool:
            return all(
                b"cluster_state:ok" in raw and b"cluster_known_nodes:3" in raw
                for raw in (_info(client) for client in clients)
            )

        until(whole, 30)
        yield f"redis://127.0.0.1:{servers[0].port}?cluster=true"


def _info(client: redis_py.Redis) -> bytes:
    client.set_response_callback("CLUSTER INFO", lambda raw, **_: raw)
    raw = client.execute_command("CLUSTER INFO")
    return raw if isinstance(raw, bytes) else str(raw).encode()


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

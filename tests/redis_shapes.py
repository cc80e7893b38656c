"""Redis in its shapes, as real processes that can be killed and come back: alone, behind Sentinel, as a cluster."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import redis as redis_py
from redis.exceptions import RedisError

from tests.servers import RedisServer, free_port, until

SLOTS = 16384
SERVICE = "jangada"
DOWN_AFTER_MS = 1000
"""How long sentinels and cluster nodes wait before they call a silent master dead."""


class RedisShape(Protocol):
    """What a test needs of any of them."""

    url: str
    servers: dict[str, RedisServer]
    """Every process by a name that stays: node0, node1, …, sentinel0, …"""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def masters(self) -> list[str]:
        """Names of the nodes that are masters now, as far as they answer."""
        ...


class StandaloneShape:
    """One server."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.servers = {"node0": RedisServer(folder / "node0", *options)}
        self.url = self.servers["node0"].url

    def start(self) -> None:
        self.servers["node0"].start()

    def stop(self) -> None:
        self.servers["node0"].stop()

    def masters(self) -> list[str]:
        return ["node0"]


class SentinelServer(RedisServer):
    """A redis-sentinel. It rewrites its configuration, so that lies in a file."""

    def command(self) -> list[str]:
        conf = self.folder / "sentinel.conf"
        if not conf.exists():
            master = int(self._options[0])
            conf.write_text(
                f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
                f"sentinel monitor {SERVICE} 127.0.0.1 {master} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
                f"sentinel failover-timeout {SERVICE} 6000\n"
                f"sentinel parallel-syncs {SERVICE} 2\n"
            )
        return [super().command()[0], str(conf), "--sentinel"]


class SentinelShape:
    """A master, two replicas, three sentinels."""

    def __init__(self, folder: Path, *options: str) -> None:
        nodes = [RedisServer(folder / f"node{n}", *options, "--repl-diskless-sync-delay", "0") for n in range(3)]
        for node in nodes[1:]:
            node.add_options("--replicaof", "127.0.0.1", str(nodes[0].port))
        sentinels = [SentinelServer(folder / f"sentinel{n}", str(nodes[0].port)) for n in range(3)]
        self.servers = {f"node{n}": node for n, node in enumerate(nodes)}
        self.servers |= {f"sentinel{n}": sentinel for n, sentinel in enumerate(sentinels)}
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
        self.url = f"redis+sentinel://{hosts}/{SERVICE}/0"

    def start(self) -> None:
        for name, server in self.servers.items():
            if name == "sentinel0":
                until(lambda: all(_links_up(self.servers[node]) for node in ("node1", "node2")), 30)
            server.start()
        until(lambda: all(self._knows_all(name) for name in self.servers if name.startswith("sentinel")), 30)

    def stop(self) -> None:
        for server in reversed(list(self.servers.values())):
            server.stop()

    def masters(self) -> list[str]:
        """By the sentinels' word, as clients hear it."""
        ports = {server.port: name for name, server in self.servers.items()}
        for name, server in self.servers.items():
            if name.startswith("sentinel"):
                answer = ask(server, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
                if answer:
                    return [ports[int(answer[1])]]
        return []

    def _knows_all(self, name: str) -> bool:
        found = ask(self.servers[name], "SENTINEL", "MASTER", SERVICE)
        state = dict(zip(found[::2], found[1::2], strict=True)) if isinstance(found, list) else found or {}
        known = {_text(key): _text(value) for key, value in state.items()}
        return known.get("num-slaves") == "2" and known.get("num-other-sentinels") == "2"


class ClusterShape:
    """Three masters with a replica each."""

    def __init__(self, folder: Path, *options: str, replicas: int = 1) -> None:
        count = 3 * (1 + replicas)
        self.servers = {}
        for number in range(count):
            server = RedisServer(
                folder / f"node{number}",
                *("--cluster-enabled", "yes", "--cluster-node-timeout", str(DOWN_AFTER_MS)),
                *("--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0"),
                *options,
            )
            server.port = _port_with_bus()
            self.servers[f"node{number}"] = server
        # The first one is away, as any of several may be.
        self.url = f"redis://127.0.0.1:1,127.0.0.1:{self.servers['node0'].port}?cluster=true"

    def start(self) -> None:
        with contextlib.ExitStack() as stack:
            clients = []
            for server in self.servers.values():
                server.start()
                clients.append(redis_py.Redis(port=server.port, protocol=2))
                stack.callback(clients[-1].close)
            for number, client in enumerate(clients[:3]):
                client.execute_command("CLUSTER ADDSLOTS", *range(number * SLOTS // 3, (number + 1) * SLOTS // 3))
            for number, client in enumerate(clients):
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            for server in list(self.servers.values())[1:]:
                clients[0].execute_command("CLUSTER MEET", "127.0.0.1", server.port)
            until(lambda: all(_knows(client, len(clients)) for client in clients), 30)
            ids = [_text(client.execute_command("CLUSTER MYID")) for client in clients[:3]]
            for number, client in enumerate(clients[3:]):
                client.execute_command("CLUSTER REPLICATE", ids[number % 3])
            until(lambda: all(_links_up(server) for server in list(self.servers.values())[3:]), 30)
            until(lambda: all(_whole(client) for client in clients), 30)

    def stop(self) -> None:
        for server in self.servers.values():
            server.stop()

    def masters(self) -> list[str]:
        """Nodes that say so of themselves and have slots."""
        return [name for name, server in self.servers.items() if _has_slots(server)]


def ask(server: RedisServer, *command: Any) -> Any:
    """The answer of *server*, None when it gives none at once."""
    client = redis_py.Redis(port=server.port, protocol=2, socket_timeout=1, socket_connect_timeout=1, retry=None)
    try:
        return client.execute_command(*command)
    except RedisError:
        return None
    finally:
        client.close()


@contextlib.contextmanager
def shaped(name: str, folder: Path, *options: str) -> Iterator[RedisShape]:
    """The shape *name* (standalone, sentinel, cluster), running inside the block."""
    made: RedisShape = {"standalone": StandaloneShape, "sentinel": SentinelShape, "cluster": ClusterShape}[name](
        folder, *options
    )
    try:
        made.start()
        yield made
    finally:
        made.stop()


def wait_for_other_master(shape: RedisShape, dead: str, within_s: float = 60.0) -> float:
    """Wait until *dead*, a master, has a successor; the instant (monotonic) at which that was seen."""
    count = 3 if isinstance(shape, ClusterShape) else 1

    def replaced() -> bool:
        masters = shape.masters()
        return dead not in masters and len(masters) == count

    until(replaced, within_s)
    return time.monotonic()


def _port_with_bus() -> int:
    """A free port whose bus port (10,000 above) is free too."""
    while True:
        port = free_port(below=22_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port + 10_000))
            return port


def _links_up(server: RedisServer) -> bool:
    info = ask(server, "INFO", "replication")
    return bool(info) and info.get("master_link_status") == "up"


def _knows(client: redis_py.Redis, count: int) -> bool:
    return int(client.execute_command("CLUSTER INFO")["cluster_known_nodes"]) == count


def _whole(client: redis_py.Redis) -> bool:
    return bool(client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")


def _has_slots(server: RedisServer) -> bool:
    rows = ask(server, "CLUSTER NODES")
    if not isinstance(rows, dict):
        return False
    return any("myself" in row["flags"] and "master" in row["flags"] and row["slots"] for row in rows.values())


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

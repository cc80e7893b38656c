"""
A Redis Cluster over three servers, with TLS: from nothing to a job, then what may happen to it.

Each of n1, n2, n3 has two instances. n1 has gateway and edge as well, n2 the store, n3 an executor.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry

from tests.docker_engine import docker
from tests.integration.terraform.lab import site as labs
from tests.integration.terraform.lab.servers import Lab
from tests.requires import requires_program
from tests.servers import until

full = pytest.mark.skipif(os.environ.get("LAB") != "full", reason="make test-lab runs this")
pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200), full]
HOSTS = {"n1": ["gateway", "edge", "redis"], "n2": ["redis", "mongo"], "n3": ["redis", "cpu"]}
SERVERS = tuple(HOSTS)
PORTS = (6379, 6380)


class Site(labs.Site):
    """The servers of a cluster, and what a member says of it."""

    def redis(self, server: str, command: str, *, port: int = 6379, at: str = "") -> str:
        """What a member answers; asked from *at*, which may be another server."""
        cli = (
            f"redis-cli --no-auth-warning --tls --cacert /etc/jangada/data-tls/root.crt -h {self.lab.address(server)}"
            f" -p {port} {command}"
        )
        line = f"docker exec -e REDISCLI_AUTH={self.given} jangada-redis {cli}"
        return self.lab.run(at or server, line)

    def nodes(self, at: str) -> list[list[str]]:
        """CLUSTER NODES: id, address, flags, master, …"""
        return [line.split() for line in self.redis(at, "CLUSTER NODES").splitlines() if line.strip()]

    def masters(self, at: str) -> list[str]:
        """The address of each master that serves slots."""
        return [
            node[1].partition(":")[0]
            for node in self.nodes(at)
            if "master" in node[2] and "fail" not in node[2] and len(node) > 8
        ]

    def goes_on_without_n3(self) -> bool:
        masters = self.masters("n1")
        return len(masters) == 3 and self.lab.address("n3") not in masters

    def is_whole(self, at: str = "n1") -> bool:
        """One master on each server, and its replica on another."""
        nodes = self.nodes(at)
        servers = {node[0]: node[1].partition(":")[0] for node in nodes}
        replicas = [node for node in nodes if "slave" in node[2]]
        return (
            all("fail" not in node[2] and node[7] == "connected" for node in nodes)
            and len(nodes) == 6
            and sorted(self.masters(at)) == sorted(self.lab.address(server) for server in SERVERS)
            and {node[3] for node in replicas} == {node[0] for node in nodes if "master" in node[2]}
            and all(servers[node[3]] != servers[node[0]] for node in replicas)
        )


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    for program in ("terraform", "ssh", "debootstrap"):
        requires_program(program)
    labs.make_images("text-langid")
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        try:
            lab.open()
            for server in SERVERS:
                lab.start(server)
                lab.load(server, f"{labs.PREFIX}/redis:1")
            lab.load("n1", *labs.our("gateway", *labs.FUNCTIONS))
            lab.load("n2", f"{labs.PREFIX}/mongo:1")
            lab.load("n3", *labs.our("text-langid"))
            yield Site(lab, Path(folder), HOSTS)
        finally:
            lab.close()


class Writer:
    """Writes one key after the other, to all masters in turn, and counts what was refused."""

    def __init__(self, site: Site) -> None:
        authority = site.folder / "data-ca.crt"
        authority.write_text(site.lab.run("n1", "cat /etc/jangada/data-tls/root.crt"))
        # Not from this machine, which the firewall keeps out: see `opened`.
        nodes: Any = [ClusterNode(site.lab.address(server), port) for server in SERVERS for port in PORTS]
        self._client: Any = RedisCluster(
            startup_nodes=nodes, password=site.given, ssl=True, ssl_ca_certs=str(authority), socket_timeout=5,
            socket_connect_timeout=2, retry=Retry(NoBackoff(), 0),
        )  # fmt: skip
        self.written: set[int] = set()
        self.refused: list[str] = []

    def write(self, stopping: threading.Event) -> None:
        number = 0
        while not stopping.wait(0.02):
            number += 1
            try:
                self._client.set(f"jangada-writer-{number}", number)
            except redis.RedisError as error:
                self.refused.append(str(error))
            else:
                self.written.add(number)

    def lost(self) -> list[int]:
        return [one for one in sorted(self.written) if self._client.get(f"jangada-writer-{one}") != str(one).encode()]

    def close(self) -> None:
        self._client.close()


@contextlib.contextmanager
def opened(site: Site) -> Iterator[None]:
    """The members' ports, open to this machine as they are to executors."""
    rule = f"ip saddr {site.lab.admin_cidr.partition('/')[0]} tcp dport {{ 6379, 6380 }} accept"
    for server in SERVERS:
        site.lab.run(server, f"nft insert rule inet jangada arriving '{rule}'")
    try:
        yield
    finally:
        for server in SERVERS:
            site.lab.run(server, "nft --file /etc/jangada/firewall.nft")


def test_three_servers_become_a_cluster_that_answers_a_job(site):
    said = site.up()
    assert "n1: redis: makes the cluster" in said
    assert "the cluster has 6 members" in said
    assert site.is_whole()
    done = site.job()
    assert done["status"] == "succeeded"
    assert "nothing to do" in site.up()
    assert "every server is as it was left" in site.infra("drift")


def test_nobody_gets_in_without_tls_and_password(site):
    plain = f"docker exec jangada-redis redis-cli -h {site.lab.address('n2')} PING 2>&1 || true"
    assert "PONG" not in site.lab.run("n1", plain)
    nobody = "redis-cli --tls --cacert /etc/jangada/data-tls/root.crt PING"
    assert "NOAUTH" in site.lab.run("n1", f"docker exec jangada-redis {nobody} 2>&1 || true")
    # A certificate from another authority is nobody's: neither ours, nor on the bus.
    shown = f"openssl s_client -connect {site.lab.address('n2')}:16379 -CAfile /etc/jangada/data-tls/root.crt"
    said = site.lab.run("n1", f"{shown} </dev/null 2>&1 || true")
    assert "Verify return code: 0 (ok)" in said
    assert "certificate required" in site.lab.run("n1", f"(sleep 1; echo) | {shown} 2>&1 || true")
    # Keys stay with those that made them.
    for server in SERVERS:
        keys = site.lab.run(server, "find /etc/jangada -name '*.key' | sort").split()
        own = ["/etc/jangada/data-authority/authority.key", "/etc/jangada/data-tls/server.key"]
        assert keys == [*own, *(["/etc/jangada/secrets/data-authority.key"] if server == "n1" else [])]


def test_a_certificate_is_renewed_without_a_restart(site):
    def serial() -> str:
        shown = f"openssl s_client -connect {site.lab.address('n2')}:6379 </dev/null 2>/dev/null"
        return site.lab.run("n2", f"{shown} | openssl x509 -noout -serial")

    before, script = serial(), "/var/lib/jangada/roles/tls"
    started = site.lab.run("n2", "docker inspect -f '{{.State.StartedAt}}' jangada-redis")
    site.lab.run("n2", "systemctl is-active jangada-tls.timer && systemctl start jangada-tls.service")
    assert serial() == before
    # One that lasts a day is worn out when less than a day is left of it.
    site.lab.run("n2", f"sed -i s/^CERTIFICATE_DAYS=.*/CERTIFICATE_DAYS=1/ {script}/config.env")
    site.lab.run("n2", f"sed -i s/^RENEW_BEFORE=.*/RENEW_BEFORE=86400000/ {script}/config.env")
    site.lab.run("n2", "systemctl start jangada-tls.service")
    assert serial() != before
    assert site.lab.run("n2", "docker inspect -f '{{.State.StartedAt}}' jangada-redis") == started
    assert site.redis("n2", "PING", at="n1").strip() == "PONG"
    said = site.infra("drift", expect=3)
    assert "n2: tls differs" in said
    assert "n1" not in said
    site.up()
    assert "90" in site.lab.run("n2", f"grep CERTIFICATE_DAYS {script}/config.env")
    assert site.job()["status"] == "succeeded"


def test_a_changed_setting_goes_through_all_members_and_the_quorum_stays(site):
    stopping = threading.Event()
    with opened(site), ThreadPoolExecutor() as pool:
        writer = Writer(site)
        writing = pool.submit(writer.write, stopping)
        try:
            site.variables["redis_settings"] = {"slowlog-max-len": "256"}
            said = site.up()
        finally:
            stopping.set()
            writing.result(60)
        try:
            assert said.count("starts the container jangada-redis") == 6
            assert said.count("takes the place of port") >= 3
            assert len(writer.written) > 100
            assert "CLUSTERDOWN" not in " ".join(writer.refused)
            # A write that meets a member on its way out is refused, and said so; it is some of hundreds.
            assert len(writer.refused) < len(writer.written) / 10, writer.refused[:5]
            assert writer.lost() == []
        finally:
            writer.close()
    assert site.is_whole()
    for server in SERVERS:
        for port in PORTS:
            assert "256" in site.redis(server, "CONFIG GET slowlog-max-len", port=port)
    assert site.job()["status"] == "succeeded"
    assert "nothing to do" in site.up()


def test_new_passwords_restart_no_member(site):
    count = "docker inspect -f '{{.State.StartedAt}}' jangada-redis jangada-redis-6380"
    started = {server: site.lab.run(server, count) for server in SERVERS}
    site.variables["secrets_version"], site.given = 2, "another-one-0815"
    site.up()
    assert {server: site.lab.run(server, count) for server in SERVERS} == started
    assert site.is_whole()
    for server in SERVERS:
        assert "another-one-0815" in site.redis(server, "CONFIG GET masterauth", port=6380)
    assert site.job()["status"] == "succeeded"


def test_a_data_server_dies_and_no_job_is_lost(site):
    """Its network is gone, then its power is."""
    taken: list[str] = []
    with site.client() as client:

        def submit(stopping: threading.Event) -> None:
            while not stopping.wait(0.3):
                with contextlib.suppress(labs.AwayError):
                    taken.append(client.submit()["id"])

        name, address = f"{site.lab.name}-n3", site.lab.address("n3")
        # A pause would not reach the containers inside.
        cut = (
            ["network", "disconnect", site.lab.name, name],
            ["network", "connect", "--ip", address, site.lab.name, name],
        )
        for blow, help_up in (cut, (["kill", name], ["start", name])):
            stopping, before = threading.Event(), len(taken)
            with ThreadPoolExecutor() as pool:
                submitting = pool.submit(submit, stopping)
                try:
                    until(lambda: len(taken) > before + 5, 60, 0.2)  # noqa: B023 - called here and now
                    docker(*blow)
                    until(site.goes_on_without_n3, 60, 1)
                    after = len(taken)
                    # The platform takes jobs with a third of its data's servers gone.
                    until(lambda: len(taken) > after + 5, 60, 0.2)  # noqa: B023
                    docker(*help_up)
                    until(lambda: all("fail" not in node[2] for node in site.nodes("n1")), 120, 1)
                finally:
                    stopping.set()
                    submitting.result(60)
            # Whoever has two masters gives one away, so that the next loss is one master again.
            for server in SERVERS:
                site.lab.run(server, "systemctl start jangada-redis-spread.service")
            until(site.is_whole, 60, 1)

        until(lambda: {client.get(job)["status"] for job in taken} == {"succeeded"}, 120, 2)
    assert "nothing to do" in site.up()


def test_two_servers_are_refused_and_destroy_leaves_none_of_it(site):
    hosts = site.variables["hosts"]
    site.variables["hosts"] = {"n1": hosts["n1"], "n2": hosts["n2"], "n3": hosts["n3"] | {"roles": ["cpu"]}}
    assert "hosts: 2 have the role redis" in site.up(expect=1)
    site.variables["hosts"] = hosts
    site.infra("destroy", "--yes", "--wipe-data")
    for server in SERVERS:
        assert site.lab.run(server, "docker ps --all --quiet") == ""
        assert "jangada" not in site.lab.run(server, "systemctl list-unit-files")
        assert site.lab.run(server, "find /etc/jangada /var/lib/jangada -type f 2>/dev/null || true") == ""

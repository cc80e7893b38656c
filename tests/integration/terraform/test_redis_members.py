"""How servers come into a Redis Cluster and leave it: the roles' own steps, on real Redis instances with TLS."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker_engine import ROOT, base_image, build, docker, remove_containers, remove_network
from tests.servers import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]
FILES = ROOT / "terraform" / "files"
ROLE = "/var/lib/jangada/roles/redis"
CERTIFICATES = "/etc/jangada/data-tls"
NAMES = ("n1", "n2", "n3", "n4")
# Instances are processes of the server itself; what the role asks its Docker Engine is answered by this.
ENGINE = '#!/bin/sh\ncase "$1" in exec) shift 3; exec "$@" ;; container) echo true ;; image) echo x ;; esac\n'
START = f"""
cd {CERTIFICATES}
for port in 6379 6380; do
  mkdir -p /data-$port && cd /data-$port
  redis-server --requirepass pw --masterauth pw --port 0 --tls-port $port --tls-cert-file {CERTIFICATES}/server.crt \
    --tls-key-file {CERTIFICATES}/server.key --tls-ca-cert-file {CERTIFICATES}/root.crt --tls-auth-clients no \
    --appendonly yes --cluster-enabled yes --cluster-announce-ip "$ADDRESS" --cluster-node-timeout 5000 \
    --cluster-require-full-coverage no \
    --cluster-migration-barrier 100 --tls-cluster yes --tls-replication yes --repl-diskless-sync-delay 0 \
    --daemonize yes >/dev/null
done
"""


class Servers:
    """n1 … n4, each with two instances."""

    def __init__(self, folder: Path, image: str) -> None:
        self.label = f"jangada-redis-{uuid.uuid4().hex[:8]}"
        docker("network", "create", self.label)
        key = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        more = ["-subj", "/CN=x", "-keyout", str(folder / "server.key"), "-out", str(folder / "server.crt")]
        subprocess.run([*key, *more], check=True, capture_output=True)
        (folder / "root.crt").write_bytes((folder / "server.crt").read_bytes())
        for name in NAMES:
            docker(
                "run", "--detach", "--init", "--name", f"{self.label}-{name}", "--hostname", name,
                "--label", self.label, "--network", self.label, "--volume", f"{folder}:{CERTIFICATES}:ro",
                image, "sleep", "infinity",
            )  # fmt: skip
        self.address = {name: self.run(name, "hostname -i").strip() for name in NAMES}
        for name in NAMES:
            files = {
                f"{ROLE}/apply.sh": "redis.sh",
                f"{ROLE}/lib.sh": "lib.sh",
                f"{ROLE}/redis-cluster.sh": "redis-cluster.sh",
            }
            for path, file in files.items():
                self.write(name, path, (FILES / file).read_text())
            self.write(name, "/etc/jangada/secrets/redis-password", "pw")
            self.write(name, "/usr/local/bin/docker", ENGINE)
            self.write(name, "/usr/local/bin/systemctl", "#!/bin/sh\n")
            self.run(name, "chmod +x /usr/local/bin/*")
            self.run(name, f"ADDRESS={self.address[name]}\n{START}")

    def run(self, name: str, command: str, *, text: str = "", expect: int = 0) -> str:
        line = ["docker", "exec", "--interactive", f"{self.label}-{name}", "bash", "-c", command]
        done = subprocess.run(line, input=text, capture_output=True, text=True, timeout=200)
        assert done.returncode == expect, f"{command}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def write(self, name: str, path: str, text: str) -> None:
        self.run(name, f"mkdir -p $(dirname {path}) && cat >{path}", text=text)

    def join(self, *names: str, expect: int = 0) -> str:
        """The step on the first of the members *names*."""
        members = " ".join(f"{name}={self.address[name]}" for name in names)
        for name in names:
            config = {
                "PRIVATE_ADDRESS": self.address[name], "PORTS": "6379 6380", "CLUSTER": "true", "MEMBERS": members,
                "DATA_PATH": "/data", "REDIS_IMAGE": "x",
            }  # fmt: skip
            self.write(name, f"{ROLE}/config.env", "".join(f"{key}='{value}'\n" for key, value in config.items()))
        return self.run(names[0], f"bash {ROLE}/apply.sh --do join", expect=expect)

    def cli(self, name: str, command: str) -> str:
        line = f"REDISCLI_AUTH=pw redis-cli --no-auth-warning --tls --cacert {CERTIFICATES}/root.crt -p 6379 {command}"
        return self.run(name, line)

    def placed(self, name: str) -> tuple[list[str], dict[str, list[str]]]:
        """Servers of masters; and for each master's server, those of its replicas."""
        nodes = [line.split() for line in self.cli(name, "CLUSTER NODES").splitlines() if line.strip()]
        names = {address: server for server, address in self.address.items()}
        on = {node[0]: names[node[1].partition(":")[0]] for node in nodes}
        masters = [node[0] for node in nodes if "master" in node[2] and len(node) > 8]
        replicas = {one: [on[node[0]] for node in nodes if node[3] == one] for one in masters}
        return sorted(on[one] for one in masters), {on[one]: sorted(found) for one, found in replicas.items()}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    image = "jangada-test/redis:1"
    build(ROOT / "tests" / "integration" / "docker" / "redis", image, BASE_IMAGE=base_image())
    made = None
    try:
        made = Servers(tmp_path_factory.mktemp("members"), image)
        yield made
    finally:
        if made is not None:
            remove_containers(made.label)
            remove_network(made.label)


def test_data_of_one_redis_are_not_taken_into_a_cluster(servers):
    servers.cli("n2", "CLUSTER ADDSLOTSRANGE 0 16382")
    # It takes a moment until it takes writes.
    until(lambda: "OK" in servers.cli("n2", "SET one 1"), 30, 0.3)
    assert "has data, and is in no cluster" in servers.join("n1", "n2", "n3", expect=1)
    servers.cli("n2", "FLUSHALL")
    servers.cli("n2", "CLUSTER RESET HARD")


def test_three_servers_are_a_cluster_a_fourth_joins_and_one_leaves(servers):
    assert "makes the cluster" in servers.join("n1", "n2", "n3")
    assert servers.placed("n1") == (["n1", "n2", "n3"], {"n1": ["n3"], "n2": ["n1"], "n3": ["n2"]})
    servers.cli("n1", "-c SET one 1")
    said = servers.join("n1", "n2", "n3", "n4")
    assert "the cluster has 8 members" in said
    assert "makes the cluster" not in said
    masters, replicas = servers.placed("n1")
    assert masters == ["n1", "n2", "n3"]
    assert sum(len(found) for found in replicas.values()) == 5
    # It gives its masters away, and its replicas' masters get others.
    servers.run("n2", f"bash {ROLE}/apply.sh --remove")
    docker("rm", "--force", f"{servers.label}-n2")
    said = servers.join("n1", "n3", "n4")
    assert "forgets" in said
    for name in ("n1", "n3", "n4"):
        servers.run(name, f"bash {ROLE}/apply.sh --do finish")

    def is_spread() -> bool:
        masters, replicas = servers.placed("n1")
        return masters == ["n1", "n3", "n4"] and all(found and one not in found for one, found in replicas.items())

    # Who follows whom is told from member to member.
    until(is_spread, 30, 0.3)
    assert servers.cli("n1", "-c GET one").strip() == "1"

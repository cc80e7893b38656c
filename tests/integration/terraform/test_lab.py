"""
From bare servers to a job answered over HTTPS, and what comes after: one story, in order.

n1 has gateway and edge, n2 the data, n3 runs executors and is reached as a user with sudo.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from scripts.infra.terraform import Terraform
from tests.docker_engine import ROOT, base_image, build, build_function, docker
from tests.integration.terraform.lab.servers import Lab
from tests.requires import requires_program
from tests.servers import until

# Three servers with an Engine each take minutes to make: `make test-lab` does.
full = pytest.mark.skipif(os.environ.get("LAB") != "full", reason="make test-lab runs this")
pytestmark = [pytest.mark.docker, pytest.mark.timeout(900), full]
PREFIX, RELEASE = "jangada-lab", "0.1.0"
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))
STAND_INS = ROOT / "tests" / "integration" / "docker"
CONFIGURATION = ROOT / "terraform" / "environments" / "lab"
AUTHORITY = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"
GIVEN = "given-by-the-operator-4711"
# The stand-in for MongoDB knows no users, and another command.
MONGO = [
    "python", "-c", "from nx_27017.nx_27017 import main; main()", "--host", "ADDRESS", "-p", "27017", "--data-dir",
    "/data/db", "--journal-mode", "WAL", "--log-file", "/dev/null", "--pid-file", "/tmp/mongo.pid",
]  # fmt: skip


class AwayError(Exception):
    """The job was not taken, and the client knows."""


class Site:
    """The lab and what is written about it."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.state = folder / "terraform.tfstate"
        self.given = GIVEN
        self.variables: dict[str, Any] = {
            "hosts": {
                "n1": self.host("n1", ["gateway", "edge"]),
                "n2": self.host("n2", ["redis", "mongo"]),
                "n3": self.host("n3", ["cpu"]) | {"ssh_user": "admin"},
            },
            "executors": {"langid": {"algorithm": "text-langid", "slots": 2}},
            "release": RELEASE,
            "image_prefix": PREFIX,
            "redis_image": f"{PREFIX}/redis:1",
            "mongodb": {"image": f"{PREFIX}/mongo:1", "authentication": False, "command": MONGO},
            "domain": lab.address("n1"),
            "tls": "internal",
            "admin_cidrs": [lab.admin_cidr],
            "ssh_key_file": str(lab.key),
            "ssh_timeout": "20s",
            "manage_sysctl": False,
        }

    def host(self, server: str, roles: list[str]) -> dict[str, Any]:
        return {"address": self.lab.address(server), "host_key": self.lab.host_key(server), "roles": roles}

    @property
    def file(self) -> Path:
        file = self.folder / "lab.tfvars.json"
        file.write_text(json.dumps(self.variables))
        return file

    @property
    def environ(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("JANGADA_", "TF_", "SSH_"))}
        # A stale agent alone would break Terraform's connection.
        stale = {"SSH_AUTH_SOCK": "/nowhere", "TF_DATA_DIR": str(self.folder / "data")}
        return clean | stale | {"TF_VAR_secrets": json.dumps({"redis-password": self.given})}

    def infra(self, command: str, *more: str, expect: int = 0) -> str:
        line = [ROOT / "scripts" / "infra.sh", command, "lab", "--var-file", self.file, "--state", self.state, *more]
        done = subprocess.run(line, env=self.environ, capture_output=True, text=True, timeout=600)
        assert done.returncode == expect, f"infra.sh {command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def up(self, *more: str, expect: int = 0) -> str:
        return self.infra("up", "--yes", *more, expect=expect)

    def client(self) -> requests.Session:
        """A client with the platform's first key, who trusts the lab's own authority."""
        certificate = self.folder / "root.crt"
        certificate.write_text(self.lab.run("n1", f"cat {AUTHORITY}"))
        client = requests.Session()
        client.verify, client.trust_env = str(certificate), False
        client.headers["Authorization"] = f"Bearer {self.infra('key').strip()}"
        return client

    def submit(self, client: requests.Session, **headers: str) -> dict[str, Any]:
        """A job through the public address."""
        answer = client.post(
            f"https://{self.lab.address('n1')}/v1/jobs",
            json={"algorithm": "text-langid", "input": {"texts": ["Bom dia, como vai a senhora?"]}},
            headers=headers,
            timeout=60,
        )
        if answer.status_code in {502, 503}:
            raise AwayError
        assert answer.status_code < 300, f"{answer.status_code} {dict(answer.headers)} {answer.text}"
        return answer.json()

    def job(self) -> dict[str, Any]:
        """One that has ended."""
        with self.client() as client:
            return self.submit(client, Prefer="wait=30")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    requires_program("terraform")
    requires_program("ssh")
    requires_program("debootstrap")
    base = base_image()
    for name in ("redis", "mongo"):
        build(STAND_INS / name, f"{PREFIX}/{name}:1", BASE_IMAGE=base)
    for file, name, argument in (
        ("deploy/compose/gateway.Dockerfile", "gateway", "BASE_IMAGE"),
        ("executors/cpu.Dockerfile", "text-langid", "PYTHON_IMAGE"),
    ):
        docker(
            "build", "--quiet", "-f", str(ROOT / file), "--build-arg", f"{argument}={base}",
            "--build-arg", "ALGORITHM=text-langid", "--tag", f"{PREFIX}/jangada-{name}:{RELEASE}", str(ROOT),
            within_s=600,
        )  # fmt: skip
    for name in FUNCTIONS:
        build_function(ROOT / "functions" / name, f"{PREFIX}/jangada-{name}:{RELEASE}")
    # ssh refuses a key below a folder that others may write to; the tests' own folder is not always so.
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        try:
            lab.open()
            for server in ("n1", "n2", "n3"):
                lab.start(server)
            lab.load("n1", *(f"{PREFIX}/jangada-{name}:{RELEASE}" for name in ("gateway", *FUNCTIONS)))
            lab.load("n2", f"{PREFIX}/redis:1", f"{PREFIX}/mongo:1")
            lab.load("n3", f"{PREFIX}/jangada-text-langid:{RELEASE}")
            yield Site(lab, Path(folder))
        finally:
            lab.close()


def test_wrong_keys_and_servers_that_are_not_there_are_refused_before_anything_is_touched(site):
    right = site.variables["hosts"]
    site.variables["hosts"] = right | {
        "n2": right["n2"] | {"host_key": right["n1"]["host_key"]},
        "n3": right["n3"] | {"address": site.lab.address("n9")},
    }
    try:
        said = site.up(expect=2)
    finally:
        site.variables["hosts"] = right
    assert "n2" in said and "another host key" in said  # noqa: PT018 - one line for each server
    assert "n3" in said and "cannot be reached" in said  # noqa: PT018
    assert site.lab.run("n1", "ls /var/lib/jangada", expect=2)


def test_from_bare_servers_to_a_job_over_https(site):
    said = site.up()
    assert "answers" in said
    assert "scripts/infra.sh key" in said
    done = site.job()
    assert done["status"] == "succeeded"
    assert done["output"]["langs"][0]["lang"] == "pt"


def test_there_is_nothing_left_to_do(site):
    terraform = Terraform(CONFIGURATION, var_files=[site.file], state=site.state, environ=site.environ)
    assert terraform.plan(site.folder / "plan") is False
    assert "nothing to do" in site.up()
    assert "every server is as it was left" in site.infra("drift")


def test_no_secret_is_in_state_or_plan(site):
    terraform = Terraform(CONFIGURATION, var_files=[site.file], state=site.state, environ=site.environ)
    assert terraform.plan(site.folder / "plan", variables={"secrets_version": "7"})
    names = site.lab.run("n1", "ls /etc/jangada/secrets").split()
    values = [site.lab.run("n1", f"cat /etc/jangada/secrets/{name}").strip() for name in names if name != "version"]
    assert GIVEN in values
    assert len(values) >= 4
    for file in (site.state, site.folder / "plan"):
        text = file.read_bytes()
        assert [value for value in values if value.encode() in text] == []
    # Nor in what containers are started with, nor in files that others may read.
    for server in ("n1", "n2", "n3"):
        started = site.lab.run(server, "docker inspect $(docker ps -aq)")
        assert [value for value in values if value in started] == []
        assert site.lab.run(server, f"grep -rlF {GIVEN} /var/lib/jangada /tmp || true").strip() == ""
        assert site.lab.run(server, "find /etc/jangada/secrets -type f -perm /077") == ""


def test_only_the_edge_is_open(site):
    def is_open(server: str, port: int) -> bool:
        with socket.socket() as probe:
            probe.settimeout(2)
            return probe.connect_ex((site.lab.address(server), port)) == 0

    assert is_open("n1", 443)
    assert not is_open("n1", 8080)
    assert not is_open("n2", 6379)
    assert not is_open("n2", 27017)
    # A port that Docker publishes skips the chains that most firewalls are written in.
    site.lab.run(
        "n2", f"docker run -d --rm --name stray -p 7777:7777 {PREFIX}/redis:1 redis-server --port 7777 --bind 0.0.0.0"
    )
    assert not is_open("n2", 7777)
    site.lab.run("n2", "docker stop -t 1 stray")


def test_what_broke_halfway_is_done_again(site):
    right = site.variables["executors"]
    site.variables["executors"] = right | {"nothing": {"algorithm": "no-such"}}
    try:
        said = site.up(expect=1)
    finally:
        site.variables["executors"] = right
    assert "executor on n3: cannot fetch the image jangada-lab/jangada-no-such" in said
    assert "to do:" in said
    said = site.up()
    assert "n3: executor: changed=0" in said
    assert "n1:" not in said
    assert "nothing to do" in site.up()


def test_drift_is_found_and_repaired_on_that_server_only(site):
    site.lab.run("n3", "rm -rf /etc/jangada/executor && docker rm --force jangada-executor-langid-1")
    site.lab.run("n3", "nft delete table inet jangada")
    said = site.infra("drift", expect=3)
    assert "n3: executor differs" in said
    assert "n3: node differs" in said
    assert "n1" not in said
    assert "n2" not in said
    said = site.up()
    assert "n3: executor: starts the container jangada-executor-langid-1" in said
    assert "n3: node: loads the firewall" in said
    assert "n1: " not in said
    assert "n2: " not in said
    assert "every server is as it was left" in site.infra("drift")
    assert site.job()["status"] == "succeeded"


def test_secrets_change_and_everything_goes_on(site):
    before = site.lab.run("n1", "cat /etc/jangada/secrets/gateway-password")
    started = site.lab.run("n2", "docker inspect -f '{{.State.StartedAt}}' jangada-redis")
    site.variables["secrets_version"], site.given = 2, "another-one-0815"
    said = site.up()
    assert "n2: redis: writes /etc/jangada/redis/users.acl" in said
    assert "n2: redis: changed=1" in said
    assert site.lab.run("n1", "cat /etc/jangada/secrets/gateway-password") != before
    assert site.job()["status"] == "succeeded"
    # Redis learnt of it while it ran, and takes the one before until the next time.
    for password in (GIVEN, site.given, "neither"):
        said = site.lab.run("n2", f"docker exec -e REDISCLI_AUTH={password} jangada-redis redis-cli ping 2>&1 || true")
        assert ("PONG" in said) == (password != "neither")
    assert site.lab.run("n2", "docker inspect -f '{{.State.StartedAt}}' jangada-redis") == started
    assert "nothing to do" in site.up()


def test_a_release_is_rolled_out_and_no_job_is_lost(site):
    # Another image under another tag, made where it is needed.
    for server, names in (("n1", ["gateway", *FUNCTIONS]), ("n3", ["text-langid"])):
        for name in names:
            image = f"{PREFIX}/jangada-{name}"
            site.lab.run(
                server, f"docker build -q -t {image}:next -", text=f"FROM {image}:{RELEASE}\nLABEL release=next\n"
            )
    stopping = threading.Event()
    with site.client() as client, ThreadPoolExecutor() as pool:

        def submit() -> list[str]:
            found = []
            while not stopping.wait(0.5):
                # The only gateway is replaced as well: for some seconds nobody takes a body.
                with contextlib.suppress(AwayError):
                    found.append(site.submit(client)["id"])
            return found

        submitting = pool.submit(submit)
        try:
            site.variables["release"] = "next"
            said = site.up()
        finally:
            stopping.set()
        ids = submitting.result(60)
        assert "n1: openfaas: deploys the function router next" in said
        assert "n3: executor: starts the container" in said
        assert len(ids) >= 10

        def status(job_id: str) -> str:
            return client.get(f"https://{site.lab.address('n1')}/v1/jobs/{job_id}", timeout=30).json()["status"]

        until(lambda: {status(job_id) for job_id in ids} == {"succeeded"}, 60, 1)
    assert "nothing to do" in site.up()


def test_more_replicas_and_a_server_less(site):
    site.variables["executors"] = {"langid": {"algorithm": "text-langid", "replicas": 2}}
    site.up()
    count = "docker ps --filter label=io.jangada.role=executor --format '{{.Names}}' | wc -l"
    assert site.lab.run("n3", count).strip() == "2"
    site.variables["executors"] = {}
    assert "n3: executor: removed" in site.up()
    assert site.lab.run("n3", count).strip() == "0"
    site.lab.run("n3", "test ! -e /etc/jangada/executor")


def test_destroy_leaves_the_servers_clean_and_the_data_where_it_was(site):
    site.infra("destroy", "--yes")
    for server in ("n1", "n2", "n3"):
        assert site.lab.run(server, "docker ps --all --quiet") == ""
        assert "jangada" not in site.lab.run(server, "nft list tables; systemctl list-unit-files")
        site.lab.run(server, "test ! -e /var/lib/jangada/roles")
    assert site.lab.run("n2", "ls /etc/jangada 2>/dev/null || true") == ""
    assert "appendonlydir" in site.lab.run("n2", "ls /var/lib/jangada/data/redis")
    assert "jangada.db" in site.lab.run("n2", "ls /var/lib/jangada/data/mongo")


def test_what_was_destroyed_comes_back_with_its_data_and_goes_for_good(site):
    site.variables["executors"] = {"langid": {"algorithm": "text-langid"}}
    site.up()
    # The same key and the same store: jobs of before are still there.
    assert site.job()["status"] == "succeeded"
    site.infra("destroy", "--yes", "--wipe-data")
    for server in ("n1", "n2", "n3"):
        assert site.lab.run(server, "find /etc/jangada /var/lib/jangada -type f 2>/dev/null || true") == ""

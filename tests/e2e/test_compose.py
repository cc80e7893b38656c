"""The compose file on one machine: gateway, Redis, MongoDB, executors, and our functions in containers."""

from __future__ import annotations

import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.stack import load_stack
from tests.docker_engine import ROOT, base_image, build, build_function, docker, remove_containers, remove_network
from tests.requires import requires
from tests.servers import free_port, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(580)]
PREFIX = "jangada-test"
STAND_INS = ROOT / "tests" / "integration" / "docker"


def compose_program() -> list[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    requires(False, "no docker compose", "compose")
    return []


@dataclass
class Machine:
    """What the compose file has started."""

    folder: Path
    command: list[str]
    name: str
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def auth(self) -> tuple[str, str]:
        return "admin", (self.folder / "secrets" / "basic-auth-password").read_text()

    def compose(self, *arguments: str) -> str:
        done = subprocess.run([*self.command, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def system(self, method: str, path: str, **more) -> requests.Response:
        answer = requests.request(method, f"{self.url}/system/{path}", auth=self.auth, timeout=60, **more)
        assert answer.status_code < 300, answer.text
        return answer

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def instance(self, function: str) -> str:
        lines = self.system("GET", f"logs?name={function}&tail=1").text.splitlines()
        return re.search(r'"instance": ?"([0-9a-f]+)"', lines[-1]).group(1)


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator[Machine]:
    base = base_image()
    command = compose_program()
    folder = tmp_path_factory.mktemp("machine") / "deploy" / "compose"
    shutil.copytree(ROOT / "deploy" / "compose", folder, ignore=shutil.ignore_patterns(".env", "secrets"))
    made = Machine(folder, [*command, "-f", "compose.yml"], f"jgc{uuid.uuid4().hex[:8]}", free_port())
    for name in ("redis", "mongo"):
        build(STAND_INS / name, f"{PREFIX}/{name}:1", BASE_IMAGE=base)
    (folder / ".env").write_text(
        f"COMPOSE_PROJECT_NAME={made.name}\nFUNCTIONS_NETWORK={made.name}\nLISTEN=127.0.0.1:{made.port}\n"
        f"IMAGE_PREFIX={PREFIX}\nVERSION=1\nALGORITHM=text-langid\nFUNCTION_SECRETS={folder}/function-secrets\n"
        f"REDIS_IMAGE={PREFIX}/redis:1\nMONGO_IMAGE={PREFIX}/mongo:1\n"
    )
    subprocess.run([folder / "secrets.sh"], check=True, capture_output=True)
    # The stand-in for MongoDB knows no users.
    (folder / "secrets" / "mongo-url").write_text("mongodb://mongo:27017")
    for file, tag, argument in (
        ("deploy/compose/gateway.Dockerfile", f"{PREFIX}/jangada-gateway:1", "BASE_IMAGE"),
        ("executors/cpu.Dockerfile", f"{PREFIX}/jangada-text-langid:1", "PYTHON_IMAGE"),
    ):
        docker(
            "build", "--quiet", "-f", str(ROOT / file), "--build-arg", f"{argument}={base}",
            "--build-arg", "ALGORITHM=text-langid", "--tag", tag, str(ROOT),
        )  # fmt: skip
    try:
        made.compose("up", "-d", "--no-build")
        until(made.answers, 60, 0.2)
        yield made
        print(made.compose("logs", "--tail", "40"))
    finally:
        # The gateway first: it would start again what is removed.
        subprocess.run([*made.command, "down", "-v", "-t", "5"], cwd=folder, capture_output=True, timeout=120)
        remove_containers(f"io.jangada.gateway={made.name}")
        remove_network(made.name)


@pytest.fixture(scope="module")
def key(machine: Machine) -> str:
    """Deploys what stack.yml names; the admin's first key, as a person finds it in the logs."""
    for name in ("redis-url", "mongo-url"):
        value = (machine.folder / "secrets" / name).read_text()
        machine.system("POST", "secrets", json={"name": name, "value": value})
    stack = load_stack(ROOT / "stack.yml", {"IMAGE_PREFIX": PREFIX})
    for function in stack.functions.values():
        build_function(ROOT / function.handler, function.image)
        machine.system("POST", "functions", json=FunctionDeployment.from_stack(function).to_json())

    def ready() -> bool:
        rows = machine.system("GET", "functions").json()
        return len(rows) == len(stack.functions) and all(row.get("availableReplicas") for row in rows)

    until(ready, 60, 0.2)
    found = re.search(r"shown this once: (jgd_[\w-]+)", machine.system("GET", "logs?name=auth").text)
    assert found, "no first key in the log of auth"
    return found.group(1)


def work(machine: Machine, key: str) -> dict:
    answer = requests.post(
        f"{machine.url}/v1/jobs",
        json={"algorithm": "text-langid", "input": {"texts": ["Bom dia, como vai a senhora?"]}},
        headers={"Authorization": f"Bearer {key}", "Prefer": "wait=30"},
        timeout=60,
    )
    assert answer.status_code < 300, answer.text
    return answer.json()


def test_a_job_through_all_of_it(machine, key):
    done = work(machine, key)
    assert done["status"] == "succeeded"
    assert done["output"]["langs"][0]["lang"] == "pt"


def test_no_password_stands_in_a_function_s_environment(machine, key):
    ids = docker("ps", "-q", "--filter", f"label=io.jangada.gateway={machine.name}").split()
    said = docker("inspect", *ids)
    password = (machine.folder / "secrets" / "redis-url").read_text().split(":")[2].split("@")[0]
    assert len(ids) == 5
    assert password not in said


def test_executors_scale(machine, key):
    machine.compose("up", "-d", "--no-build", "--scale", "executor-cpu=3")
    running = machine.compose("ps", "-q", "executor-cpu").split()
    assert len(running) == 3
    assert work(machine, key)["status"] == "succeeded"


def test_functions_outlive_the_gateway(machine, key):
    before = machine.instance("router")
    gateway = machine.compose("ps", "-q", "gateway").strip()
    docker("kill", gateway)
    docker("start", gateway)
    until(machine.answers, 30, 0.1)
    assert work(machine, key)["status"] == "succeeded"
    assert machine.instance("router") == before

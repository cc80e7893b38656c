"""The delivery line on one machine: a scratch repository, a registry, a gateway with containers, clients."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.docker_engine import ROOT, base_image, build, docker, remove_containers, remove_network
from tests.image_registry import Registry
from tests.servers import free_port, until

AUTHOR = {
    "GIT_AUTHOR_NAME": "Ana",
    "GIT_AUTHOR_EMAIL": "ana@example.com",
    "GIT_COMMITTER_NAME": "Ana",
    "GIT_COMMITTER_EMAIL": "ana@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
}
PASSWORD = "a password/for:this"
STAND_INS = ROOT / "tests" / "integration" / "docker"
NAMESPACE = "acme"
WAITING = {"queued", "starting", "running"}
SERVERS = {
    # Without a password it would talk to its own container only; executors ask for persistence.
    "redis": ("redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--appendonly", "yes"),
    "mongo": (),
}


@dataclass
class Line:
    """Everything between a commit and an answer."""

    folder: Path
    registry: Registry
    name: str
    port: int = field(default_factory=free_port)
    gateway: subprocess.Popen[bytes] | None = None
    deployer: str = "jangada"
    key: str = ""

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "JANGADA_", "CI"))
        }
        return clean | AUTHOR | {
            "OPENFAAS_URL": self.url,
            "OPENFAAS_CONFIG": str(self.folder / "faas"),
            "IMAGE_PREFIX": f"{self.registry.host}/{NAMESPACE}",
            "BASE_IMAGE": base_image(),
            "FAAS_USERNAME": "admin",
            "FAAS_PASSWORD": PASSWORD,
            "REDIS_URL": "redis://redis:6379/0",
            "MONGO_URL": "mongodb://mongo:27017",
            "SMOKE_TOKEN": self.key,
            "DEPLOY_WITH": self.deployer,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            # Stands in for NVIDIA's image where no registry is reached.
            "CUDA_IMAGE": base_image(),
        }  # fmt: skip

    def run(self, *command: str, expect: int | None = 0, within_s: float = 300) -> subprocess.CompletedProcess[str]:
        """*command* in the repository; *expect* None for "must fail"."""
        done = subprocess.run(
            command, cwd=self.repository, env=self.environ, capture_output=True, text=True, timeout=within_s
        )
        wrong = done.returncode == 0 if expect is None else done.returncode != expect
        assert not wrong, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments).stdout.strip()

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def bump(self) -> str:
        """The version that the commits ask for, committed and tagged."""
        told = self.run("scripts/bump_version.sh").stdout
        assert "released=true" in told
        return re.search(r"^version=(.+)$", told, re.MULTILINE).group(1)

    def publish(self, *names: str) -> dict[str, str]:
        """Build and push the images *names*, every one where there are no names; the digests."""
        output = self.folder / "digests.json"
        words = ["--only", ",".join(names)] if names else []
        self.run("scripts/ci/images.sh", "build", "--push", "--output", str(output), *words, within_s=3000)
        return json.loads(output.read_text())

    def system(self, method: str, path: str, **more: Any) -> requests.Response:
        answer = requests.request(method, f"{self.url}/system/{path}", auth=("admin", PASSWORD), timeout=60, **more)
        assert answer.status_code < 300, answer.text
        return answer

    def functions(self) -> dict[str, dict[str, Any]]:
        """What the gateway says of each function that it runs."""
        return {row["name"]: row for row in self.system("GET", "functions").json()}

    def containers(self, function: str) -> list[dict[str, Any]]:
        """What the Engine runs for *function*."""
        words = ["--filter", f"label=io.jangada.gateway={self.name}", "--filter", "status=running"]
        ids = docker("ps", "--quiet", *words).split()
        found = json.loads(docker("inspect", *ids)) if ids else []
        return [each for each in found if function in each["Name"]]

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def submit(self, text: str) -> requests.Response:
        return requests.post(
            f"{self.url}/v1/jobs",
            json={"algorithm": "text-langid", "input": {"texts": [text]}},
            headers={"Authorization": f"Bearer {self.key}", "Prefer": "wait=20"},
            timeout=60,
        )

    def outcome(self, answer: requests.Response, within_s: float = 120) -> requests.Response:
        """The last answer to a submitted job: a busy machine may take longer than a submit waits."""
        deadline = time.monotonic() + within_s
        headers = {"Authorization": f"Bearer {self.key}"}
        while answer.status_code < 300 and answer.json()["status"] in WAITING and time.monotonic() < deadline:
            time.sleep(0.2)
            answer = requests.get(f"{self.url}/v1/jobs/{answer.json()['id']}", headers=headers, timeout=60)
        return answer


@contextmanager
def delivery_line(folder: Path, registry: Registry, name: str) -> Iterator[Line]:
    """A line with a gateway, Redis and MongoDB, and nothing deployed yet."""
    made = Line(folder, registry, name)
    copy_repository(made)
    try:
        docker("network", "create", name)
        for server, command in SERVERS.items():
            build(STAND_INS / server, f"jangada-test/{server}:1", BASE_IMAGE=base_image())
            start_container(made, server, f"jangada-test/{server}:1", command=command)
        start_gateway(made)
        yield made
    finally:
        if made.gateway is not None:
            made.gateway.terminate()
            made.gateway.wait(40)
        remove_containers(f"io.jangada.gateway={name}")
        remove_containers(f"io.jangada.test={name}")
        remove_network(name)
        images = docker("images", "--quiet", "--filter", f"reference={registry.host}/{NAMESPACE}/*").split()
        # Newest first, as listed. What others were made from stays.
        subprocess.run(["docker", "rmi", "--force", *dict.fromkeys(images)], capture_output=True, timeout=120)


def start_container(line: Line, name: str, image: str, *more: str, command: tuple[str, ...] = ()) -> None:
    words = ["--detach", "--network", line.name, "--network-alias", name, "--label", f"io.jangada.test={line.name}"]
    docker("run", *words, *more, image, *command)


def start_gateway(line: Line) -> None:
    secrets = line.folder / "gateway-secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "basic-auth-user").write_text("admin")
    (secrets / "basic-auth-password").write_text(PASSWORD)
    settings = {
        "JANGADA_HOME": str(line.folder / "home"),
        "JANGADA_SECRETS_DIR": str(secrets),
        "JANGADA_DOCKER_NETWORK": line.name,
        "JANGADA_DOCKER_SECRETS_DIR": str(line.folder / "function-secrets"),
    }
    command = [sys.executable, "-m", "jangada.gateway", "--provider", "docker", "--state", "memory"]
    command += ["--port", str(line.port), "--metrics-port", "0"]
    with (line.folder / "gateway.log").open("wb") as output:
        line.gateway = subprocess.Popen(command, cwd=ROOT, env=line.environ | settings, stdout=output, stderr=output)
    until(line.answers, 60, 0.2)


def copy_repository(line: Line) -> None:
    """What lies here, as the one commit of a repository of its own."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, check=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, line.repository / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_file():
            shutil.copy2(source, target)
    line.git("init", "--quiet", "--initial-branch", "main")
    line.commit("feat: all of it")


class Clients:
    """Threads that submit jobs one after another, as long as it lasts; every answer that is no output is kept."""

    def __init__(self, line: Line, threads: int = 2) -> None:
        self._line = line
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(threads)]
        self.succeeded = 0
        self.wrong: list[str] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(90)

    def _work(self) -> None:
        while not self._stopped.is_set():
            begun = time.strftime("%H:%M:%S")
            try:
                answer = self._line.outcome(self._line.submit("Bom dia, como vai a senhora?"))
                fine = answer.status_code < 300 and answer.json()["status"] == "succeeded"
                said = f"{begun} {answer.status_code} {answer.text[:300]}"
            except requests.RequestException as error:
                fine, said = False, f"{begun} {error!r}"
            with self._lock:
                self.succeeded += fine
                if not fine:
                    self.wrong.append(said)
            time.sleep(0.05)

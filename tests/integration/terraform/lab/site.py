"""A lab's servers, what is written about them, and what is asked of them from outside."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.docker_engine import ROOT, base_image, build, build_function, docker
from tests.integration.terraform.lab.servers import Lab

PREFIX, RELEASE = "jangada-lab", "0.1.0"
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))
CONFIGURATION = ROOT / "terraform" / "environments" / "lab"
GIVEN = "given-by-the-operator-4711"
PAGES = ROOT / "tests" / "data" / "documents"
_STAND_INS = ROOT / "tests" / "integration" / "docker"
_AUTHORITY = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"
# The stand-in for MongoDB knows no users, and another command. Killed, it leaves a file that bars its next start.
_MONGO = [
    "python", "-c",
    "import pathlib; pathlib.Path('/tmp/mongo.pid').unlink(True); from nx_27017.nx_27017 import main; main()",
    "--host", "ADDRESS", "-p", "27017", "--data-dir", "/data/db", "--journal-mode", "WAL", "--log-file", "/dev/null",
    "--pid-file", "/tmp/mongo.pid",
]  # fmt: skip


class AwayError(Exception):
    """The platform took no job, and said so as it should: 502 from the edge, 503 with Retry-After from itself."""


def our(*names: str) -> list[str]:
    """Our images of these names."""
    return [f"{PREFIX}/jangada-{name}:{RELEASE}" for name in names]


def make_images(*algorithms: str) -> None:
    """The platform's, those of *algorithms*, and what stands in for Redis and MongoDB; quick when they are there."""
    base = base_image()
    for name in ("redis", "mongo"):
        build(_STAND_INS / name, f"{PREFIX}/{name}:1", BASE_IMAGE=base)
    for file, name, argument in (
        ("deploy/compose/gateway.Dockerfile", "gateway", "BASE_IMAGE"),
        *(("executors/cpu.Dockerfile", algorithm, "PYTHON_IMAGE") for algorithm in algorithms),
    ):
        docker(
            "build", "--quiet", "-f", str(ROOT / file), "--build-arg", f"{argument}={base}",
            "--build-arg", f"ALGORITHM={name}", "--tag", *our(name), str(ROOT),
            within_s=600,
        )  # fmt: skip
    for name in FUNCTIONS:
        build_function(ROOT / "functions" / name, *our(name))


class Site:
    """Servers by what they are for, and the variables of the environment `lab`; *folder* is for its state."""

    def __init__(self, lab: Lab, folder: Path, hosts: Mapping[str, list[str]], edge: str = "n1") -> None:
        self.lab = lab
        self.folder = folder
        self.edge = edge
        self.state = folder / "terraform.tfstate"
        self.given = GIVEN
        self.key: str | None = None
        self.variables: dict[str, Any] = {
            "hosts": {server: self.host(server, roles) for server, roles in hosts.items()},
            "executors": {"langid": {"algorithm": "text-langid", "slots": 2}},
            "release": RELEASE,
            "image_prefix": PREFIX,
            "redis_image": f"{PREFIX}/redis:1",
            "mongodb": {"image": f"{PREFIX}/mongo:1", "authentication": False, "command": _MONGO},
            "domain": lab.address(edge),
            "tls": "internal",
            "admin_cidrs": [lab.admin_cidr],
            "ssh_key_file": str(lab.key),
            "ssh_timeout": "20s",
            "manage_sysctl": False,
        }

    def host(self, server: str, roles: list[str]) -> dict[str, Any]:
        """What is written of *server*."""
        return {"address": self.lab.address(server), "host_key": self.lab.host_key(server), "roles": roles}

    @property
    def url(self) -> str:
        """Where clients go."""
        return f"https://{self.lab.address(self.edge)}"

    @property
    def file(self) -> Path:
        """The variables as they are now."""
        file = self.folder / "lab.tfvars.json"
        file.write_text(json.dumps(self.variables))
        return file

    @property
    def environ(self) -> dict[str, str]:
        """Nothing of the machine's own, and a secret that an operator gives."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("JANGADA_", "TF_", "SSH_"))}
        # A stale agent alone would break Terraform's connection.
        stale = {"SSH_AUTH_SOCK": "/nowhere", "TF_DATA_DIR": str(self.folder / "data")}
        return clean | stale | {"TF_VAR_secrets": json.dumps({"redis-password": self.given})}

    def script(self, name: str, *arguments: str | Path, expect: int = 0) -> str:
        """What ``scripts/NAME`` says of this environment."""
        line = [ROOT / "scripts" / name, *arguments, "--var-file", self.file, "--state", self.state]
        done = subprocess.run(line, env=self.environ, capture_output=True, text=True, timeout=600)
        assert done.returncode == expect, f"{name} {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def infra(self, command: str, *more: str, expect: int = 0) -> str:
        """What ``infra.sh COMMAND lab`` says."""
        return self.script("infra.sh", command, "lab", *more, expect=expect)

    def up(self, *more: str, expect: int = 0) -> str:
        """Bring it to what the variables say."""
        return self.infra("up", "--yes", *more, expect=expect)

    @contextmanager
    def client(self) -> Iterator[Client]:
        """One with the platform's first key, who trusts the lab's own authority."""
        certificate = self.folder / "root.crt"
        certificate.write_text(self.lab.run(self.edge, f"cat {_AUTHORITY}"))
        with requests.Session() as session:
            session.verify, session.trust_env = str(certificate), False
            self.key = self.key or self.infra("key").strip()
            session.headers["Authorization"] = f"Bearer {self.key}"
            yield Client(session, self.url)

    def job(self) -> dict[str, Any]:
        """One that has ended."""
        with self.client() as client:
            return client.submit(Prefer="wait=30")


class Client:
    """The public address."""

    def __init__(self, session: requests.Session, url: str) -> None:
        self._session = session
        self._url = url

    def submit(
        self,
        algorithm: str = "text-langid",
        input: Mapping[str, Any] | None = None,
        *,
        delay_s: float = 0,
        **headers: str,
    ) -> dict[str, Any]:
        """A job. Raises `AwayError` when nobody takes it for the moment, and that is said as it should be."""
        body: dict[str, Any] = {"algorithm": algorithm, "input": input or {"texts": ["Bom dia, como vai a senhora?"]}}
        if delay_s:
            body["delay_s"] = delay_s
        try:
            answer = self._session.post(f"{self._url}/v1/jobs", json=body, headers=headers, timeout=90)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise AwayError from error
        if answer.status_code in {502, 504} or (answer.status_code == 503 and "Retry-After" in answer.headers):
            raise AwayError(f"{answer.status_code} {answer.text}")
        assert answer.status_code < 300, f"{answer.status_code} {dict(answer.headers)} {answer.text}"
        return dict(answer.json())

    def upload(self, page: Path) -> str:
        """Its id."""
        with page.open("rb") as file:
            answer = self._session.post(f"{self._url}/v1/files", files={"file": (page.name, file)}, timeout=60)
        assert answer.status_code < 300, answer.text
        return str(answer.json()["id"])

    def download(self, file: str) -> bytes:
        """Its bytes."""
        answer = self._session.get(f"{self._url}/v1/files/{file}/content", timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.content

    def get(self, job: str) -> dict[str, Any]:
        """A job's record."""
        answer = self._session.get(f"{self._url}/v1/jobs/{job}", timeout=60)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def knows(self, job: str) -> bool:
        """Whether there is such a job."""
        return self._session.get(f"{self._url}/v1/jobs/{job}", timeout=60).status_code != 404

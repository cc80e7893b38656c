"""A gateway with child processes as functions, and a program to deploy with: what deploy.sh and rollback.sh need."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.requires import requires_program
from tests.servers import free_port, until

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "pass word/with:signs"
DEPLOYERS = ("faas-cli", "jangada")
"""Both must do: faas-cli cannot be had everywhere."""


@dataclass
class Site:
    """An environment that scripts deploy to; *deployer* is what they use."""

    folder: Path
    deployer: str
    port: int = field(default_factory=free_port)
    name: str = field(default_factory=lambda: f"jgsite{uuid.uuid4().hex[:8]}")
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        clean = {name: text for name, text in os.environ.items() if not name.startswith(("JANGADA_", "CI", "GITHUB_"))}
        return clean | {
            "OPENFAAS_CONFIG": str(self.folder / "config"),
            "OPENFAAS_URL": self.url,
            "DEPLOY_WITH": self.deployer,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }

    def start_gateway(self, servers: Mapping[str, str]) -> None:
        secrets = self.folder / "gateway-secrets"
        secrets.mkdir(mode=0o700)
        (secrets / "basic-auth-user").write_text("admin\n")
        (secrets / "basic-auth-password").write_text(f"{PASSWORD}\n")
        command = [sys.executable, "-m", "jangada.gateway", "--provider", "process", "--user-stack", "stack.yaml"]
        command += ["--port", str(self.port), "--metrics-port", "0"]
        settings = {"JANGADA_HOME": str(self.folder / "home"), "JANGADA_SECRETS_DIR": str(secrets)}
        with (self.folder / "gateway.log").open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environ | settings | servers, stdout=output, stderr=output
            )
        until(self._answers, 60, 0.1)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False


@contextmanager
def made_site(folder: Path, deployer: str, handler: str) -> Iterator[Site]:
    """A folder with the function hello; the gateway is to be started once stack.yaml is there."""
    if deployer == "faas-cli":
        requires_program("faas-cli")
    made = Site(folder, deployer)
    (folder / "hello").mkdir()
    (folder / "hello" / "handler.py").write_text(handler)
    (folder / "template").symlink_to(ROOT / "template")
    try:
        yield made
    finally:
        if made.process is not None:
            made.process.terminate()
            made.process.wait(40)

"""The genuine faas-cli on a gateway of its own, for one provider."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.docker_engine import base_image, remove_containers, remove_network
from tests.requires import requires_program
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "pass word/with:signs"
HANDLER = """
import json, os, time
from pathlib import Path


def handle(event, context):
    print(f"called by {event.method} {event.path}", flush=True)
    time.sleep(float(event.query.get("sleep", "0")))
    folder = Path(os.environ.get("JANGADA_SECRETS_DIR", "/var/openfaas/secrets"))
    secret = folder / "api-key"
    return {
        "statusCode": int(event.query.get("status", "200")),
        "body": {
            "method": event.method,
            "path": event.path,
            "query": dict(event.query),
            "header": event.headers.get("X-Test"),
            "call_id": event.headers.get("X-Call-Id"),
            "body": event.body.decode(),
            "greeting": os.environ.get("GREETING"),
            "secret": secret.read_text() if secret.is_file() else None,
        },
    }
"""


@dataclass
class FaasCli:
    """A project folder, a gateway, and the program between them."""

    provider: str
    folder: Path
    port: int
    program: str
    name: str = field(default_factory=lambda: f"jgcli{uuid.uuid4().hex[:8]}")
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("JANGADA_", "CI"))}
        return clean | {
            "OPENFAAS_CONFIG": str(self.folder / "config"),
            "OPENFAAS_URL": self.url,
            "DOCKER_BUILDKIT": "0",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }

    def run(self, *arguments: str, text: str = "", expect: int = 0, within_s: float = 120.0) -> str:
        """What ``faas-cli *arguments`` says, on both streams."""
        done = subprocess.run(
            [self.program, *arguments],
            cwd=self.folder,
            env=self.environ,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within_s,
        )
        assert done.returncode == expect, f"faas-cli {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def start_gateway(self, environ: Mapping[str, str]) -> None:
        secrets = self.folder / "gateway-secrets"
        if not secrets.is_dir():
            secrets.mkdir(mode=0o700)
            (secrets / "basic-auth-user").write_text("admin\n")
            (secrets / "basic-auth-password").write_text(f"{PASSWORD}\n")
        command = [sys.executable, "-m", "jangada.gateway", "--port", str(self.port), "--metrics-port", "0"]
        command += ["--provider", self.provider]
        if self.provider == "process":
            command += ["--user-stack", "stack.yaml"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("JANGADA_")}
        settings = {
            "JANGADA_HOME": str(self.folder / "home"),
            "JANGADA_SECRETS_DIR": str(secrets),
            "JANGADA_DOCKER_NETWORK": self.name,
            "JANGADA_DOCKER_SECRETS_DIR": str(self.folder / "function-secrets"),
        }
        with (self.folder / "gateway.log").open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=clean | settings | environ, stdout=output, stderr=output
            )
        self.run("ready", "--attempts", "600", "--interval", "100ms")

    def stop_gateway(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(40)
            self.process = None

    def kill_gateway(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def gateway_log(self) -> str:
        return (self.folder / "gateway.log").read_text()


@contextmanager
def project(provider: str, folder: Path) -> Iterator[FaasCli]:
    """`faas-cli new` in *folder* with our template, which is pulled as a user would pull it."""
    cli = FaasCli(provider, folder, free_port(), requires_program("faas-cli"))
    image = base_image() if provider == "docker" else "python:3.12-slim"
    try:
        make_template_repository(cli)
        cli.run("template", "pull", str(folder / "jangada"))
        cli.run("new", "--lang", "python3-jangada", "hello", "--prefix", "jangada-test", "--gateway", cli.url)
        assert (folder / "hello" / "handler.py").is_file()
        (folder / "hello" / "handler.py").write_text(HANDLER)
        stack = folder / "stack.yaml"
        stack.write_text(
            stack.read_text().rstrip()
            + f"\n    build_args:\n      BASE_IMAGE: {image}\n    environment:\n      GREETING: first\n"
        )
        yield cli
    finally:
        cli.stop_gateway()
        if provider == "docker":
            remove_containers(f"io.jangada.gateway={cli.name}")
            remove_network(cli.name)


def make_template_repository(cli: FaasCli) -> None:
    """A git repository that holds the template as it lies here; `template pull` takes an absolute path."""
    repository = cli.folder / "jangada"
    repository.mkdir()
    for name in ("template", "jangada"):
        subprocess.run(["cp", "-a", str(ROOT / name), str(repository)], check=True)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "template"]):
        subprocess.run([*git, *arguments], cwd=repository, env=cli.environ, check=True, capture_output=True)


def eventually(check, within_s: float = 20.0):
    """What *check* returns once it does not raise an AssertionError."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)

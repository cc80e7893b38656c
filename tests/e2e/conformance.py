"""A gateway with an empty store, and how a client that knows OpenFaaS alone talks to it; for one provider."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.docker_engine import build_function, docker, remove_containers, remove_network
from tests.servers import free_port, until

ROOT = Path(__file__).resolve().parents[2]
AUTH = ("admin", "conformance")
IMAGE = "jangada-test/conformance:1"
HANDLER = """
import os, time
from pathlib import Path


def handle(event, context):
    time.sleep(float(event.query.get("sleep", "0")))
    secrets = Path(os.environ.get("secret_mount_path", "/var/openfaas/secrets"))
    if event.path == "/say":
        print(event.body.decode(), flush=True)
    if event.path == "/redirect":
        return {"statusCode": 302, "headers": {"Location": "http://example.com/there"}, "body": ""}
    if event.path.startswith("/status/"):
        return {"statusCode": int(event.path.rpartition("/")[2]), "body": "as asked"}
    if event.path == "/size":
        return {"size": len(event.body)}
    return {"body": {
        "who": os.environ.get("HOSTNAME", "") + str(os.getpid()),
        "method": event.method, "path": event.path, "query": dict(event.query),
        "headers": {name.lower(): value for name, value in event.headers.items()},
        "environ": dict(os.environ),
        "secrets": {path.name: path.read_text() for path in sorted(secrets.glob("[!.]*"))} if secrets.is_dir() else {},
        "body": event.body.decode(errors="replace"),
    }}
"""


@dataclass
class Ground:
    """One gateway; `start` and `kill` it as often as it takes."""

    provider: str
    folder: Path
    settings: dict[str, str]
    name: str = field(default_factory=lambda: f"jgconf{uuid.uuid4().hex[:8]}")
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        secrets, handler = self.folder / "secrets", self.folder / "functions" / "conformance"
        secrets.mkdir()
        handler.mkdir(parents=True)
        (secrets / "basic-auth-user").write_text(AUTH[0])
        (secrets / "basic-auth-password").write_text(AUTH[1])
        (handler / "handler.py").write_text(HANDLER)
        (handler / "requirements.txt").touch()
        (self.folder / "functions" / "template").symlink_to(ROOT / "template")
        if self.provider == "docker":
            build_function(handler, IMAGE)

    def start(self) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("JANGADA_")}
        own = {
            "JANGADA_HOME": str(self.folder / "home"),
            "JANGADA_SECRETS_DIR": str(self.folder / "secrets"),
            "JANGADA_MONGO_DATABASE": self.name,
            "JANGADA_DOCKER_NETWORK": self.name,
            "JANGADA_DOCKER_SECRETS_DIR": str(self.folder / "function-secrets"),
            "JANGADA_CALLBACK_ALLOWED_HOSTS": "127.0.0.1",
            "JANGADA_LOG_LEVEL": "warning",
        }
        command = [
            *(sys.executable, "-m", "jangada.gateway", "--provider", self.provider, "--port", str(self.port)),
            *("--metrics-port", "0", "--state", "mongo"),
        ]
        if self.provider == "process":
            command += ["--functions", str(self.folder / "functions")]
        with (self.folder / "gateway.log").open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=clean | self.settings | own, stdout=output, stderr=output
            )
        until(self.is_up, within_s=60)

    def is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "gateway.log").read_text()[-3000:]
        try:
            return requests.get(f"{self.url}/healthz", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
        if self.provider == "docker":
            remove_containers(f"io.jangada.gateway={self.name}")
            remove_network(self.name)

    def system(self, method: str, path: str, body: Any = None, **query: str) -> requests.Response:
        return requests.request(method, f"{self.url}/system/{path}", json=body, params=query, auth=AUTH, timeout=60)

    def invoke(self, path: str, method: str = "POST", **more: Any) -> requests.Response:
        return requests.request(method, f"{self.url}/function/{path}", allow_redirects=False, timeout=60, **more)

    def deploy(self, service: str, method: str = "POST", wait: bool = True, **facts: Any) -> None:
        body = {"service": service, "image": IMAGE, "labels": {}, "annotations": {}} | facts
        answer = self.system(method, "functions", body)
        assert answer.status_code in {200, 202}, answer.text
        if wait:
            namespace = facts.get("namespace", "")
            until(lambda: self.available(service, namespace) > 0, within_s=60, every_s=0.1)

    def describe(self, service: str, namespace: str = "") -> dict[str, Any]:
        return self.system("GET", f"function/{service}", namespace=namespace).json()

    def replicas(self, service: str) -> int:
        return self.describe(service).get("replicas", 0)

    def available(self, service: str, namespace: str = "") -> int:
        return self.describe(service, namespace).get("availableReplicas", 0)

    def scale(self, service: str, replicas: int) -> None:
        body = {"serviceName": service, "replicas": replicas}
        assert self.system("POST", f"scale-function/{service}", body).status_code in {200, 202}

    def remove(self, service: str) -> None:
        assert self.system("DELETE", "functions", {"functionName": service}).status_code in {200, 202}

    def running(self, service: str) -> set[str]:
        """What the provider runs of it: containers, or processes; known apart from any other that ever was."""
        if self.provider == "docker":
            marks = (f"io.jangada.gateway={self.name}", f"io.jangada.function={service}")
            return set(docker("ps", "-q", *(word for mark in marks for word in ("--filter", f"label={mark}"))).split())
        rows = json.loads((self.folder / ".jangada" / "run" / "functions.json").read_text())
        return {
            str(row["pid"]) for row in rows if row["part"].partition("#")[0] == f"function:{service}" and row["pid"]
        }


@contextmanager
def ground(provider: str, folder: Path, settings: dict[str, str]) -> Iterator[Ground]:
    """A started one."""
    made = Ground(provider, folder, settings)
    try:
        made.prepare()
        made.start()
        yield made
    finally:
        made.close()


@contextmanager
def receiver() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """Where callbacks go, and what came: headers in lower case, and the body."""
    received: list[tuple[dict[str, str], bytes]] = []

    class Taker(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            received.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

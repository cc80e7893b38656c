"""A gateway process with one function on real Redis and MongoDB, and a receiver of callbacks."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import MongoServer, RedisServer, free_port, started, until

ROOT = Path(__file__).resolve().parents[4]

HANDLER = """
import hashlib, json, os, time

def note(line):
    with open(os.environ["LEDGER"], "a") as ledger:
        ledger.write(line + "\\n")

def app(environ, start_response):
    sha, size = hashlib.sha256(), 0
    while chunk := environ["wsgi.input"].read(65536):
        sha.update(chunk)
        size += len(chunk)
    call_id = environ.get("HTTP_X_CALL_ID", "-")
    word = environ["PATH_INFO"].strip("/").split("/")[0]
    note(f"begin {call_id} {time.time()}")
    status, body = "200 OK", b"x" * 3_000_000
    if word != "large":
        headers = {name: value for name, value in environ.items() if name.startswith(("HTTP_", "CONTENT_TYPE"))}
        body = json.dumps({
            "method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"], "query": environ["QUERY_STRING"],
            "headers": headers, "size": size, "sha256": sha.hexdigest(),
        }).encode()
    if word == "slow":
        time.sleep(float(environ["QUERY_STRING"]))
    if word == "fails":
        times, status_after = environ["QUERY_STRING"].split(",")
        with open(os.environ["LEDGER"]) as ledger:
            seen = sum(line.startswith(f"begin {call_id} ") for line in ledger)
        if seen <= int(times):
            status = status_after + " Failed"
    note(f"end {call_id} {time.time()}")
    start_response(status, [
        ("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("X-Own", "1"), ("X-Own", "2"),
    ])
    return [body]
"""
STACK = """
version: 1.0
provider: {name: openfaas}
functions:
  worker:
    lang: python3-jangada
    handler: ./functions/worker
    image: "worker:1"
    annotations:
      com.openfaas.retry.attempts: "4"
      com.openfaas.retry.min_wait: "50ms"
      com.openfaas.retry.max_wait: "200ms"
  other:
    lang: python3-jangada
    handler: ./functions/worker
    image: "worker:1"
    annotations: {com.openfaas.queue: "slow-lane", com.openfaas.retry.attempts: "1"}
"""


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class AsyncStage:
    """`start` and `kill` the gateway as often as it takes; its stores stay."""

    def __init__(self, folder: Path, redis_url: str, mongo_url: str, **settings: str) -> None:
        self._folder = folder
        handler = folder / "functions" / "worker"
        handler.mkdir(parents=True)
        (handler / "handler.py").write_text(HANDLER)
        (folder / "stack.yml").write_text(STACK)
        (folder / "template").symlink_to(ROOT / "template")
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self.port = free_port()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("JANGADA_")}
        self._environ = clean | {
            "JANGADA_REDIS_URL": redis_url,
            "JANGADA_MONGO_URL": mongo_url,
            "JANGADA_MONGO_DATABASE": f"async_{self.port}",
            "JANGADA_ARTIFACTS": f"folder:{folder / 'artifacts'}",
            "JANGADA_HOME": str(folder / "home"),
            "JANGADA_SECRETS_DIR": str(folder / "secrets"),
            "JANGADA_CALLBACK_ALLOWED_HOSTS": "127.0.0.1",
            "LEDGER": str(self.ledger),
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jangada.gateway", "--stack", str(self._folder / "stack.yml")),
                    *("--port", str(self.port), "--log-dir", str(self._folder / "logs")),
                    *("--state-file", str(self._folder / "functions.json")),
                    *("--metrics-port", "0", "--state", "memory"),
                ],
                env=self._environ,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        until(self._is_ready, within_s=30)

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(self.log()[-3000:])
        with contextlib.suppress(OSError):
            return self.request("GET", "/readyz").status == 200
        return False

    def log(self) -> str:
        return (self._folder / "gateway.log").read_text(errors="replace")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)

    def request(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def submit(self, path: str, body: bytes = b"", **headers: str) -> Answer:
        return self.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def state(self, location: str) -> dict[str, object]:
        return self.request("GET", f"{location}/status").json

    def finished(self, location: str, within_s: float = 20.0) -> dict[str, object]:
        def final() -> dict[str, object] | None:
            found = self.state(location)
            return found if found["status"] in {"succeeded", "failed", "canceled"} else None

        return until(final, within_s)  # type: ignore[return-value]

    def noted(self, word: str) -> list[str]:
        """Call ids in the ledger, one per begin (or end) of the function."""
        return [line.split()[1] for line in self.ledger.read_text().splitlines() if line.startswith(f"{word} ")]


@dataclass
class Receiver:
    """Takes callbacks; *answers* are given one after the other, the last for ever."""

    answers: list[int] = field(default_factory=lambda: [200])
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @contextlib.contextmanager
    def listening(self) -> Iterator[str]:
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append((dict(self.headers.items()), body))
                status = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/taken"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@contextlib.contextmanager
def own_servers(folder: Path) -> Iterator[tuple[RedisServer, MongoServer]]:
    """A Redis and a MongoDB that the test may kill."""
    with started(RedisServer(folder / "r")) as redis, started(MongoServer(folder / "m")) as mongo:
        yield redis, mongo


Wait = Callable[[], object]

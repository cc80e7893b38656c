"""A gateway process with functions as processes that can be deployed; its state in MongoDB."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.servers import free_port, until

ROOT = Path(__file__).resolve().parents[3]
HANDLER = """
import os, time
from pathlib import Path

STARTED = time.time()

def handle(event, context):
    if event.path == "/environ":
        return dict(os.environ)
    if event.path == "/secret":
        folder = Path(os.environ["secret_mount_path"])
        return {"modes": [oct(p.stat().st_mode) for p in (folder, folder / "s1")],
                "text": (folder / "s1").read_bytes().hex(), "all": sorted(p.name for p in folder.iterdir())}
    if event.path in ("/fit", "/well"):
        return {"statusCode": 500 if Path(os.environ["MARKS"], event.path[1:] + ".no").exists() else 200}
    if event.path == "/slow":
        time.sleep(1.0)
    if event.path == "/exit":
        os._exit(3)
    if event.path == "/print":
        print("first", event.body.decode())
        print("second")
    return {"pid": os.getpid(), "version": os.environ.get("VERSION", "")}
"""


class Stage:
    """A gateway without a stack, with one handler that can be deployed; its state in MongoDB."""

    def __init__(self, folder: Path, mongo_url: str, database: str, *options: str) -> None:
        self.folder = folder
        self.options = options
        for name, source in (("hello", HANDLER), ("broken", "raise SystemExit(7)")):
            (folder / "fns" / name).mkdir(parents=True)
            (folder / "fns" / name / "handler.py").write_text(source)
        (folder / "fns" / "template").symlink_to(ROOT / "template")
        secrets = folder / "secrets"
        secrets.mkdir()
        (secrets / "basic-auth-user").write_text("admin\n")
        (secrets / "basic-auth-password").write_text(" secret \n")
        self.port = free_port()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("JANGADA_")}
        self.environ = clean | {
            "JANGADA_HOME": str(folder / "home"),
            "JANGADA_SECRETS_DIR": str(secrets),
            "JANGADA_MONGO_URL": mongo_url,
            "JANGADA_MONGO_DATABASE": database,
            "OPERATORS_OWN_SECRET": "1",
        }
        self.process = self._start()

    def _start(self) -> subprocess.Popen:
        with (self.folder / "gateway.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jangada.gateway", "--functions", str(self.folder / "fns")),
                    *("--port", str(self.port), "--metrics-port", "0", "--log-dir", str(self.folder / "logs")),
                    *("--state-file", str(self.folder / "run" / "functions.json"), *self.options),
                ],
                env=self.environ,
                cwd=self.folder,
                stderr=log,
            )
        until(lambda: self.get("/readyz")[0] == 200, within_s=20)
        return process

    def restart(self) -> None:
        """kill -9, and another one."""
        self.kill()
        self.start()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Another gateway."""
        self.process = self._start()

    def rows(self) -> list[dict]:
        """The functions' processes, as the gateway wrote them down."""
        return json.loads((self.folder / "run" / "functions.json").read_text())

    def get(self, path: str, body: object = None, method: str | None = None) -> tuple[int, object]:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(b"admin:secret").decode())
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, raw = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, raw = error.code, error.read()
        except OSError:
            return 0, ""
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, raw.decode()

    def deploy(self, method: str = "POST", wait: bool = True, **facts: object) -> None:
        body = {"service": "hello", "image": "me/hello:1"} | facts
        assert self.get("/system/functions", body, method) == (202, "")
        if wait:
            until(lambda: self.describe(body["service"]).get("availableReplicas", 0) > 0, within_s=20)

    def describe(self, name: str = "hello") -> dict:
        return self.get(f"/system/function/{name}")[1]

    def scale(self, replicas: int) -> None:
        assert self.get("/system/scale-function/hello", {"serviceName": "hello", "replicas": replicas})[0] == 202

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)

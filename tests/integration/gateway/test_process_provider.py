"""Functions as child processes that come, go, are scaled and replaced while requests pass."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

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

    def __init__(self, folder: Path, mongo_url: str, database: str) -> None:
        self.folder = folder
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
                    *("--state-file", str(self.folder / "run" / "functions.json")),
                ],
                env=self.environ,
                cwd=self.folder,
                stderr=log,
            )
        until(lambda: self.get("/readyz")[0] == 200, within_s=20)
        return process

    def restart(self) -> None:
        """kill -9, and another one."""
        self.process.kill()
        self.process.wait()
        self.process = self._start()

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


@pytest.fixture
def stage(tmp_path, mongo_url, mongo_database):
    made = Stage(tmp_path, mongo_url, mongo_database.name)
    yield made
    made.close()


def test_a_users_function_gets_its_own_environment_and_little_of_the_machines(stage):
    stage.deploy(envVars={"A": "b", "fprocess": "mine"}, envProcess="python index.py")
    status, environ = stage.get("/function/hello/environ")
    assert status == 200
    assert environ["A"] == "b"
    assert environ["fprocess"] == "mine"
    assert (environ["OPENFAAS_NAME"], environ["OPENFAAS_NAMESPACE"]) == ("hello", "openfaas-fn")
    assert "PATH" in environ
    assert "OPERATORS_OWN_SECRET" not in environ
    assert not {name for name in environ if name.startswith("JANGADA_")} - {"JANGADA_SECRETS_DIR"}


def test_secrets_are_private_files_with_their_bytes_and_only_those_that_were_named(stage):
    content = b"line\n\x00\xff"
    for name in ("s1", "s2"):
        raw = {"name": name, "rawValue": base64.b64encode(content).decode()}
        assert stage.get("/system/secrets", raw)[0] == 201
    stage.deploy(secrets=["s1"])
    found = stage.get("/function/hello/secret")[1]
    assert bytes.fromhex(found["text"]) == content
    assert found["all"] == ["s1"]
    assert [stat.S_IMODE(int(mode, 8)) for mode in found["modes"]] == [0o700, 0o600]
    folder = stage.folder / "run" / "function-secrets"
    assert folder.is_dir()
    stage.get("/system/functions", {"functionName": "hello"}, "DELETE")
    until(lambda: not any(folder.rglob("s1")), within_s=10)


def test_an_image_without_a_handler_here_is_400_with_what_to_do(stage):
    status, said = stage.get("/system/functions", {"service": "nothing", "image": "me/nothing:1"})
    assert status == 400
    assert "jangada up --functions DIR" in said
    assert stage.get("/system/functions")[1] == []


def test_replicas_come_and_go(stage):
    stage.deploy()
    stage.scale(3)
    until(lambda: stage.describe()["availableReplicas"] == 3, within_s=20)
    rows = json.loads((stage.folder / "run" / "functions.json").read_text())
    assert [row["part"] for row in rows] == ["function:hello", "function:hello#1", "function:hello#2"]
    processes = [psutil.Process(row["pid"]) for row in rows]
    stage.scale(1)
    assert len(psutil.wait_procs(processes, timeout=5)[1]) == 1
    assert stage.describe()["availableReplicas"] == 1


def test_scaled_to_zero_it_wakes_for_the_request_and_in_time(stage):
    stage.deploy()
    stage.scale(0)
    until(lambda: not json.loads((stage.folder / "run" / "functions.json").read_text()), within_s=5)
    answers: list[tuple[int, object]] = []
    threads = [threading.Thread(target=lambda: answers.append(stage.get("/function/hello", b"x"))) for _ in range(5)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # 0.2 to 0.4 s on a quiet machine; one that is busy gets its grace.
    assert time.monotonic() - begun < 5
    assert [status for status, _ in answers] == [200] * 5
    assert len({answer["pid"] for _, answer in answers}) == 1
    assert stage.describe()["replicas"] == 1


def test_an_update_under_load_fails_no_request_not_even_a_slow_one(stage):
    stage.deploy(envVars={"VERSION": "1"}, labels={"com.openfaas.scale.min": "2"})
    until(lambda: stage.describe()["availableReplicas"] == 2, within_s=20)
    seen: list[tuple[int, object]] = []
    stop = threading.Event()

    def call(path: str) -> None:
        while not stop.is_set():
            seen.append(stage.get(path))

    threads = [threading.Thread(target=call, args=(path,)) for path in ("/function/hello", "/function/hello/slow") * 3]
    for thread in threads:
        thread.start()
    for version in ("2", "3"):
        stage.deploy("PUT", envVars={"VERSION": version}, labels={"com.openfaas.scale.min": "2"})
        until(lambda version=version: stage.get("/function/hello")[1]["version"] == version, within_s=20)
    time.sleep(2)
    stop.set()
    for thread in threads:
        thread.join()
    assert [answer for status, answer in seen if status != 200] == []
    assert len(seen) > 50
    assert seen[-1][1]["version"] == "3"


def test_an_update_that_never_becomes_ready_leaves_the_old_one_serving(stage):
    stage.deploy(envVars={"VERSION": "1"})
    stage.deploy("PUT", wait=False, image="me/broken:1", envVars={"VERSION": "2"})
    time.sleep(1.5)
    assert stage.get("/function/hello") == (200, {"pid": stage.get("/function/hello")[1]["pid"], "version": "1"})
    assert stage.describe()["availableReplicas"] == 1


def test_a_crash_is_restarted_and_one_that_crashes_always_is_seen(stage):
    stage.deploy()
    assert stage.get("/function/hello/exit", b"x")[0] == 502
    until(lambda: stage.get("/function/hello")[0] == 200, within_s=10)
    stage.deploy(wait=False, service="broken", image="me/broken:1")
    rows = lambda: json.loads((stage.folder / "run" / "functions.json").read_text())  # noqa: E731
    until(lambda: any(row["part"] == "function:broken" and row["restarts"] >= 3 for row in rows()), within_s=20)
    assert "availableReplicas" not in stage.describe("broken")
    assert stage.describe("broken")["replicas"] == 1
    row = next(row for row in rows() if row["part"] == "function:broken")
    assert row["note"] == "ended with exit code 7"


def test_logs_have_a_time_and_a_replica_and_outlive_the_gateway(stage):
    stage.deploy()
    stage.get("/function/hello/print", b"line")

    def lines(query: str = "") -> list[dict]:
        body = stage.get(f"/system/logs?name=hello&follow=false{query}")[1]
        raw = body if isinstance(body, str) else json.dumps(body)
        return [json.loads(line) for line in raw.splitlines()]

    found = until(lambda: [line for line in lines() if line["text"] in {"first line", "second"}])
    assert [line["text"] for line in found] == ["first line", "second"]
    assert found[0]["instance"].startswith("hello-1-")
    assert lines(f"&since={found[0]['timestamp']}")[0]["timestamp"] >= found[0]["timestamp"]
    assert lines("&since=2999-01-01T00:00:00Z") == []
    assert len(lines("&tail=1")) == 1
    assert lines("&instance=other") == []
    # Written at once but for an instant: a gateway that is killed loses that much.
    until(lambda: b"second" in (stage.folder / "logs" / "function-hello.log").read_bytes())
    stage.restart()
    until(lambda: stage.get("/function/hello")[0] == 200)
    assert [line["text"] for line in lines() if line["text"] in {"first line", "second"}] == ["first line", "second"]


def test_a_gateway_that_was_killed_comes_back_with_everything(stage):
    stage.get("/system/namespace/", {"name": "dev", "labels": {"openfaas": "1"}})
    stage.get("/system/secrets", {"name": "s1", "value": "x"})
    stage.deploy(secrets=["s1"], labels={"a": "b"}, envVars={"VERSION": "7"})
    stage.scale(2)
    before = stage.describe()
    begun = time.monotonic()
    stage.restart()
    assert stage.get("/function/hello")[1]["version"] == "7"
    assert time.monotonic() - begun < 10
    until(lambda: stage.describe().get("availableReplicas") == 2, within_s=20)
    counted = {"invocationCount", "availableReplicas"}
    after = stage.describe()
    assert {k: v for k, v in after.items() if k not in counted} == {k: v for k, v in before.items() if k not in counted}
    assert stage.get("/system/namespaces")[1] == ["dev", "openfaas-fn"]
    assert stage.get("/system/secrets")[1] == [{"name": "s1", "namespace": "openfaas-fn"}]


def test_usage_is_what_the_processes_use(stage):
    stage.deploy()
    usage = stage.get("/system/function/hello?usage=1")[1]["usage"]
    assert 10_000_000 < usage["totalMemoryBytes"] < 500_000_000
    assert usage["cpu"] >= 0

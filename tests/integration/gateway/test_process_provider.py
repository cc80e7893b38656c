"""Functions as child processes that come, go, are scaled and replaced while requests pass."""

from __future__ import annotations

import base64
import json
import stat
import threading
import time

import psutil
import pytest

from tests.integration.gateway.process_stage import Stage
from tests.servers import until


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


def test_a_changed_secret_replaces_the_replicas_that_use_it_and_no_request_fails(stage):
    for name in ("s1", "s2"):
        stage.get("/system/secrets", {"name": name, "value": "before"})
    stage.deploy(secrets=["s1"])
    stage.deploy(service="other", secrets=["s2"])
    other = stage.get("/function/other")[1]["pid"]
    assert stage.get("/system/secrets", {"name": "s1", "value": "after"}, "PUT")[0] == 202
    seen = set()

    def is_new() -> bool:
        status, found = stage.get("/function/hello/secret")
        seen.add(status)
        return status == 200 and bytes.fromhex(found["text"]) == b"after" and stage.describe()["availableReplicas"] == 1

    pid = stage.get("/function/hello")[1]["pid"]
    until(is_new, within_s=20)
    until(lambda: stage.get("/function/hello")[1]["pid"] != pid, within_s=20)
    assert seen == {200}
    assert stage.get("/function/other")[1]["pid"] == other


def test_describe_tells_of_restarts_and_of_the_next_start(stage):
    stage.deploy()
    assert not [name for name in stage.describe()["annotations"] if name.startswith("status.")]
    stage.deploy("PUT", limits={"memory": "64Mi"})
    assert "not enforced" in stage.describe()["annotations"]["status.jangada.io/limits"]
    stage.deploy(wait=False, service="broken", image="me/broken:1", annotations={"mine": "yes"})
    said = until(
        lambda: (
            found
            if "status.jangada.io/next-start" in (found := stage.describe("broken")["annotations"])
            and int(found["status.jangada.io/restarts"]) >= 3
            else None
        ),
        within_s=20,
    )
    assert said["status.jangada.io/last-failure"] == "ended with exit code 7"
    assert said["mine"] == "yes"
    listed = next(row for row in stage.get("/system/functions")[1] if row["name"] == "broken")
    assert listed["annotations"] == {"mine": "yes"}
    # A client that sends back what it was told has not meant the status.
    stage.deploy("PUT", wait=False, service="broken", image="me/hello:1", annotations=said)
    until(lambda: stage.describe("broken").get("availableReplicas") == 1, within_s=20)
    assert stage.describe("broken")["annotations"] == {"mine": "yes"}


def test_readiness_by_annotation_takes_a_replica_out_and_in_again(stage):
    stage.deploy(
        envVars={"MARKS": str(stage.folder)},
        annotations={
            "com.openfaas.ready.http.path": "/fit",
            "com.openfaas.ready.http.periodSeconds": "100ms",
            "com.openfaas.ready.http.failureThreshold": "2",
        },
    )
    pid = stage.get("/function/hello")[1]["pid"]
    (stage.folder / "fit.no").touch()
    until(lambda: "availableReplicas" not in stage.describe(), within_s=10)
    (stage.folder / "fit.no").unlink()
    until(lambda: stage.get("/function/hello") == (200, {"pid": pid, "version": ""}), within_s=10)


def test_health_by_annotation_ends_a_replica_that_is_ill(stage):
    stage.deploy(
        envVars={"MARKS": str(stage.folder)},
        annotations={
            "com.openfaas.health.http.path": "/well",
            "com.openfaas.health.http.periodSeconds": "100ms",
            "com.openfaas.health.http.failureThreshold": "2",
        },
    )
    pid = stage.get("/function/hello")[1]["pid"]
    (stage.folder / "well.no").touch()
    until(lambda: stage.rows()[0]["restarts"] >= 1, within_s=20)
    (stage.folder / "well.no").unlink()
    until(lambda: (found := stage.get("/function/hello"))[0] == 200 and found[1]["pid"] != pid, within_s=20)


def test_the_gateways_patience_is_openfaas_upstream_timeout(tmp_path, mongo_url, mongo_database, monkeypatch):
    monkeypatch.setenv("upstream_timeout", "200ms")
    stage = Stage(tmp_path, mongo_url, mongo_database.name)
    try:
        stage.deploy()
        assert stage.get("/function/hello")[0] == 200
        assert stage.get("/function/hello/slow")[0] == 504
    finally:
        stage.close()

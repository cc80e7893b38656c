"""kill -9 of a gateway whose functions are processes: they go on, and the next gateway finds them."""

from __future__ import annotations

import contextlib
import json
import threading
import time

import psutil
import pytest

from tests.integration.gateway.process_stage import Stage
from tests.servers import until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def stage(tmp_path, mongo_url, mongo_database):
    made = Stage(tmp_path, mongo_url, mongo_database.name)
    yield made
    made.close()


def pids(stage: Stage) -> set[int]:
    return {row["pid"] for row in stage.rows() if row["state"] == "ready"}


def ready(stage: Stage, number: int) -> set[int]:
    until(lambda: len(pids(stage)) == number and stage.describe().get("availableReplicas") == number, within_s=30)
    return pids(stage)


def starts(stage: Stage, pid: int) -> float:
    return psutil.Process(pid).create_time()


def test_replicas_outlive_it_and_are_taken_over_under_load(stage):
    stage.deploy(labels={"com.openfaas.scale.min": "2", "com.openfaas.scale.max": "2"})
    before = ready(stage, 2)
    answers: list[int] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            status, answer = stage.get("/function/hello")
            if status == 200:
                answers.append(answer["pid"])

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    stage.kill()
    assert all(psutil.pid_exists(pid) for pid in before)
    begun = time.monotonic()
    stage.start()
    until(lambda: stage.get("/function/hello")[0] == 200)
    print(f"back after {time.monotonic() - begun:.2f} s")
    assert ready(stage, 2) == before
    seen = len(answers)
    until(lambda: len(answers) > seen + 20, within_s=20)
    stop.set()
    for thread in threads:
        thread.join()
    assert set(answers) == before


def test_what_they_wrote_without_a_gateway_is_read_by_the_next_one(stage):
    stage.deploy()
    port = stage.rows()[0]["port"]
    stage.kill()
    own = Stage.get
    at = stage.port
    stage.port = port
    assert own(stage, "/print", b"alone")[0] == 200
    stage.port = at
    stage.start()

    def lines() -> list[str]:
        body = stage.get("/system/logs?name=hello&follow=false")[1]
        raw = body if isinstance(body, str) else json.dumps(body)
        return [json.loads(line)["text"] for line in raw.splitlines()]

    until(lambda: "first alone" in lines(), within_s=10)
    assert lines().count("first alone") == 1


def test_a_taken_over_replica_that_dies_is_started_again(stage):
    stage.deploy()
    (before,) = ready(stage, 1)
    stage.restart()
    assert ready(stage, 1) == {before}
    psutil.Process(before).kill()
    until(lambda: pids(stage) not in (set(), {before}), within_s=20)
    assert stage.rows()[0]["restarts"] == 1


def test_what_was_deployed_anew_meanwhile_replaces_what_was_found(stage, mongo_database):
    stage.deploy(envVars={"VERSION": "1"})
    before = ready(stage, 1)
    stage.kill()
    document = mongo_database["fn_deployments"].find_one({"_id": "openfaas-fn/hello"})
    spec = json.loads(document["spec"]) | {"envVars": {"VERSION": "2"}}
    mongo_database["fn_deployments"].update_one(
        {"_id": document["_id"]}, {"$set": {"spec": json.dumps(spec)}, "$inc": {"generation": 1}}
    )
    mongo_database["fn_changes"].update_one({"_id": "deployments"}, {"$inc": {"n": 1}})
    stage.start()
    until(lambda: stage.get("/function/hello")[1]["version"] == "2", within_s=20)
    until(lambda: not pids(stage) & before, within_s=10)
    assert psutil.wait_procs([psutil.Process(pid) for pid in before if psutil.pid_exists(pid)], timeout=20)[1] == []


def test_strays_that_nobody_wants_any_more_are_ended(stage, mongo_database):
    stage.deploy()
    (pid,) = ready(stage, 1)
    process = psutil.Process(pid)
    stage.kill()
    mongo_database["fn_deployments"].delete_many({})
    mongo_database["fn_changes"].update_one({"_id": "deployments"}, {"$inc": {"n": 1}})
    stage.start()
    assert psutil.wait_procs([process], timeout=20)[1] == []
    assert stage.get("/system/functions")[1] == []
    until(lambda: not list((stage.folder / "run" / "replicas").iterdir()), within_s=10)


def test_a_record_whose_number_now_belongs_to_another_process_is_nobodys(stage):
    stage.deploy()
    before = ready(stage, 1)
    stage.kill()
    (path,) = (stage.folder / "run" / "replicas").glob("*.json")
    record = json.loads(path.read_text())
    bystander = psutil.Popen(["sleep", "60"])
    try:
        path.write_text(json.dumps(record | {"pid": bystander.pid}))
        stage.start()
        until(lambda: pids(stage) not in (set(), before), within_s=20)
        assert bystander.is_running()
    finally:
        bystander.kill()
        bystander.wait()
        for pid in before:
            psutil.Process(pid).kill()


def test_a_process_whose_gateway_died_before_it_wrote_its_number_down_is_found(stage):
    stage.deploy()
    before = ready(stage, 1)
    stage.kill()
    (path,) = (stage.folder / "run" / "replicas").glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": 0, "started": ""}))
    stage.start()
    assert ready(stage, 1) == before


def test_one_that_is_told_to_stop_ends_also_what_it_took_over(stage):
    stage.deploy(labels={"com.openfaas.scale.min": "2"})
    processes = [psutil.Process(pid) for pid in ready(stage, 2)]
    stage.restart()
    ready(stage, 2)
    stage.process.terminate()
    assert stage.process.wait(30) == 0
    assert psutil.wait_procs(processes, timeout=5)[1] == []


def test_functions_that_no_gateway_comes_for_end(tmp_path, mongo_url, mongo_database):
    stage = Stage(tmp_path, mongo_url, mongo_database.name, "--orphans-live-s", "1")
    with contextlib.closing(stage):
        stage.deploy()
        (pid,) = ready(stage, 1)
        process = psutil.Process(pid)
        stage.kill()
        assert psutil.wait_procs([process], timeout=30)[1] == []


def test_a_second_gateway_leaves_the_firsts_functions_alone(stage):
    stage.deploy()
    before = ready(stage, 1)
    done = psutil.Popen(
        [*stage.process.args[:-6], "--port", "0", *stage.process.args[-6:]], env=stage.environ, cwd=stage.folder
    )
    assert done.wait(60) == 2
    assert pids(stage) == before

"""The supervisor with its real servers: up, again, down, killed, and what is left of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time

import psutil
import pytest
import requests

from tests.live_platform import ROOT, LivePlatform, live_platform
from tests.servers import until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with live_platform(tmp_path_factory.mktemp("platform") / "home") as running:
        yield running


def test_up_tells_the_address_and_shows_the_key_once(platform):
    key = platform.connection()["api_key"]
    platform.down()
    again = platform.up()
    assert platform.connection()["url"] in again.stdout
    assert platform.connection()["api_key"] == key
    assert key not in again.stdout
    with platform.client() as client:
        assert client.whoami()["tenant"]


def test_the_key_lies_in_one_private_file_and_in_no_log(platform):
    path = platform.home / "connection.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(platform.home.stat().st_mode) == 0o700
    secret = platform.connection()["api_key"].rsplit("_", 1)[1].encode()
    others = [file for file in platform.home.rglob("*") if file.is_file() and file != path and "envs" not in file.parts]
    assert [file for file in others if secret in file.read_bytes()] == []


def test_a_second_up_says_that_it_runs_and_changes_nothing(platform):
    before = platform.supervisor_pid()
    again = platform.jangada("up")
    assert again.returncode == 0
    assert platform.connection()["url"] in again.stdout
    assert platform.supervisor_pid() == before


def test_what_says_that_it_is_up_takes_jobs_at_once(platform):
    platform.down()
    started = platform.jangada("up", "--detach", "--algorithms", ",".join(platform.algorithms))
    assert started.returncode == 0
    with platform.client() as client:
        assert {algorithm.name for algorithm in client.algorithms()} >= set(platform.algorithms)


def test_status_names_every_part(platform):
    status = platform.status()
    parts = {part["part"]: part for part in status["parts"]}
    functions = {f"function:{name}" for name in ("auth", "router", "deployments", "files", "nodes")}
    assert {"supervisor", "redis", "mongo", "connection", "gateway", "executor:echo"} | functions <= set(parts)
    assert {part["state"] for part in parts.values()} <= {"ready", "done"}
    for name in ("redis", "mongo", "gateway", "function:router"):
        assert psutil.pid_exists(parts[name]["pid"])
        assert parts[name]["memory_bytes"] > 1_000_000


def test_logs_show_one_part_or_all(platform):
    assert "Ready to accept connections" in platform.jangada("logs", "redis").stdout
    assert "gateway" in platform.jangada("logs").stdout
    unknown = platform.jangada("logs", "nothing")
    assert unknown.returncode == 2
    assert len(unknown.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("part", ["redis", "mongo", "gateway", "function:router", "executor:echo"])
def test_a_part_that_is_killed_comes_back_and_jobs_go_on(platform, part):
    before = platform.pid(part)
    assert platform.kill(part)
    until(lambda: platform.pid(part) not in {None, before} and platform.rows()[part]["state"] == "ready", within_s=30)
    with platform.client() as client:
        assert client.run("echo", {"value": part}, timeout_s=60)["value"] == part


def test_functions_outlive_a_gateway_that_is_killed(platform):
    def functions() -> dict[str, int]:
        rows = platform.rows().items()
        return {part: row["pid"] for part, row in rows if part.startswith("function:") and row["state"] == "ready"}

    before, gateway = functions(), platform.pid("gateway")
    assert len(before) >= 4
    assert platform.kill("gateway")
    assert all(psutil.pid_exists(pid) for pid in before.values())
    until(
        lambda: platform.pid("gateway") not in {None, gateway} and platform.rows()["gateway"]["state"] == "ready",
        within_s=60,
    )
    until(lambda: functions() == before, within_s=30)


def test_callers_wait_while_the_gateway_is_started_again(platform):
    url = platform.connection()["url"]
    platform.kill("gateway")
    # The supervisor holds the listening socket: nobody is refused.
    assert requests.get(f"{url}/healthz", timeout=20).status_code == 200


def test_a_platform_killed_with_9_leaves_nothing_running_and_loses_nothing(platform):
    with platform.client() as client:
        job = client.submit("echo", {"value": "kept"}, wait_s=20)
    children = [process for process in platform.processes() if process.pid != platform.supervisor_pid()]
    os.kill(platform.supervisor_pid(), signal.SIGKILL)
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert platform.status()["state"] == "stopped"
    platform.up()
    with platform.client() as client:
        assert client.get(job.id).output["value"] == "kept"
        assert client.run("echo", {"value": 2}, timeout_s=60)["value"] == 2


def test_a_recycled_pid_in_the_state_file_is_nobodys_business(platform):
    platform.down()
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        path = platform.home / "run" / "state.json"
        state = json.loads(path.read_text())
        state["pid"] = bystander.pid
        state["parts"][0] |= {"pid": bystander.pid, "started_at": time.time() - 5000}
        path.write_text(json.dumps(state))
        platform.up()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_lost_connection_file_is_made_anew_and_the_old_key_ends(platform):
    old = platform.connection()["api_key"]
    platform.down()
    (platform.home / "connection.json").unlink()
    platform.up()
    assert platform.connection()["api_key"] != old
    url = platform.connection()["url"]
    answer = requests.get(f"{url}/v1/whoami", headers={"Authorization": f"Bearer {old}"}, timeout=10)
    assert answer.status_code == 401


def test_ctrl_c_stops_everything_in_order(tmp_path):
    platform = LivePlatform(tmp_path / "home", ["echo"])
    command = [sys.executable, "-c", "from jangada.cli.main import main; main()", "up", "--algorithms", "echo"]
    process = subprocess.Popen(
        command, env=platform.environ(), cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "Jangada is up" in line:
                    break
            assert lines, "it never came up"
            os.killpg(process.pid, signal.SIGINT)
            rest, _ = process.communicate(timeout=60)
        finally:
            if process.poll() is None:
                process.kill()
    assert process.returncode == 0
    assert "stopped" in rest
    assert platform.processes() == []
    assert "Redis is now ready to exit" in (platform.home / "logs" / "redis.log").read_text()


def test_a_taken_port_is_one_line_that_says_by_whom(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = LivePlatform(tmp_path / "home", port=port).jangada("up", "-d")
    assert done.returncode == 2
    assert f"port {port} is taken" in done.stderr
    assert str(os.getpid()) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"JANGADA_REDIS_BINARY": "/no/such/redis"}, "/no/such/redis"),
        ({"JANGADA_NONSENSE": "1"}, "JANGADA_NONSENSE"),
        ({"JANGADA_ALGORITHMS_DIR": "/no/such/folder"}, "/no/such/folder"),
        ({"JANGADA_HOME": "/proc/nowhere"}, "/proc/nowhere"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_2(tmp_path, settings, said):
    done = LivePlatform(tmp_path / "home", settings=settings).jangada("up", "-d", "--algorithms", "echo")
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_unknown_algorithm_is_named(tmp_path):
    done = LivePlatform(tmp_path / "home").jangada("up", "-d", "--algorithms", "nonsense")
    assert (done.returncode, "nonsense" in done.stderr) == (2, True)
    assert not (tmp_path / "home" / "run" / "state.json").exists()

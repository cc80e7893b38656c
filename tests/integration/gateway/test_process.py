"""The gateway as a process of its own, with functions as its children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from benchmarks.gateway.proxy import Stage, large_bodies
from tests.servers import until


@pytest.fixture
def stage(tmp_path):
    made = Stage(tmp_path)
    yield made
    if made.process.poll() is None:
        made.close()


def test_a_hundred_megabytes_pass_in_constant_memory(stage):
    assert large_bodies(stage)["gateway_rss_growth_mib"] < 24


def test_a_function_that_is_killed_is_started_again(stage):
    stage.function.kill()
    row = until(lambda: _other_pid(stage, stage.function.pid), within_s=20)
    assert row["restarts"] == 1
    with urllib.request.urlopen(f"http://127.0.0.1:{stage.port}/function/bench/", timeout=10) as answer:
        assert answer.status == 200


def test_sigterm_ends_both_in_good_order(stage):
    stage.process.send_signal(signal.SIGTERM)
    assert stage.process.wait(20) == 0
    assert not stage.function.is_running()
    assert json.loads(stage._state.read_text())[0]["state"] == "stopped"


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        (None, "cannot read"),
        ("version: 1.0\nprovider: {name: openfaas}\nfunctions: 3\n", ":3: functions must be a mapping"),
        (
            "version: 1.0\nprovider: {name: openfaas}\nfunctions:\n  f: {lang: x, handler: ./f, image: f}\n",
            "no folder ./f",
        ),
        (
            "version: 1.0\nprovider: {name: openfaas}\nfunctions:\n  f: {lang: x, handler: ., image: f}\n",
            "no template x",
        ),
    ],
)
def test_a_wrong_stack_is_one_line_and_exit_code_2(tmp_path, stack, said):
    path = tmp_path / "stack.yml"
    if stack is not None:
        path.write_text(stack)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("JANGADA_")}
    done = subprocess.run(
        [sys.executable, "-m", "jangada.gateway", "--stack", str(path), "--port", "0"],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def _other_pid(stage: Stage, pid: int):
    row = json.loads(stage._state.read_text())[0]
    return row if row["state"] == "ready" and row["pid"] != pid else None

"""`jangada function run`: one function, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.live_platform import ROOT

HANDLER = """
import os, sys

print("printed while loading")

def handle(event, context):
    print("printed while running")
    if event.path == "/raises":
        raise ValueError("on purpose")
    told = [event.method, event.path, dict(event.query), event.body.decode(), event.headers.get("X-One")]
    status = int(event.query.get("status", 200))
    return {"statusCode": status, "body": told + [event.headers.get("Content-Type"), os.environ["OPENFAAS_NAME"]]}
"""


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "hello"
    made.mkdir()
    (made / "handler.py").write_text(HANDLER)
    return made


def run(*arguments, text=None, home="/nonexistent"):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("JANGADA_")}
    return subprocess.run(
        [sys.executable, "-c", "from jangada.cli.main import main; main()", "function", "run", *arguments],
        env=clean | {"JANGADA_HOME": str(home)},
        cwd=ROOT,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_answer_alone_is_on_stdout(folder, tmp_path):
    event = tmp_path / "event.json"
    event.write_text('{"n": 1}')
    done = run(str(folder), "--data", f"@{event}", "--path", "/a/b?x=1", "-H", "X-One: 1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["POST", "/a/b", {"x": "1"}, '{"n": 1}', "1", "application/json", "hello"]
    assert "printed while loading" in done.stderr
    assert "printed while running" in done.stderr


def test_the_body_may_come_from_stdin_and_the_method_be_chosen(folder):
    done = run(str(folder), "--data", "-", "-X", "put", text="plain")
    assert json.loads(done.stdout)[0] == "PUT"
    assert json.loads(done.stdout)[3] == "plain"
    assert json.loads(done.stdout)[5] == "text/plain"


@pytest.mark.parametrize(("status", "code"), [(204, 0), (302, 0), (404, 4), (503, 5)])
def test_the_exit_code_tells_the_class_of_the_status(folder, status, code):
    done = run(str(folder), "--path", f"/?status={status}", "-i")
    assert done.returncode == code, done.stderr
    assert done.stdout.startswith(f"HTTP/1.1 {status}\n")


def test_a_function_that_raises_is_5_and_shows_where(folder):
    done = run(str(folder), "--path", "/raises")
    assert done.returncode == 5
    assert "on purpose" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "no function nobody"),
        (["auth", "--data", "@/no/such"], "/no/such"),
        (["auth", "-H", "nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, said):
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_handler_that_cannot_be_loaded_is_1_and_shows_where(folder):
    (folder / "handler.py").write_text("import nothing_like_that\n")
    done = run(str(folder))
    assert done.returncode == 1
    assert "nothing_like_that" in done.stderr


def test_a_function_of_the_stack_runs_without_the_platform(tmp_path):
    done = run("auth", "-X", "GET", "--path", "/v1/whoami", home=tmp_path / "home")
    assert done.returncode == 4, done.stderr
    assert json.loads(done.stdout)["code"] == "invalid_token"

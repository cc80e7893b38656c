"""`jangada up --watch`: a change on disk is live a moment later, and nobody is refused meanwhile."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from jangada.client import Client
from tests.live_platform import ROOT, TOYS, LivePlatform
from tests.servers import until

pytestmark = pytest.mark.timeout(240)

WITHIN_S = 2.0
NOISE_S = 3.0
"""A test machine may be busy with other tests; the benchmark says how long it takes."""
STACK = """
version: 1.0
provider: {name: openfaas}
functions:
  hello: {lang: python3-jangada, handler: ./functions/hello, image: "hello:1"}
  auth: {lang: python3-jangada, handler: ./functions/auth, image: "auth:1", annotations: {jangada.io/routes: "whoami"}}
  deployments:
    lang: python3-jangada
    handler: ./functions/deployments
    image: "deployments:1"
    annotations: {jangada.io/routes: "algorithms"}
  router:
    lang: python3-jangada
    handler: ./functions/router
    image: "router:1"
    annotations: {jangada.io/routes: "jobs"}
"""
HANDLER = "def handle(event, context):\n    return {!r}\n"


class Watched(LivePlatform):
    """A platform whose functions and algorithms lie in a folder of its own."""

    def start(self, root):
        self.root = root
        for name in ("auth", "deployments", "router"):
            shutil.copytree(ROOT / "functions" / name, root / "functions" / name)
        (root / "functions" / "hello").mkdir()
        (root / "template").symlink_to(ROOT / "template")
        (root / "stack.yml").write_text(STACK)
        shutil.copytree(TOYS / "echo", root / "executors" / "echo")
        self.settings["JANGADA_ALGORITHMS_DIR"] = str(root / "executors")
        self.handler = root / "functions" / "hello" / "handler.py"
        self.handler.write_text(HANDLER.format("one"))
        command = "from jangada.cli.main import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", command, "up", "-d", "--watch", "--algorithms", "echo"],
            env=self.environ(),
            cwd=root,
            capture_output=True,
            text=True,
            timeout=150,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.url = self.connection()["url"]
        with self.client() as client:
            until(lambda: [one.name for one in client.algorithms()] == ["echo"], within_s=60, every_s=0.1)

    def hello(self):
        with urllib.request.urlopen(f"{self.url}/function/hello", timeout=10) as answer:
            return answer.read().decode()


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watch")
    made = Watched(folder / "home")
    try:
        made.start(folder / "root")
        yield made
    finally:
        made.jangada("down")


def test_a_changed_handler_is_live_soon_and_nobody_is_refused(platform):
    assert platform.hello() == "one"
    ending, failures = threading.Event(), []

    def client():
        while not ending.is_set():
            try:
                assert platform.hello() in {"one", "two"}
            except (OSError, AssertionError, urllib.error.HTTPError) as error:
                failures.append(error)

    thread = threading.Thread(target=client)
    thread.start()
    try:
        began = time.monotonic()
        platform.handler.write_text(HANDLER.format("two"))
        until(lambda: platform.hello() == "two", within_s=10)
        took = time.monotonic() - began
        time.sleep(1.5)
    finally:
        ending.set()
        thread.join()
    print(f"handler live after {took:.2f} s")
    assert took < WITHIN_S + NOISE_S
    assert failures == []
    assert platform.hello() == "two"


def test_a_handler_that_does_not_start_leaves_the_old_one_at_work(platform):
    before = platform.hello()
    platform.handler.write_text("this is no python\n")
    log = platform.home / "logs" / "supervisor.log"
    until(lambda: "functions/hello/handler.py changed: hello" in log.read_text(), within_s=5)
    time.sleep(2.0)
    assert platform.hello() == before
    platform.handler.write_text(HANDLER.format("mended"))
    until(lambda: platform.hello() == "mended", within_s=30)


def test_a_changed_algorithm_is_live_soon(platform):
    file = platform.root / "executors" / "echo" / "algorithm.py"
    pid = platform.pid("executor:echo")
    others = {name: platform.pid(name) for name in ("gateway", "function:auth", "redis", "mongo")}
    text = file.read_text()
    changed = text.replace("def run(self", "MARK = 'changed'\n\n    def run(self", 1)
    assert changed != text
    began = time.monotonic()
    file.write_text(changed)
    until(lambda: platform.pid("executor:echo") not in {None, pid}, within_s=10, every_s=0.05)
    with platform.client() as client:
        assert isinstance(client, Client)
        assert client.run("echo", {"value": 7}, timeout_s=60)["value"] == 7
    took = time.monotonic() - began
    print(f"algorithm live after {took:.2f} s")
    assert took < WITHIN_S + NOISE_S
    assert {name: platform.pid(name) for name in others} == others


def test_the_state_file_still_tells_of_all(platform):
    def states():
        rows = json.loads((platform.home / "run" / "state.json").read_text())["parts"]
        return {row["state"] for row in rows}

    until(lambda: states() <= {"ready", "done"}, within_s=10)

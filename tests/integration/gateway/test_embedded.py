"""`jangada up --functions DIR`: a function of a user is deployed beside the platform's, and is there afterwards."""

from __future__ import annotations

import json
import stat

import pytest
import requests

from tests.live_platform import LivePlatform
from tests.servers import until

pytestmark = pytest.mark.timeout(300)

HANDLER = """
import os

def handle(event, context):
    return {"hello": event.body.decode(), "platform": sorted(n for n in os.environ if n.startswith("JANGADA_"))}
"""


def test_a_users_function_beside_the_platforms_own(tmp_path):
    handler = tmp_path / "fns" / "hello" / "handler.py"
    handler.parent.mkdir(parents=True)
    handler.write_text(HANDLER)
    home = tmp_path / "home"
    platform = LivePlatform(home, ["noop"])
    arguments = ("up", "--detach", "--algorithms", "noop", "--functions", str(tmp_path / "fns"))
    try:
        done = platform.jangada(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "faas-cli login -g http://127.0.0.1:" in done.stdout
        password = home / "secrets" / "basic-auth-password"
        assert stat.S_IMODE(password.stat().st_mode) == 0o600
        assert password.read_text() not in done.stdout
        url = platform.connection()["url"]
        auth = ("admin", password.read_text().strip())
        assert requests.get(f"{url}/system/functions", timeout=10).status_code == 401
        names = {one["name"] for one in requests.get(f"{url}/system/functions", auth=auth, timeout=10).json()}
        assert names == {"auth", "deployments", "files", "nodes", "router"}

        body = {"service": "hello", "image": "me/hello:1"}
        assert requests.put(f"{url}/system/functions", json=body, auth=auth, timeout=10).status_code == 404
        assert requests.post(f"{url}/system/functions", json=body, auth=auth, timeout=10).status_code == 202
        answer = requests.post(f"{url}/function/hello", data="you", timeout=20)
        assert answer.json() == {"hello": "you", "platform": ["JANGADA_SECRETS_DIR"]}
        assert platform.rows()["function:hello"]["state"] == "ready"
        ports = json.loads((home / "run" / "ports.json").read_text())
        page = requests.get(f"http://127.0.0.1:{ports['gateway-metrics']}/metrics", timeout=10).text
        assert 'gateway_function_invocation_total{code="200",function_name="hello.openfaas-fn"} 1' in page

        platform.port = int(url.rsplit(":", 1)[1])
        platform.down()
        # Without its folder the platform starts all the same; the function is known, and not available.
        platform.algorithms = ("noop",)
        platform.up()
        found = requests.get(f"{url}/system/function/hello", auth=auth, timeout=10).json()
        assert (found["replicas"], found.get("availableReplicas", 0)) == (1, 0)
        platform.down()
        assert platform.jangada(*arguments).returncode == 0
        assert until(lambda: requests.post(f"{url}/function/hello", data="x", timeout=20).status_code == 200)
    finally:
        platform.jangada("down")
        for process in platform.processes():
            process.kill()

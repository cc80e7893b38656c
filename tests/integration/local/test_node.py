"""The embedded platform's own node: what is wished for runs, and with --on-demand everything does so."""

from __future__ import annotations

import time

import requests

from tests.live_platform import LivePlatform, live_platform
from tests.servers import until


def ask(platform: LivePlatform, method: str, path: str, **options):
    connection = platform.connection()
    headers = {"Authorization": f"Bearer {connection['api_key']}"}
    return requests.request(method, connection["url"] + path, headers=headers, timeout=60, **options)


def test_a_deployment_that_is_wished_for_runs_on_the_platform_as_it_comes(tmp_path):
    with live_platform(tmp_path / "home", ["echo"]) as platform:
        small = {"cpu_millicores": 100, "memory_mib": 64}
        wish = {"name": "mine", "algorithm": "echo", "mode": "online", "resources": small}
        made = ask(platform, "POST", "/v1/deployments", json=wish)
        assert made.status_code == 201, made.text

        def is_ready() -> bool:
            (lane,) = ask(platform, "GET", "/v1/deployments/mine").json()["status"]["lanes"]
            return lane["ready"] == 1

        until(is_ready, 60, 0.2)
        assert {"node", "executor:echo"} <= set(platform.rows())


def test_on_demand_nothing_runs_until_the_first_job_comes(tmp_path):
    platform = LivePlatform(tmp_path / "home", ["echo"])
    try:
        done = platform.jangada("up", "--detach", "--on-demand", "--algorithms", "echo")
        assert done.returncode == 0, done.stdout + done.stderr
        assert not executors(platform)
        with platform.client() as client:
            until(lambda: {one.name for one in client.algorithms()} == {"echo"}, 60, 0.2)
            began = time.monotonic()
            job = client.wait(client.submit("echo", {"value": 7}).id, timeout_s=60)
            print(f"zero to answer: {time.monotonic() - began:.2f} s")
            assert job.output["value"] == 7
        assert len(executors(platform)) == 1
    finally:
        platform.jangada("down")
        # A child ends with its executor, some milliseconds later.
        until(lambda: not platform.processes(), 5)


def executors(platform: LivePlatform):
    return [one for one in platform.processes() if "jangada.executor" in one.cmdline()]

"""An operator looks at a platform: its metrics, `jangada queue`, and what a pause does to both."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator

import pytest

from tests.live_platform import LivePlatform, live_platform
from tests.servers import until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def platform(tmp_path_factory) -> Iterator[LivePlatform]:
    with live_platform(tmp_path_factory.mktemp("watched") / "home", ["noop"]) as running:
        yield running


def page(target: str) -> str:
    with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def queue(platform: LivePlatform, *arguments: str) -> dict:
    done = platform.jangada("queue", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_prometheus_finds_the_gateway_and_each_executor(platform):
    with platform.client() as client:
        client.run("noop", timeout_s=60)
    file = platform.home / "run" / "prometheus-targets.json"
    found = {group["labels"]["job"]: group["targets"] for group in json.loads(file.read_text())}
    gateway = page(*found["jangada-gateway"])
    # What the board asks the gateway for, with the labels that it asks by.
    for name in ("gateway_function_invocation_total", "gateway_functions_seconds_bucket"):
        assert re.search(rf'^{name}{{code="200",function_name="router', gateway, re.MULTILINE), gateway
    assert 'jangada_executor_slots{algorithm="noop",queue="noop"' in page(*found["jangada-executors"])


def test_a_paused_queue_is_seen_everywhere_and_goes_on_when_resumed(platform):
    assert queue(platform, "pause", "noop")["paused"] is True
    with platform.client() as client:
        job = client.submit("noop")
        assert queue(platform, "stats", "noop")["ready"] == {"high": 0, "normal": 1, "low": 0}
        assert queue(platform, "peek", "noop")["id"] == job.id
        groups = json.loads((platform.home / "run" / "prometheus-targets.json").read_text())
        (target,) = next(group["targets"] for group in groups if group["labels"]["job"] == "jangada-executors")
        until(lambda: 'jangada_queue_paused{queue="noop"} 1' in page(target), within_s=60, every_s=0.5)
        assert 'jangada_queue_ready_jobs{queue="noop",priority="normal"} 1' in page(target)
        assert queue(platform, "resume", "noop")["paused"] is False
        assert client.wait(job, timeout_s=60).succeeded
        until(lambda: 'jangada_executor_jobs_total{algorithm="noop",queue="noop",status="succeeded"} 2' in page(target))


def test_a_queue_that_there_is_not_and_a_key_that_may_not_are_one_clear_line(platform):
    done = platform.jangada("queue", "stats", "nope")
    assert (done.returncode, done.stderr) == (1, "error: there is no queue nope [not_found, HTTP 404]\n")

"""What an executor tells Prometheus, over real servers and a real socket."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from jangada.errors import ConfigurationError
from jangada.executor.metrics_server import MetricsServer
from jangada.jobs.job import JobStatus
from tests.integration.executor.stage import Stage, stage
from tests.requires import requires_program
from tests.servers import free_port, until


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def made(port: int) -> Iterator[Stage]:
    with stage(JANGADA_METRICS_LISTEN=str(port)) as running:
        yield running


def page(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text: str = answer.read().decode()
    return text


def value(text: str, name: str, **labels: str) -> float:
    """The sum of the samples of *name* that have all of *labels*."""
    found = 0.0
    for line in text.splitlines():
        if line.startswith((name + "{", name + " ")) and all(f'{key}="{word}"' in line for key, word in labels.items()):
            found += float(line.rpartition(" ")[2])
    return found


def test_an_executor_tells_of_its_jobs_its_retries_its_children_and_the_queues(made: Stage, port: int) -> None:
    def counted() -> str | None:
        shown = page(port)
        # The last thing that is counted of an attempt.
        return shown if value(shown, "jangada_executor_job_wait_seconds_count") else None

    with made.executor("echo"):
        (good,) = made.submit("echo", [{"value": 1}])
        made.wait_for(good, JobStatus.SUCCEEDED)
        text = until(counted)
        assert isinstance(text, str)
    assert value(text, "jangada_executor_jobs_total", status="succeeded", algorithm="echo", queue="echo") == 1
    assert value(text, "jangada_executor_job_run_seconds_count") == 1
    assert value(text, "jangada_executor_child_starts_total", reason="first") == 1
    assert value(text, "jangada_executor_setup_seconds_count", phase="setup") == 1
    assert value(text, "jangada_executor_store_seconds_count", store="mongo", operation="write_outcomes") == 1
    assert value(text, "jangada_executor_slots") >= 1
    assert 'jangada_queue_ready_jobs{queue="echo",priority="high"} 0' in text
    # Ids are no labels: they would make a series each.
    assert not re.search(r"job_[0-9A-HJKMNP-TV-Z]{26}|exe_", text)


def test_the_page_pleases_promtool(made: Stage, port: int) -> None:
    promtool = requires_program("promtool")
    with made.executor("echo"):
        made.wait_for(made.submit("echo", [{"value": 1}])[0], JobStatus.SUCCEEDED)
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=page(port), text=True, capture_output=True, timeout=60
        )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    made = MetricsServer(lambda: "one 1\n", "127.0.0.1:0")
    made.start()
    yield made
    made.stop()


def ask(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while some := connection.recv(4096):
            answer += some
    return answer


def test_it_answers_metrics_and_health_and_nothing_else(server: MetricsServer) -> None:
    assert ask(server.port, b"GET /metrics?x=1 HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\none 1\n")
    assert ask(server.port, b"HEAD /metrics HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")
    assert b" 200 " in ask(server.port, b"GET /healthz HTTP/1.1\r\n\r\n")
    assert b" 404 " in ask(server.port, b"GET /etc/passwd HTTP/1.1\r\n\r\n")
    assert b" 405 " in ask(server.port, b"POST /metrics HTTP/1.1\r\n\r\n")


def test_a_client_that_says_nothing_or_too_much_holds_up_the_next_one_for_a_moment_only(server: MetricsServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        assert b" 200 " in ask(server.port, b"GET /metrics HTTP/1.1\r\n\r\n")
    # It may be cut off while it still talks.
    with contextlib.suppress(ConnectionError):
        assert ask(server.port, b"x" * 100_000) == b""
    assert b" 200 " in ask(server.port, b"GET /metrics HTTP/1.1\r\n\r\n")


def test_a_page_that_cannot_be_made_is_a_500_and_the_next_one_is_tried() -> None:
    pages = iter([None, "one 1\n"])

    def page() -> str:
        made = next(pages)
        if made is None:
            raise RuntimeError("broken")
        return made

    server = MetricsServer(page, "0")
    server.start()
    try:
        assert b" 500 " in ask(server.port, b"GET /metrics HTTP/1.1\r\n\r\n")
        assert b" 200 " in ask(server.port, b"GET /metrics HTTP/1.1\r\n\r\n")
    finally:
        server.stop()


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=f"cannot serve metrics on {listen}: .*in use"):
            MetricsServer(lambda: "", listen)

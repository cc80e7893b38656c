"""The template's process: what OpenFaaS' watchdog would do, done by the function itself."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.servers import free_port, until

ROOT = Path(__file__).parents[3]
INDEX = ROOT / "template" / "python3-jangada" / "index.py"
TOYS = Path(__file__).parent / "toys"


class Process:
    """A function's process."""

    def __init__(self, folder: Path, *arguments: str, **environ: str) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("JANGADA_")}
        command = [sys.executable, str(INDEX), "--function", str(folder), "--port", str(self.port)]
        command += ["--metrics-port", str(self.metrics_port), *arguments]
        self.process = subprocess.Popen(
            command, env=clean | environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def get(self, path: str, **more: object) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=20, **more)

    def is_ready(self) -> bool:
        try:
            return self.get("/_/ready").status_code == 200
        except requests.ConnectionError:
            if self.process.poll() is not None:
                raise AssertionError(self.process.stdout.read()) from None
            return False


@contextmanager
def running(name: str, *arguments: str, **environ: str) -> Iterator[Process]:
    made = Process(TOYS / name, *arguments, **environ)
    try:
        until(made.is_ready, 20)
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


@pytest.fixture(scope="module")
def slow() -> Iterator[Process]:
    with running("slow", JANGADA_THREADS="2", JANGADA_MAX_INFLIGHT="3") as made:
        yield made


def test_health_and_readiness_are_answered(slow: Process):
    for path in ("/_/health", "/_/ready"):
        answer = slow.get(path)
        assert (answer.status_code, answer.text) == (200, "OK")


def test_over_the_limit_is_429_at_once_and_health_goes_on(slow: Process):
    waiting = [threading.Thread(target=slow.get, args=("/wait?s=1.5",)) for _ in range(3)]
    for thread in waiting:
        thread.start()
    until(lambda: slow.get("/_/ready").status_code == 429)
    started = time.monotonic()
    answer = slow.get("/pid")
    assert time.monotonic() - started < 0.7
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["X-OpenFaaS-Internal"]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "overloaded"
    assert slow.get("/_/health").status_code == 200
    for thread in waiting:
        thread.join()
    assert slow.get("/pid").status_code == 200


def test_a_refused_connection_is_good_for_another_request(slow: Process):
    waiting = [threading.Thread(target=slow.get, args=("/wait?s=1",)) for _ in range(3)]
    for thread in waiting:
        thread.start()
    until(lambda: slow.get("/_/ready").status_code == 429)
    connection = http.client.HTTPConnection("127.0.0.1", slow.port)
    for _ in range(2):
        connection.request("GET", "/pid")
        answer = connection.getresponse()
        assert answer.status == 429
        answer.read()
        assert not answer.will_close
    connection.close()
    for thread in waiting:
        thread.join()


def test_a_stream_leaves_chunk_by_chunk(slow: Process):
    at = []
    with slow.get("/stream", stream=True) as answer:
        at.extend(time.monotonic() for line in answer.iter_lines(chunk_size=1) if line)
    assert len(at) == 3
    assert at[2] - at[0] > 0.5


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"GET /" + b"x" * 300_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ],
)
def test_what_the_server_itself_refuses_is_a_problem(slow: Process, raw: bytes, status: int):
    with socket.create_connection(("127.0.0.1", slow.port), 10) as connection:
        connection.sendall(raw)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        body = json.loads(answer.read())
        assert body["status"] == status
        assert "Traceback" not in str(body)


@pytest.mark.parametrize("chunked", [False, True])
def test_who_sends_far_too_much_sees_the_refusal(slow: Process, chunked: bool):
    body = (b"x" * 1_000_000 for _ in range(150)) if chunked else b"x" * 150_000_000
    answer = requests.post(f"{slow.url}/echo", data=body, timeout=20)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_who_is_refused_and_never_hangs_up_is_cut_off(slow: Process):
    with socket.create_connection(("127.0.0.1", slow.port), 20) as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")

        def is_cut_off() -> bool:
            try:
                connection.sendall(b"x")
            except (ConnectionResetError, BrokenPipeError):
                return True
            return False

        until(is_cut_off, 20, 0.5)


def test_a_chunked_body_arrives_whole(slow: Process):
    answer = requests.post(f"{slow.url}/echo", data=iter([b"abc", b"def"]), timeout=10)
    assert answer.text == "abcdef"


def test_forwarded_headers_reach_the_application(slow: Process):
    sent = {"X-Forwarded-Host": "api.example.com", "X-Forwarded-For": "203.0.113.7:1234", "Host": "inner"}
    assert slow.get("/forwarded", headers=sent).json() == sent


def test_requests_are_counted(slow: Process):
    slow.get("/pid")
    slow.get("/nothing")
    text = requests.get(f"http://127.0.0.1:{slow.metrics_port}/metrics", timeout=10).text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert int(lines['http_requests_total{code="200",method="get"}']) >= 1
    assert int(lines['http_requests_total{code="404",method="get"}']) >= 1
    assert int(lines["http_requests_in_flight"]) == 0
    assert int(lines['http_request_duration_seconds_bucket{code="200",method="get",le="+Inf"}']) >= 1
    assert float(lines['http_request_duration_seconds_sum{code="200",method="get"}']) > 0
    assert "_/ready" not in text


def test_openfaas_variables_bound_requests_and_say_where_readiness_is_asked():
    variables = {"exec_timeout": "300ms", "max_inflight": "2", "ready_path": "/pid", "write_timeout": "1m"}
    with running("slow", **variables) as function:
        begun = time.monotonic()
        late = function.get("/wait?s=15")
        assert time.monotonic() - begun < 10
        assert (late.status_code, late.headers["X-OpenFaaS-Internal"]) == (504, "jangada")
        assert late.json()["detail"] == "no answer within 0.3 s"
        assert function.get("/pid").json() == {"pid": function.process.pid}
        assert requests.post(f"{function.url}/echo", data=b"x" * 500, timeout=10).content == b"x" * 500
        assert function.get("/_/ready").json() == {"pid": function.process.pid}
        streams = {"Accept": "text/event-stream"}
        waiting = [threading.Thread(target=function.get, args=("/wait?s=4",), kwargs={"headers": streams})]
        waiting += [threading.Thread(target=function.get, args=("/wait?s=4",), kwargs={"headers": streams})]
        for thread in waiting:
            thread.start()
        until(lambda: function.get("/pid").status_code == 429)
        for thread in waiting:
            thread.join()


def test_a_shorter_bound_comes_with_a_request_and_a_longer_one_does_not():
    with running("slow", exec_timeout="1") as function:
        assert "within 0.2 s" in function.get("/wait?s=1.5", headers={"X-Timeout": "200ms"}).text
        assert "within 1 s" in function.get("/wait?s=1.5", headers={"X-Timeout": "1m"}).text


@pytest.mark.parametrize("wrong", [{"exec_timeout": "soon"}, {"max_inflight": "-1"}, {"ready_path": "ready"}])
def test_a_wrong_variable_is_named(wrong):
    function = Process(TOYS / "slow", **wrong)
    said = function.process.communicate(timeout=20)[0]
    assert function.process.returncode == 2
    assert next(iter(wrong)) in said


def test_three_hundred_connections_are_kept(slow: Process):
    connections = []
    try:
        for _ in range(300):
            connection = http.client.HTTPConnection("127.0.0.1", slow.port, timeout=20)
            connection.request("GET", "/_/health")
            answer = connection.getresponse()
            assert answer.read() == b"OK"
            connections.append(connection)
        for connection in connections:
            connection.request("GET", "/_/health")
            assert connection.getresponse().read() == b"OK"
    finally:
        for connection in connections:
            connection.close()


def test_sigterm_lets_what_is_in_flight_end_and_exits_with_0():
    with running("slow", "--drain-delay-s", "0.3") as function:
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(function.get("/wait?s=1.5")))
        waiting.start()
        idle = http.client.HTTPConnection("127.0.0.1", function.port)
        idle.request("GET", "/pid")
        idle.getresponse().read()
        time.sleep(0.2)
        function.process.send_signal(signal.SIGTERM)
        until(lambda: function.get("/_/ready").status_code == 503, 0.29, 0.02)
        waiting.join()
        assert answers[0].json() == {"waited": True}
        assert answers[0].headers["Connection"] == "close"
        assert function.process.wait(5) == 0
        idle.close()
        assert '"drained":true' in function.process.stdout.read()


def test_a_drain_is_bounded():
    with running("slow", "--drain-delay-s", "0", "--drain-s", "0.5") as function:

        def wait_in_vain() -> None:
            with pytest.raises(requests.ConnectionError):
                function.get("/wait?s=30")

        waiting = threading.Thread(target=wait_in_vain)
        waiting.start()
        until(lambda: function.get("/_/health").ok)
        time.sleep(0.3)
        started = time.monotonic()
        function.process.send_signal(signal.SIGTERM)
        assert function.process.wait(5) == 0
        assert time.monotonic() - started < 3
        waiting.join()


def test_a_function_as_openfaas_has_it_is_served():
    with running("plain") as function:
        assert function.get("/a/b?q=1").json() == {"path": "/a/b", "q": "1", "host": True}
        answer = requests.post(function.url, data=b"you", timeout=10)
        assert (answer.status_code, answer.text, answer.headers["X-Kind"]) == (201, "hello you", "plain")
        failed = function.get("/fail")
        assert failed.status_code == 500
        assert "hunter2" not in failed.text


def test_a_classic_function_is_served():
    with running("classic") as function:
        assert requests.post(function.url, data="você", timeout=10).text == "VOCÊ"


@pytest.mark.parametrize(
    ("folder", "environ", "said"),
    [
        ("broken", {}, "expected create_app(), app or handle()"),
        ("nothing", {}, "handler.py: no such file"),
        ("slow", {"JANGADA_THREDS": "1"}, "unknown setting JANGADA_THREDS"),
        ("slow", {"JANGADA_THREADS": "0"}, "JANGADA_THREADS='0'"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(folder: str, environ: dict[str, str], said: str):
    function = Process(TOYS / folder, **environ)
    output, _ = function.process.communicate(timeout=20)
    assert function.process.returncode == 2
    assert said in output
    assert "Traceback" not in output


def test_a_port_in_use_is_said_in_one_line(slow: Process):
    function = Process(TOYS / "slow", "--port", str(slow.port))
    output, _ = function.process.communicate(timeout=20)
    assert function.process.returncode == 2
    assert f"cannot listen on 127.0.0.1:{slow.port}" in output


def test_each_request_is_one_line_of_json_without_its_query():
    with running("slow") as function:
        function.get("/pid?secret=hunter2", headers={"X-Request-Id": "abc"})
        function.process.send_signal(signal.SIGTERM)
        output, _ = function.process.communicate(timeout=20)
    assert "hunter2" not in output
    lines = [json.loads(line) for line in output.splitlines()]
    (line,) = [line for line in lines if line["event"] == "http.request"]
    assert (line["method"], line["path"], line["status"], line["request_id"]) == ("GET", "/pid", 200, "abc")
    assert line["duration_s"] >= 0

"""The router as its template serves it: streams are not buffered, and a caller who goes away holds nothing."""

import http.client
import json
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from jangada.settings import Settings
from jangada.wiring import Services
from tests.contract.api.conftest import make_api, settings_for

TEMPLATE = Path(__file__).resolve().parents[3] / "template" / "python3-jangada"
ECHO = json.dumps({"algorithm": "echo", "input": {"text": "olá"}})


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(TEMPLATE))
    before = set(sys.modules)
    from metrics import Metrics
    from serving import State, make_server, run

    settings = settings_for(tmp_path, threads=18)
    assert isinstance(settings, Settings)
    api = make_api(Services.in_memory(settings))
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = make_server(
        api.app, State(Metrics(), 64), listener=listener, threads=18, max_body_bytes=settings.max_body_bytes
    )
    stopped = threading.Event()
    thread = threading.Thread(target=run, args=(server, stopped))
    thread.start()
    api.port = port
    yield api
    stopped.set()
    server.pull_trigger()
    thread.join(10)
    # A function's process ends here and takes its connections along. Left to the garbage collector, the sockets
    # would be a warning in some later test.
    for channel in list(server.active_channels.values()):
        channel.close()
    listener.close()
    for name in set(sys.modules) - before & {"metrics", "serving", "loading"}:
        sys.modules.pop(name, None)


def ask(api, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
    connection.request(method, path, body, api.as_(Content_Type="application/json", **headers))
    return connection, connection.getresponse()


def test_events_arrive_one_by_one(served):
    connection, answer = ask(served, "POST", "/v1/jobs", ECHO, Accept="text/event-stream")
    assert answer.status == 200
    lines = iter(answer.readline, b"")
    for line in lines:
        if line.startswith(b"event: job.queued"):
            break
    lease = served.claim()
    served.execution().emit(lease, [("job.progress", {"progress": 0.5})])
    told_at = time.monotonic()
    for line in lines:
        if line.startswith(b"event: job.progress"):
            break
    assert time.monotonic() - told_at < 0.5
    served.finish(lease, {"text": "done"})
    rest = b"".join(lines)
    assert b"event: job.succeeded" in rest
    connection.close()


def test_callers_who_go_away_free_their_places(served):
    job = served.submit()
    # Two places (18 threads, 16 kept free): both are taken by callers who leave.
    for _ in range(2):
        connection, answer = ask(served, "GET", f"/v1/jobs/{job['id']}/events")
        assert answer.readline() == b"retry: 3000\n"
        answer.close()
        connection.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        connection, answer = ask(served, "GET", f"/v1/jobs/{job['id']}/events")
        status = answer.status
        answer.close()
        connection.close()
        if status == 200:
            return
        assert status == 503
        time.sleep(0.2)
    raise AssertionError("the places were never freed")


def test_submits_go_on_while_every_place_is_taken(served):
    waiting = [ask(served, "POST", "/v1/jobs", ECHO, Accept="text/event-stream") for _ in range(2)]
    for _ in range(20):
        connection, answer = ask(served, "POST", "/v1/jobs", ECHO, Prefer="wait=5")
        assert answer.status == 202
        answer.read()
        connection.close()
    for _ in range(22):
        served.run_one({"text": "x"})
    for connection, answer in waiting:
        assert b"job.succeeded" in answer.read()
        connection.close()


def test_a_body_over_the_limit_is_413_before_it_is_read(served):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.putrequest("POST", "/v1/jobs")
    for name, value in served.as_(Content_Type="application/json", Content_Length=str(10**9)).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["status"] == 413
    connection.close()

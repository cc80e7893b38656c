"""What the proxy promises on the wire, between a client and a function that are both sockets."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time

import pytest
import uvloop

from jangada.gateway.provider import Replica
from tests.fixed_provider import FixedProvider, function
from tests.integration.gateway.upstream import Upstream, ok, running_gateway
from tests.servers import until


@pytest.fixture
def upstream():
    made = Upstream()
    yield made
    made.close()


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def front(upstream, request):
    provider = FixedProvider([function()], [Replica("echo", upstream.address)])
    with running_gateway(provider, new_loop=request.param, wait_s=0.2) as running:
        yield running


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("/function/echo", "/"),
        ("/function/echo/", "/"),
        ("/function/echo?a=1&a=2", "/?a=1&a=2"),
        ("/function/echo.openfaas-fn/x", "/x"),
        ("/function/echo/a/b%20c/", "/a/b%20c/"),
        ("/function/echo/a%2Fb%3Fc", "/a%2Fb%3Fc"),
        ("/function/echo/a//b/../c", "/a//b/../c"),
        ("/function/echo/x?q=%C3%A9+%2B%26", "/x?q=%C3%A9+%2B%26"),
        ("/v1/jobs/job_1?limit=2", "/v1/jobs/job_1?limit=2"),
        ("/v1/jobs", "/v1/jobs"),
        ("/problems/not-found", "/problems/not-found"),
    ],
)
def test_the_path_arrives_byte_for_byte_without_the_prefix(front, upstream, sent, received):
    response, _ = front.request("GET", sent)
    assert response.status == 200
    assert upstream.received[-1].target == received


@pytest.mark.parametrize("target", ["/v1/nothing", "/v1/jobsx", "/v1", "/v1%2Fjobs", "//v1/jobs", "/nope", "/v1/../x"])
def test_a_path_that_no_function_claims_is_a_404_problem(front, upstream, target):
    response, body = front.request("GET", target, headers=[("X-Request-Id", "req-7")])
    assert response.status == 404
    assert response.getheader("Content-Type") == "application/problem+json"
    problem = json.loads(body)
    assert problem["code"] == "not_found"
    assert problem["request_id"] == "req-7" == response.getheader("X-Request-Id")
    assert upstream.received == []


@pytest.mark.parametrize("name", ["other", "echo.elsewhere"])
def test_an_unknown_function_is_a_plain_404(front, name):
    response, body = front.request("POST", f"/function/{name}", b"x")
    assert response.status == 404
    assert response.getheader("X-OpenFaaS-Internal") == "proxy"
    assert name in body.decode()


def test_a_method_that_openfaas_does_not_forward_is_405(front, upstream):
    refused, _ = front.request("TRACE", "/function/echo")
    assert refused.status == 405
    assert "POST" in refused.getheader("Allow")
    assert front.request("POST", "/healthz", b"")[0].status in {404, 405}
    assert upstream.received == []


@pytest.mark.parametrize(("sent", "told"), [([("Content-Type", "application/x")], "application/x"), ([], "text/plain")])
def test_a_body_without_a_type_has_the_requests(front, upstream, sent, told):
    upstream.script = lambda _, connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    response, _ = front.request("POST", "/function/echo", b"x", sent)
    assert response.getheader("Content-Type") == told
    assert response.getheader("Server") == "jangada"


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
)
def test_nothing_has_no_type(front, upstream, answer):
    upstream.script = lambda _, connection: connection.sendall(answer)
    assert front.request("POST", "/function/echo", b"x")[0].getheader("Content-Type") is None


def test_hop_by_hop_headers_stay_and_all_others_pass(front, upstream):
    headers = [
        ("Connection", "close, X-Secret-Hop"),
        ("X-Secret-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Trailer", "X-T"),
        ("Authorization", "Bearer k"),
        ("Cookie", "a=1"),
        ("Cookie", "b=2"),
        ("X-Forwarded-Prefix", "/forged"),
        ("Accept-Encoding", "gzip"),
    ]
    front.request("POST", "/v1/jobs", b"{}", headers)
    got = upstream.received[-1]
    for name in ("X-Secret-Hop", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer"):
        assert got.all(name) == [], name
    assert got.one("Authorization") == "Bearer k"
    assert got.all("Cookie") == ["a=1", "b=2"]
    assert got.all("X-Forwarded-Prefix") == []
    assert got.one("Accept-Encoding") == "gzip"
    assert got.all("User-Agent") == ["jangada-gateway/9.9.9"]
    assert got.all("Accept") == []


def test_a_client_cannot_strip_the_headers_that_matter_by_naming_them_in_connection(front, upstream):
    front.request("POST", "/v1/jobs", b"{}", [("Connection", "Authorization, Host"), ("Authorization", "Bearer k")])
    assert upstream.received[-1].one("Authorization") == "Bearer k"


def test_the_gateway_adds_what_the_contract_says(front, upstream):
    before = time.time_ns()
    response, _ = front.request("GET", "/function/echo/x")
    got = upstream.received[-1]
    call_id = got.one("X-Call-Id")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", call_id)
    assert before <= int(got.one("X-Start-Time")) <= time.time_ns()
    assert got.one("X-Forwarded-Host") == f"127.0.0.1:{front.port}" == got.one("Host")
    assert re.fullmatch(r"127\.0\.0\.1:\d+", got.one("X-Forwarded-For"))
    assert got.one("X-Forwarded-Proto") == "http"
    assert got.one("X-Forwarded-Prefix") == "/function/echo"
    assert response.getheader("X-Call-Id") == call_id
    assert response.getheader("X-Start-Time") == got.one("X-Start-Time")
    assert response.getheader("X-Served-By") == "jangada/9.9.9"


def test_what_the_client_sent_of_them_is_kept_except_the_start_time_which_is_appended(front, upstream):
    sent = [
        ("X-Call-Id", "mine"),
        ("X-Start-Time", "1"),
        ("X-Forwarded-For", "10.1.2.3"),
        ("X-Forwarded-Host", "api.example.org"),
        ("X-Forwarded-Proto", "https"),
        ("User-Agent", "me/1"),
    ]
    response, _ = front.request("GET", "/function/echo", headers=sent)
    got = upstream.received[-1]
    assert got.all("X-Start-Time")[0] == "1"
    assert len(got.all("X-Start-Time")) == 2
    assert [got.one(name) for name, _ in sent if name != "X-Start-Time"] == [
        value for name, value in sent if name != "X-Start-Time"
    ]
    assert response.getheader("X-Call-Id") is None


def test_a_header_of_the_function_replaces_the_gateways(front, upstream):
    def named(_, connection):
        connection.sendall(
            b"HTTP/1.1 201 Made\r\nX-Call-Id: fn\r\nX-Served-By: fn\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
            b"Connection: close\r\nKeep-Alive: x\r\nLocation: /v1/jobs/7\r\nContent-Length: 0\r\n\r\n"
        )
        return False

    upstream.script = named
    response, _ = front.request("POST", "/v1/jobs", b"{}")
    assert (response.status, response.reason) == (201, "Made")
    assert response.headers.get_all("X-Call-Id") == ["fn"]
    assert response.headers.get_all("X-Served-By") == ["fn"]
    assert response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert response.getheader("Keep-Alive") is None
    assert response.getheader("Location") == "/v1/jobs/7"


def test_one_clients_cookies_never_travel_with_anothers_request(upstream):
    def baker(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=secret; Path=/\r\nContent-Length: 0\r\n\r\n")

    upstream.script = baker
    # By name: a client library keeps cookies of names, seldom those of bare addresses.
    with running_gateway(FixedProvider([function()], [Replica("echo", f"http://localhost:{upstream.port}")])) as front:
        assert front.request("GET", "/v1/jobs")[0].getheader("Set-Cookie")
        front.request("GET", "/v1/jobs")
    assert len(upstream.received) == 2
    assert upstream.received[-1].all("Cookie") == []


def test_redirects_are_returned_and_not_followed(front, upstream):
    def away(_, connection):
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\nContent-Length: 0\r\n\r\n")

    upstream.script = away
    assert front.request("GET", "/function/echo")[0].status == 302
    assert len(upstream.received) == 1


def test_head_keeps_the_length_and_has_no_body(front, upstream):
    def head(_, connection):
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: "x"\r\n\r\n')

    upstream.script = head
    with front.connect() as client:
        client.sendall(b"HEAD /v1/jobs/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = _read_all(client)
    head_part, _, body = answer.partition(b"\r\n\r\n")
    assert b"200 OK" in head_part
    assert b"content-length: 1234" in head_part.lower()
    assert b"transfer-encoding" not in head_part.lower()
    assert body == b""


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_body_stays_without(front, upstream, status):
    def bare(_, connection):
        connection.sendall(f'HTTP/1.1 {status} X\r\nETag: "x"\r\n\r\n'.encode())

    upstream.script = bare
    with front.connect() as client:
        client.sendall(b"GET /v1/jobs/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, body = _read_all(client).partition(b"\r\n\r\n")
    assert str(status).encode() in head
    assert b"transfer-encoding" not in head.lower()
    assert body == b""


def test_compressed_bodies_pass_as_they_are(front, upstream):
    squeezed = b"\x1f\x8b\x08not really"

    def gzip(_, connection):
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(squeezed), squeezed)
        )

    upstream.script = gzip
    response, body = front.request("POST", "/v1/jobs", squeezed, [("Content-Encoding", "gzip")])
    assert upstream.received[-1].body == squeezed
    assert upstream.received[-1].one("Content-Encoding") == "gzip"
    assert body == squeezed
    assert response.getheader("Content-Encoding") == "gzip"


def test_connections_to_the_function_are_kept_and_used_again(front, upstream):
    for _ in range(10):
        front.request("GET", "/v1/jobs")
    assert upstream.connections == 1


def test_a_chunked_request_body_arrives_whole(front, upstream):
    with front.connect() as client:
        client.sendall(
            b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
        )
        assert b" 200 " in _read_all(client)
    assert upstream.received[-1].body == b"abcdefg"


def test_two_lengths_or_length_and_chunks_are_refused(front, upstream):
    for headers in (
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
    ):
        with front.connect() as client:
            client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n0\r\n\r\n")
            assert b" 400 " in _read_all(client)
    assert upstream.received == []


def test_expect_continue_is_answered_by_the_gateway(front, upstream):
    with front.connect() as client:
        client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(1024).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(b"abc")
        assert b" 200 " in client.recv(4096)
    assert upstream.received[-1].body == b"abc"
    assert upstream.received[-1].all("Expect") == []


def test_events_flow_at_once_head_first(front, upstream):
    go_on = threading.Event()

    def events(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert go_on.wait(5)
        for number in range(3):
            go_on.clear()
            connection.sendall(b"9\r\ndata: %d\n\n\r\n" % number)
            assert go_on.wait(5)
        connection.sendall(b"0\r\n\r\n")

    upstream.script = events
    with front.connect() as client:
        client.sendall(b"GET /v1/jobs/1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"text/event-stream" in client.recv(4096)
        go_on.set()
        for number in range(3):
            assert b"data: %d" % number in client.recv(4096)
            go_on.set()
        assert client.recv(4096).endswith(b"0\r\n\r\n")


def test_a_client_that_leaves_ends_the_request_upstream(front, upstream):
    closed = threading.Event()

    def waits(_, connection):
        connection.settimeout(5)
        if connection.recv(1) == b"":
            closed.set()
        return False

    upstream.script = waits
    client = front.connect()
    client.sendall(b"GET /v1/jobs/1/events HTTP/1.1\r\nHost: x\r\n\r\n")
    until(lambda: upstream.received)
    client.close()
    assert closed.wait(3)
    account = front.gateway.accounting.of("echo.openfaas-fn")
    until(lambda: account.in_flight == 0)
    assert {code: ended.count for code, ended in account.codes.items()} == {499: 1}
    assert [replica.in_flight for replica in front.provider.replicas_there] == [0]


def test_a_function_that_breaks_off_before_its_answer_is_502(front, upstream):
    upstream.script = lambda request, connection: False
    response, body = front.request("POST", "/v1/jobs", b"{}")
    assert response.status == 502
    assert json.loads(body)["code"] == "bad_gateway"
    assert response.getheader("X-Call-Id")
    assert front.request("POST", "/function/echo", b"{}")[0].getheader("X-OpenFaaS-Internal") == "proxy"


@pytest.mark.parametrize("garbage", [b"hello?\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nabcd"])
def test_a_function_that_does_not_speak_http_is_502(front, upstream, garbage):
    def talks(_, connection):
        connection.sendall(garbage)
        return False

    upstream.script = talks
    assert front.request("GET", "/v1/jobs")[0].status == 502


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
def test_a_function_that_dies_in_its_answer_leaves_it_visibly_incomplete(front, upstream, start):
    def dies(_, connection):
        connection.sendall(start)
        time.sleep(0.05)
        return False

    upstream.script = dies
    with front.connect() as client:
        client.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = _read_all(client)
    assert b" 200 OK" in answer
    assert b"half" in answer
    assert not answer.endswith(b"0\r\n\r\n")


def test_a_small_answer_that_breaks_off_is_still_a_clean_502(front, upstream):
    def dies(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        return False

    upstream.script = dies
    assert front.request("GET", "/v1/jobs")[0].status == 502


def test_no_ready_replica_is_503_with_retry_after(front):
    front.provider.replicas_there = []
    response, body = front.request("POST", "/v1/jobs", b"{}")
    assert response.status == 503
    assert response.getheader("Retry-After") == "1"
    assert json.loads(body)["code"] == "overloaded"


def test_a_request_waits_for_a_function_that_is_just_starting(upstream):
    with running_gateway(FixedProvider([function()], []), wait_s=5) as front:
        threading.Timer(0.2, lambda: front.provider.replicas_there.append(Replica("echo", upstream.address))).start()
        assert front.request("POST", "/v1/jobs", b"{}")[0].status == 200


def test_a_replica_that_refuses_connections_is_left_out_and_another_serves(upstream):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        dead = Replica("echo", f"http://127.0.0.1:{probe.getsockname()[1]}")
    provider = FixedProvider([function()], [dead, Replica("echo", upstream.address)])
    with running_gateway(provider, wait_s=0.2) as front:
        assert front.request("POST", "/v1/jobs", b"{}")[0].status == 200
        assert provider.suspected == [dead]
        assert upstream.received[-1].body == b"{}"


def test_an_answer_that_does_not_come_is_504(upstream):
    upstream.script = lambda request, connection: time.sleep(2)
    with running_gateway(FixedProvider([function()], [Replica("echo", upstream.address)]), idle_s=0.3) as front:
        response, body = front.request("GET", "/v1/jobs")
        assert response.status == 504
        assert json.loads(body)["code"] == "gateway_timeout"


def test_a_body_that_stops_coming_is_408(upstream):
    upstream.read_body = False
    upstream.script = lambda request, connection: time.sleep(2)
    with (
        running_gateway(FixedProvider([function()], [Replica("echo", upstream.address)]), idle_s=0.3) as front,
        front.connect() as client,
    ):
        client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabc")
        assert client.recv(4096).split(b" ")[1] == b"408"


def test_the_replica_with_the_least_in_flight_is_chosen():
    slow = threading.Event()
    first, second = Upstream(lambda request, connection: slow.wait(5) and ok(request, connection)), Upstream()
    provider = FixedProvider([function()], [Replica("echo", first.address), Replica("echo", second.address)])
    try:
        with running_gateway(provider) as front:
            waiting = threading.Thread(target=front.request, args=("GET", "/v1/jobs"))
            waiting.start()
            until(lambda: first.received)
            for _ in range(5):
                front.request("GET", "/v1/jobs")
            slow.set()
            waiting.join(5)
            assert (len(first.received), len(second.received)) == (1, 5)
    finally:
        first.close()
        second.close()


def test_the_gateway_tells_what_is_here_and_who_is_ready(front):
    assert front.request("GET", "/healthz")[0].status == 200
    assert front.request("GET", "/readyz")[0].status == 200
    response, body = front.request("GET", "/")
    assert json.loads(body)["functions"]["echo"] == {"routes": ["/v1/jobs", "/problems"], "ready": True}
    page = front.request("GET", "/", headers=[("Accept", "text/html")])[1]
    assert b"<!doctype html>" in page
    front.provider.replicas_there = []
    response, body = front.request("GET", "/readyz")
    assert (response.status, json.loads(body)["missing"]) == (503, ["echo"])


def _read_all(client: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := client.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, "malformed_request"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400, "malformed_request"),
        (b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cr3t\x00\r\n\r\n", 400, "malformed_request"),
        (b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: s3cr3t\r\n\r\n", 400, "malformed_request"),
        (
            b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "malformed_request",
        ),
        (b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nX-Long: " + b"s3cr3t" * 3000 + b"\r\n\r\n", 431, None),
        (b"GET /v1/jobs?" + b"s3cr3t" * 3000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, None),
        (b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n" + b"X-A: s3cr3t\r\n" * 1000 + b"\r\n", 431, None),
    ],
)
def test_what_is_no_http_gets_problem_details_that_repeat_nothing_of_it(front, upstream, capfd, sent, status, code):
    with front.connect() as connection:
        connection.sendall(sent)
        received = b""
        while block := connection.recv(65536):  # to the end: the connection is closed
            received += block
    head, _, body = received.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] %d " % status, head)
    assert b"application/problem+json" in head
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (status, code or "request_header_fields_too_large")
    assert b"X-Request-Id: " + problem["request_id"].encode() in head
    written = capfd.readouterr()
    for text in (received.decode(), written.out, written.err):
        assert "s3cr3t" not in text
        assert "Traceback" not in text
    assert upstream.received == []

"""Connections on both sides of the proxy: kept, shared, ended, slow, full, and never a request sent twice."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time

import pytest
import uvloop

from jangada.gateway import proxy_answer, proxy_client
from jangada.gateway.provider import Replica
from jangada.gateway.proxy_upstream import Pool
from tests.fixed_provider import FixedProvider, function
from tests.integration.gateway.upstream import Upstream, ok, running_gateway
from tests.servers import until

GET = b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n"
LOOPS = pytest.mark.parametrize(
    "front", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"], indirect=True
)


@pytest.fixture
def upstream():
    made = Upstream()
    yield made
    made.close()


@pytest.fixture
def front(upstream, request):
    provider = FixedProvider([function()], [Replica("echo", upstream.address)])
    new_loop = getattr(request, "param", uvloop.new_event_loop)
    with running_gateway(provider, new_loop=new_loop, wait_s=0.2, drain_s=2.0) as running:
        yield running


def read_answer(client: socket.socket) -> tuple[int, bytes, bytes]:
    """One answer that says its length; what follows it stays in the socket."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        if not byte:
            return 0, head, b""
        head += byte
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    body = b""
    while len(body) < length:
        body += client.recv(length - len(body))
    return int(head.split(b" ")[1]), head, body


def read_all(client: socket.socket) -> bytes:
    received = b""
    while True:
        try:
            chunk = client.recv(65536)
        except ConnectionResetError:
            return received
        if not chunk:
            return received
        received += chunk


def counted(front) -> dict[int, int]:
    return {code: ended.count for code, ended in front.gateway.accounting.of("echo.openfaas-fn").codes.items()}


@LOOPS
def test_one_connection_carries_many_requests(front, upstream):
    with front.connect() as client:
        for number in range(20):
            client.sendall(b"POST /v1/jobs/%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi" % number)
            assert read_answer(client)[0] == 200
    assert [one.target for one in upstream.received] == [f"/v1/jobs/{number}" for number in range(20)]
    assert upstream.connections == 1


@LOOPS
def test_requests_sent_together_are_answered_in_order(front, upstream):
    def echo(request, connection):
        body = request.target.encode() + request.body
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    upstream.script = echo
    chunks = b"POST /v1/jobs/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: x\r\n\r\n"
    length = b"POST /v1/jobs/c HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nho\r\n"
    with front.connect() as client:
        client.sendall(GET + chunks + length + GET * 50)
        bodies = [read_answer(client)[2] for _ in range(53)]
    assert bodies == [b"/v1/jobs", b"/v1/jobs/bhi", b"/v1/jobs/cho", *[b"/v1/jobs"] * 50]
    assert upstream.received[1].all("T") == []


@LOOPS
def test_the_gateways_own_routes_answer_on_a_connection_of_functions_and_close_it(front):
    with front.connect() as client:
        client.sendall(GET + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
        assert read_answer(client)[0] == 200
        status, head, _ = read_answer(client)
        assert status == 200
        assert b"connection: close" in head.lower()
        assert client.recv(1) == b""


@pytest.mark.parametrize(("sent", "keeps"), [(b"", False), (b"Connection: keep-alive\r\n", True)])
def test_http_10_keeps_its_connection_only_by_wish(front, sent, keeps):
    with front.connect() as client:
        client.sendall(b"GET /v1/jobs HTTP/1.0\r\n" + sent + b"\r\n")
        status, head, body = read_answer(client)
        assert (status, body) == (200, b"ok")
        assert (b"connection: keep-alive" in head.lower()) is keeps
        client.settimeout(0.3)
        if keeps:
            with pytest.raises(TimeoutError):
                client.recv(1)
        else:
            assert client.recv(1) == b""


def test_http_10_gets_no_chunks(front, upstream):
    upstream.script = lambda _, connection: connection.sendall(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    with front.connect() as client:
        client.sendall(b"GET /v1/jobs HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert body == b"abc"
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()


def test_an_answer_that_ends_with_its_connection_is_passed_in_chunks(front, upstream):
    def speaks(_, connection):
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nto the end")
        return False

    upstream.script = speaks
    response, body = front.request("GET", "/v1/jobs")
    assert (response.status, body) == (200, b"to the end")
    assert response.getheader("Transfer-Encoding") == "chunked"


@LOOPS
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_a_request_that_a_function_may_have_run_is_never_sent_again(front, upstream, method):
    assert front.request("GET", "/v1/jobs")[0].status == 200
    # On the connection that was kept: it is read, and the connection closed without an answer.
    upstream.script = lambda request, connection: False
    assert front.request(method, "/v1/jobs")[0].status == 502
    assert [one.method for one in upstream.received] == ["GET", method]
    assert upstream.connections == 1


@LOOPS
def test_a_kept_connection_that_the_function_closed_is_not_used(front, upstream):
    closed = threading.Event()

    def once(request, connection):
        ok(request, connection)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()
        return False

    upstream.script = once
    for _ in range(30):
        assert front.request("POST", "/v1/jobs", b"x")[0].status == 200
        assert closed.wait(10)
        closed.clear()
    assert upstream.connections == 30


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="the kernel tells no state of a connection here")
@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_a_closed_connection_is_seen_before_the_event_loop_tells(run):
    async def story():
        pool = Pool(time.monotonic)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            upstream = await pool.connect(f"http://127.0.0.1:{listening.getsockname()[1]}")
            accepted, _ = listening.accept()
            pool.put(upstream)
            assert pool.take(upstream.address) is upstream
            pool.put(upstream)
            accepted.close()
            assert pool.take(upstream.address) is None
        pool.close()
        await asyncio.sleep(0.01)

    run(story())


def test_a_connection_is_kept_no_longer_than_the_function_says(front, upstream):
    upstream.script = lambda _, connection: connection.sendall(
        b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1, max=9\r\nContent-Length: 0\r\n\r\n"
    )
    for _ in range(3):
        assert front.request("GET", "/v1/jobs")[0].status == 200
    assert upstream.connections == 3


def test_bytes_that_nobody_asked_for_end_the_connection_and_are_nobodys_answer(front, upstream):
    def generous(request, connection):
        ok(request, connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")

    upstream.script = generous
    for _ in range(10):
        assert front.request("GET", "/v1/jobs")[1] == b"ok"
        until(lambda: not front.gateway.proxy.pool._open)


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX: a\r\n Content-Length: 4\r\n\r\nabcd",
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n\r\nabcd",
        b"GET /v1/jobs HTTP/1.1\nHost: x\n\n",
        b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nX: a\nContent-Length: 4\r\n\r\n",
        b"POST /v1/jobs HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    ],
)
def test_what_could_smuggle_a_request_is_refused_and_the_connection_closed(front, upstream, sent):
    with front.connect() as client:
        client.sendall(sent + GET)
        received = read_all(client)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1") == 1
    assert upstream.received == []


def test_a_length_that_connection_names_is_kept(front, upstream):
    with front.connect() as client:
        client.sendall(
            b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: Content-Length\r\nContent-Length: %d\r\n\r\n%b"
            % (len(GET), GET)
        )
        assert read_answer(client)[0] == 200
    assert [one.body for one in upstream.received] == [GET]


@LOOPS
def test_a_chunk_that_is_none_ends_the_call(front, upstream):
    upstream.read_body = False
    upstream.script = lambda _, connection: connection.recv(65536) and connection.recv(65536) and None
    with front.connect() as client:
        client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        until(lambda: upstream.received)
        client.sendall(b"zz\r\n")
        assert read_answer(client)[0] == 400
    until(lambda: counted(front) == {400: 1})
    assert front.provider.replicas_there[0].in_flight == 0


def test_a_preliminary_answer_is_passed_on_but_not_the_one_that_the_gateway_gave_itself(front, upstream):
    upstream.script = lambda request, connection: (
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
        ok(request, connection),
    )[0]
    with front.connect() as client:
        client.sendall(GET)
        assert read_answer(client)[1] == b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        assert read_answer(client)[0] == 200


@LOOPS
def test_an_answer_before_the_end_of_the_request_is_given_and_the_connection_closed(front, upstream):
    upstream.read_body = False
    upstream.script = lambda _, connection: connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    with front.connect() as client:
        client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        status, head, body = read_answer(client)
        assert (status, body) == (413, b"no")
        assert b"connection: close" in head.lower()
        # It may go on sending for a while, and nothing of it is taken for a request.
        client.sendall(GET)
        assert client.recv(1) == b""
    assert len(upstream.received) == 1
    # Nor is the connection to the function used again: it waits for the rest.
    assert front.request("GET", "/v1/jobs")[0].status == 413
    assert upstream.connections == 2


def test_a_head_that_does_not_come_whole_is_408(upstream, monkeypatch):
    monkeypatch.setattr(proxy_client, "HEAD_WITHIN_S", 0.3)
    provider = FixedProvider([function()], [Replica("echo", upstream.address)])
    with running_gateway(provider, idle_s=0.2) as front, front.connect() as client:
        client.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n")
        began = time.monotonic()
        received = b""
        while time.monotonic() - began < 10 and not received:
            # A byte now and then does not help.
            client.sendall(b"X")
            client.settimeout(0.05)
            try:
                received = client.recv(65536)
            except TimeoutError:
                continue
        assert received.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("sent", [b"", GET])
def test_a_connection_on_which_nothing_is_asked_is_closed(upstream, monkeypatch, sent):
    monkeypatch.setattr(proxy_client, "KEPT_S", 0.3)
    provider = FixedProvider([function()], [Replica("echo", upstream.address)])
    with running_gateway(provider, idle_s=0.2) as front, front.connect() as client:
        client.sendall(sent)
        if sent:
            assert read_answer(client)[0] == 200
        assert read_all(client) == b""


@LOOPS
def test_a_client_that_does_not_read_stops_the_function_and_not_the_gateways_memory(front, upstream):
    sent = 0
    block = b"x" * 65536

    def pours(_, connection):
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1000 * len(block)))
        for _ in range(1000):
            connection.sendall(block)
            sent += len(block)

    upstream.script = pours
    with front.connect() as client:
        client.sendall(GET)
        before = -1
        while before != sent:
            before = sent
            time.sleep(0.3)
        assert sent < 24 * 2**20
        status, _, body = read_answer(client)
        assert (status, len(body)) == (200, 1000 * len(block))


@LOOPS
def test_a_function_that_does_not_read_stops_the_client_and_not_the_gateways_memory(front, upstream):
    upstream.read_body = False
    go_on = threading.Event()
    size = 64 * 2**20
    taken = 0

    def sips(request, connection):
        nonlocal taken
        assert go_on.wait(30)
        # The buffered reader of the test has some of it from the head's packet.
        while taken < size - 65536:
            taken += len(connection.recv(1 << 20))
        ok(request, connection)

    upstream.script = sips
    with front.connect() as client:
        client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        sent = 0
        client.settimeout(0.5)
        try:
            while sent < size:
                sent += client.send(b"x" * min(65536, size - sent))
        except TimeoutError:
            pass
        assert sent < 24 * 2**20
        client.settimeout(20)
        go_on.set()
        client.sendall(b"x" * (size - sent))
        assert read_answer(client)[0] == 200


def test_a_body_is_held_while_a_replica_is_waited_for(upstream):
    size = 3 * 2**20
    with running_gateway(FixedProvider([function()], []), wait_s=20) as front, front.connect() as client:
        sender = threading.Thread(
            target=client.sendall,
            args=(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size),),
        )
        sender.start()
        until(lambda: front.gateway.accounting.of("echo.openfaas-fn").in_flight)
        time.sleep(0.2)
        front.provider.replicas_there.append(Replica("echo", upstream.address))
        assert read_answer(client)[0] == 200
        sender.join(10)
    assert len(upstream.received[0].body) == size


@LOOPS
def test_a_client_that_leaves_while_a_replica_is_waited_for_is_counted_and_forgotten(front, upstream):
    front.provider.replicas_there.clear()
    front.gateway.resolver._wait_s = 20
    client = front.connect()
    client.sendall(GET)
    account = front.gateway.accounting.of("echo.openfaas-fn")
    until(lambda: account.in_flight == 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    until(lambda: account.in_flight == 0)
    assert counted(front) == {499: 1}
    assert upstream.received == []


def test_equal_replicas_take_turns():
    ups = [Upstream() for _ in range(3)]
    try:
        provider = FixedProvider([function()], [Replica("echo", one.address) for one in ups])
        with running_gateway(provider) as front:
            for _ in range(9):
                assert front.request("GET", "/v1/jobs")[0].status == 200
        assert [len(one.received) for one in ups] == [3, 3, 3]
    finally:
        for one in ups:
            one.close()


@LOOPS
def test_who_is_being_answered_when_the_gateway_stops_is_answered(front, upstream):
    go_on = threading.Event()
    upstream.script = lambda request, connection: (go_on.wait(10), ok(request, connection))[1]
    idle = front.connect()
    idle.sendall(b"")
    with front.connect() as client, idle:
        client.sendall(GET)
        until(lambda: upstream.received)
        stopping = asyncio.run_coroutine_threadsafe(front.gateway.proxy.drain(10), front.loop)
        assert idle.recv(1) == b""
        go_on.set()
        status, head, _ = read_answer(client)
        assert status == 200
        assert b"connection: close" in head.lower()
        stopping.result(10)
        with pytest.raises(ConnectionRefusedError):
            front.connect()


def test_an_answer_is_small_by_what_it_says(front, upstream):
    """At the limit it is sent whole or not at all; one byte more, and it is sent as it comes."""
    for size, status in ((proxy_answer.SMALL_BYTES, 502), (proxy_answer.SMALL_BYTES + 1, 200)):

        def half(_, connection, size=size):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nhalf" % size)
            time.sleep(0.05)
            return False

        upstream.script = half
        with front.connect() as client:
            client.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert int(read_all(client).split(b" ")[1]) == status
    until(lambda: counted(front) == {502: 2})

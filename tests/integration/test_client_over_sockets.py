"""The client over real sockets: streams arrive as they are sent, memory does not grow with a file, silence ends."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jangada.client import Client, UnreachableError, WaitTimeoutError

JOB = "job_01JD0000000000000000000000"


@contextmanager
def serving(get=None, post=None):
    """A server whose handlers are the given functions of the request handler."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            get(self)

        def do_POST(self):
            post(self)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        with Client(f"http://127.0.0.1:{server.server_port}", "jgd_key", timeout_s=5, retries=0) as client:
            yield client
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(handler, status, value):
    body = json.dumps(value).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def event(number, kind):
    return f"id: {number}\nevent: {kind}\ndata: {{}}\n\n".encode()


@pytest.mark.parametrize("chunked", [True, False])
def test_events_are_seen_while_the_stream_is_still_open(chunked):
    seen_first = threading.Event()

    def stream(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Connection", "close")))
        handler.end_headers()

        def send(data):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
            handler.wfile.flush()

        send(event(1, "job.running"))
        assert seen_first.wait(5), "the first event was held back"
        send(event(2, "job.succeeded"))
        if chunked:
            handler.wfile.write(b"0\r\n\r\n")

    with serving(get=stream) as client:
        events = client.events(JOB)
        assert next(events).type == "job.running"
        seen_first.set()
        assert [event.type for event in events] == ["job.succeeded"]


def test_a_stream_that_stays_silent_ends_at_the_deadline():
    release = threading.Event()

    def silent(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.flush()
        release.wait(10)

    with serving(get=silent) as client:
        began = time.monotonic()
        with pytest.raises(WaitTimeoutError):
            list(client.events(JOB, timeout_s=0.5))
        assert time.monotonic() - began < 3
        release.set()


def test_a_connection_that_breaks_in_the_middle_is_taken_up_after_the_last_event():
    asked = []

    def breaking(handler):
        asked.append(handler.headers.get("Last-Event-ID"))
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        data = event(1, "job.running") if len(asked) == 1 else event(2, "job.succeeded")
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if len(asked) == 1:
            handler.wfile.write(b"ff\r\nhalf of a ch")
            handler.close_connection = True
            return
        handler.wfile.write(b"0\r\n\r\n")

    with serving(get=breaking) as client:
        assert [event.number for event in client.events(JOB, timeout_s=10)] == [1, 2]
    assert asked == [None, "1"]


def test_a_large_file_is_streamed_with_its_length(tmp_path):
    size = 48 * 1024 * 1024
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(size)
    got = {}

    def receive(handler):
        length = int(handler.headers["Content-Length"])
        got["chunked"] = handler.headers.get("Transfer-Encoding")
        while length > 0:
            length -= len(handler.rfile.read(min(length, 1 << 20)))
        answer(handler, 201, {"id": "file_1", "size_bytes": size})

    import tracemalloc

    with serving(post=receive) as client:
        tracemalloc.start()
        try:
            assert client.upload(path).size_bytes == size
            assert tracemalloc.get_traced_memory()[1] < 12 * 1024 * 1024
        finally:
            tracemalloc.stop()
    assert got["chunked"] is None


def test_a_refusal_while_the_file_is_still_being_sent_is_told(tmp_path):
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(8 * 1024 * 1024)

    def refuse(handler):
        # As our server does: it reads on to the end, so that the answer is not lost with the connection.
        length = int(handler.headers["Content-Length"])
        while length > 0:
            length -= len(handler.rfile.read(min(length, 1 << 20)))
        answer(handler, 413, {"code": "too_large", "title": "Too large", "status": 413})

    with serving(post=refuse) as client, pytest.raises(Exception, match="too_large"):
        client.upload(path)


def test_nobody_listening_is_told_in_one_line():
    with serving() as client:
        url = client.connection.url
    with Client(url, "jgd_key", retries=0) as client, pytest.raises(UnreachableError, match="Connection refused"):
        client.whoami()

"""As much of an S3-compatible store as Terraform's state needs, with writes that happen only if nothing is there."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ERROR = '<?xml version="1.0"?><Error><Code>{0}</Code><Message>{0}</Message></Error>'


class ObjectStore:
    """On a free port of 127.0.0.1 until `close`. *atomic*: whether it keeps what ``If-None-Match`` promises."""

    def __init__(self, *, atomic: bool = True) -> None:
        self.objects: dict[str, bytes] = {}
        self.atomic = atomic
        self.guard = threading.Lock()
        store = self

        class Handler(_Handler):
            objects = store

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    objects: ObjectStore

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if "list-type" in parse_qs(address.query):
            self._answer(200, b'<?xml version="1.0"?><ListBucketResult></ListBucketResult>')
            return
        with self.objects.guard:
            found = self.objects.objects.get(address.path)
        if found is None:
            self._fail(404, "NoSuchKey")
        else:
            self._answer(200, found)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        path, body = urlsplit(self.path).path, self._body()
        with self.objects.guard:
            taken = self.objects.atomic and self.headers.get("If-None-Match") == "*" and path in self.objects.objects
            if not taken:
                self.objects.objects[path] = body
        if taken:
            self._fail(412, "PreconditionFailed")
        else:
            self._answer(200, b"")

    def do_DELETE(self) -> None:
        with self.objects.guard:
            self.objects.objects.pop(urlsplit(self.path).path, None)
        self._answer(204, b"")

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return body
        whole = b""
        while True:
            size, _, rest = body.partition(b"\r\n")
            length = int(size.split(b";")[0], 16)
            if length == 0:
                return whole
            whole, body = whole + rest[:length], rest[length + 2 :]

    def _fail(self, status: int, code: str) -> None:
        self._answer(status, ERROR.format(code).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("x-amz-request-id", "RequestID")
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

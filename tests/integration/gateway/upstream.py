"""A function as the proxy sees it: a socket whose every byte the test decides. And a gateway in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import uvloop

from jangada.gateway.server import Gateway
from tests.fixed_provider import FixedProvider

Script = Callable[["Received", socket.socket], bool | None]
"""Answers one request on its connection; False closes it."""


@dataclass
class Received:
    """One request, to the byte."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None


def ok(_: Received, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")


@dataclass
class Upstream:
    """Listens, hands each request to *script*, keeps what came in *received*."""

    script: Script = ok
    read_body: bool = True
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as stream:
            while request := self._read(stream):
                self.received.append(request)
                if self.script(request, connection) is False:
                    return

    def _read(self, stream) -> Received | None:
        first = stream.readline().decode("latin-1").split()
        if len(first) != 3:
            return None
        headers = []
        while line := stream.readline().decode("latin-1").rstrip("\r\n"):
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        request = Received(first[0], first[1], headers)
        if self.read_body:
            length = request.one("Content-Length")
            if length is not None:
                request.body = stream.read(int(length))
            elif request.one("Transfer-Encoding") == "chunked":
                while size := int(stream.readline(), 16):
                    request.body += stream.read(size)
                    stream.readline()
                stream.readline()
        return request


@dataclass
class Front:
    """A running gateway and how a test talks to it."""

    gateway: Gateway
    provider: FixedProvider
    port: int
    loop: asyncio.AbstractEventLoop

    def request(self, method: str, target: str, body=None, headers=()) -> tuple[http.client.HTTPResponse, bytes]:
        """One request on a connection of its own; *target* goes out as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


@contextlib.contextmanager
def running_gateway(
    provider: FixedProvider, metrics=None, new_loop=uvloop.new_event_loop, **options
) -> Iterator[Front]:
    """A gateway on a thread and event loop of its own."""
    listening = socket.create_server(("127.0.0.1", 0))
    loop = new_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    gateway = Gateway(provider, version="9.9.9", stack=provider.stack, **options)

    def on_loop(coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, loop).result(20)

    on_loop(gateway.start(listening, metrics))
    try:
        yield Front(gateway, provider, listening.getsockname()[1], loop)
    finally:
        on_loop(gateway.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()

"""
A load generator for the public API that costs little itself: prepared bytes over kept-alive sockets.

It runs in a process of its own, so that its CPU time is reported apart.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
import time
from urllib.parse import urlsplit


class Connection:
    """One kept-alive HTTP/1.1 connection; just enough of a client for answers that carry Content-Length."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def call(self, request: bytes) -> tuple[int, bytes]:
        """Send *request*, return status and body."""
        self._socket.sendall(request)
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._read()
        head = self._buffer[:end].lower()
        at = head.index(b"content-length:") + 15
        length = int(head[at : head.find(b"\r\n", at) if b"\r\n" in head[at:] else None])
        while len(self._buffer) < end + 4 + length:
            self._read()
        body = self._buffer[end + 4 : end + 4 + length]
        self._buffer = self._buffer[end + 4 + length :]
        return int(head[9:12]), body

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _read(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._buffer += data


def request(path: str, host: str, api_key: str, body: bytes, headers: str = "") -> bytes:
    """The bytes of one POST."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {api_key}\r\n"
        f"Content-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def main() -> None:
    """Run one kind of load and print one JSON line: rates, latencies in ms, statuses."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("kind", choices=["submit", "batch", "wait"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--api-key", required=True)
    parser.add_argument("--algorithm", default="noop")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--count", type=int, default=4000, help="requests (jobs per batch with kind batch: --size)")
    parser.add_argument("--size", type=int, default=1000, help="jobs in one batch call")
    arguments = parser.parse_args()
    parts = urlsplit(arguments.url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    job = {"algorithm": arguments.algorithm, "input": {}}
    if arguments.kind == "batch":
        body = json.dumps([job] * arguments.size).encode()
        data = request("/v1/jobs/batch", host, arguments.api_key, body)
    else:
        wait = "Prefer: wait=10\r\n" if arguments.kind == "wait" else ""
        data = request("/v1/jobs", host, arguments.api_key, json.dumps(job).encode(), wait)
    took: list[float] = []
    statuses: dict[int, int] = {}
    share = arguments.count // arguments.clients
    ready = threading.Barrier(arguments.clients + 1)
    lock = threading.Lock()

    def client() -> None:
        connection = Connection(host, port)
        mine: list[float] = []
        seen: dict[int, int] = {}
        ready.wait()
        for _ in range(share):
            started = time.perf_counter()
            status, answer = connection.call(data)
            mine.append((time.perf_counter() - started) * 1000)
            seen[status] = seen.get(status, 0) + 1
            if status >= 400 and seen[status] == 1:
                sys.stderr.write(answer[:300].decode(errors="replace") + "\n")
        connection.close()
        with lock:
            took.extend(mine)
            for status, number in seen.items():
                statuses[status] = statuses.get(status, 0) + number

    threads = [threading.Thread(target=client) for _ in range(arguments.clients)]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - started
    took.sort()
    calls = len(took)
    print(
        json.dumps(
            {
                "calls": calls,
                "wall_s": round(wall, 3),
                "calls_per_s": round(calls / wall, 1),
                "jobs_per_s": round(calls * (arguments.size if arguments.kind == "batch" else 1) / wall, 1),
                "p50_ms": round(took[calls // 2], 2),
                "p99_ms": round(took[min(calls - 1, calls * 99 // 100)], 2),
                "statuses": statuses,
            }
        )
    )


if __name__ == "__main__":
    main()

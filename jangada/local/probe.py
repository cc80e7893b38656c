"""Is it ready? One question per server, with the least that answers it."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Callable
from pathlib import Path

Probe = Callable[[], bool]

_TIMEOUT_S = 1.0


def redis_answers(port: int, password: str) -> Probe:
    """Redis has loaded its file and answers PING."""

    def probe() -> bool:
        with socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (chunk := connection.recv(1024)):
                answer += chunk
        return answer == b"+OK\r\n+PONG\r\n"

    return _quiet(probe)


def port_answers(port: int) -> Probe:
    """Something accepts connections there."""

    def probe() -> bool:
        with socket.create_connection(("127.0.0.1", port), _TIMEOUT_S):
            return True

    return _quiet(probe)


def http_answers(host: str, port: int, path: str) -> Probe:
    """GET *path* is answered with 200."""

    def probe() -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            return response.status == 200
        finally:
            connection.close()

    return _quiet(probe)


def written_by_living_process(file: Path) -> Probe:
    """*file* begins with the id of a living process: what an executor writes when its algorithm is registered."""

    def probe() -> bool:
        try:
            os.kill(int(file.read_text().partition("\n")[0]), 0)
        except ValueError:
            return False
        return True

    return _quiet(probe)


def _quiet(probe: Probe) -> Probe:
    def asked() -> bool:
        try:
            return probe()
        except (OSError, http.client.HTTPException):
            return False

    return asked

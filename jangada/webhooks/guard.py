"""
Calls to addresses that a tenant names: webhooks and input URLs, without server-side request forgery.

The name is resolved once, every address it has is checked, and the connection goes
to a checked address, with the name kept for TLS and `Host`. A name that answers
differently a moment later (DNS rebinding) therefore wins nothing. Redirects are
not followed: a 3xx is an answer like any other. Source: api-conventions §6.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal
from urllib.parse import SplitResult, urlsplit

from jangada.webhooks.addresses import is_forbidden, plain_host, spelled_address

Resolve = Callable[[str, int], Iterable[str]]

_LOWEST_USER_PORT = 1024


class OutboundError(Exception):
    """A call that was not made, or brought no answer; `reason` says which."""

    def __init__(self, reason: Literal["refused", "unreachable", "timeout", "too_large"], message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Reply:
    """What the other side said; header names in lower case, *body* cut to what was asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def system_resolve(host: str, port: int) -> list[str]:
    """All addresses of *host*, by the system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class OutboundGuard:
    """
    Makes calls to public addresses only.

    *allowed_hosts* are names (or literal addresses) that the operator trusts: they
    may be internal, plain http and on any port. *resolve* is the seam for tests.
    """

    def __init__(
        self,
        *,
        allow_http: bool = False,
        allowed_hosts: Iterable[str] = (),
        resolve: Resolve = system_resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_http = allow_http
        self._allowed = frozenset(host.lower().rstrip(".") for host in allowed_hosts)
        self._resolve = resolve
        self._tls = tls

    def check(self, url: str) -> SplitResult:
        """
        Judge *url* by itself, without asking DNS: what a submit does.

        Raises `OutboundError` (refused) naming what is wrong with it.
        """
        if any(ord(character) <= 32 or character in '\\"<>' or ord(character) == 127 for character in url):
            raise OutboundError("refused", "a URL has no spaces, control characters, quotes or backslashes")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
            (host or "").encode("idna")
        except (ValueError, UnicodeError) as error:
            raise OutboundError("refused", f"not a URL: {error}") from error
        if parts.scheme not in {"http", "https"} or not host:
            raise OutboundError("refused", "expected https://host/…")
        if parts.username is not None or parts.password is not None:
            raise OutboundError("refused", "credentials in a URL are not accepted")
        if self._is_allowed(host):
            return parts
        if parts.scheme == "http" and not self._allow_http:
            raise OutboundError("refused", "expected https")
        if port is not None and port not in {80, 443} and port < _LOWEST_USER_PORT:
            raise OutboundError("refused", f"port {port} is not called")
        self._check_literal(host)
        return parts

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | BinaryIO | None = None,
        timeout_s: float = 15.0,
        max_bytes: int = 64 * 1024,
    ) -> Reply:
        """
        Make one call; the answer's body is cut to *max_bytes*.

        A *body* that is a file is sent from where it stands; its length belongs into *headers*.

        *timeout_s* bounds the whole call, connect to last byte, also for a receiver
        that sends one byte at a time. Raises `OutboundError`; any status is an answer.
        """
        with self._open(method, url, headers, body, timeout_s) as answer:
            return Reply(answer.status, answer.headers, answer.read(max_bytes))

    def download(self, url: str, to: BinaryIO, *, max_bytes: int, timeout_s: float) -> Reply:
        """
        GET *url* into *to*; the returned reply has an empty body.

        Only a 200 is written; another status is returned as it is. Raises
        `OutboundError` (too_large) when there are more than *max_bytes*.
        """
        with self._open("GET", url, None, None, timeout_s) as answer:
            if answer.status != http.client.OK:
                return Reply(answer.status, answer.headers, b"")
            left = max_bytes
            while block := answer.read(min(64 * 1024, left + 1)):
                if len(block) > left:
                    raise OutboundError("too_large", f"{url} has more than {max_bytes} bytes")
                to.write(block)
                left -= len(block)
            return Reply(answer.status, answer.headers, b"")

    def _open(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | BinaryIO | None, timeout_s: float
    ) -> _Answer:
        parts = self.check(url)
        deadline = time.monotonic() + timeout_s
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = self._checked_address(host, port)
        try:
            connection = self._connect(parts.scheme, host, address, port, deadline)
            try:
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request(method, path, body=body, headers={"Accept-Encoding": "identity", **(headers or {})})
                return _Answer(connection, connection.getresponse(), url)
            except BaseException:
                connection.close()
                raise
        except (OSError, http.client.HTTPException) as error:
            raise _translated(error, url) from error

    def _connect(self, scheme: str, host: str, address: str, port: int, deadline: float) -> http.client.HTTPConnection:
        plain = socket.create_connection((address, port), timeout=_left(deadline))
        try:
            connected: socket.socket = plain
            if scheme == "https":
                context = self._tls or ssl.create_default_context()
                plain.settimeout(_left(deadline))
                connected = context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
        # Host carries the name (and the port when it is not the scheme's own); the socket goes to the checked address.
        netloc_host = f"[{host}]" if ":" in host else host
        connection = (http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection)(
            netloc_host, port
        )
        connection.sock = _DeadlineSocket(connected, deadline)
        return connection

    def _checked_address(self, host: str, port: int) -> str:
        try:
            addresses = list(self._resolve(host, port))
        except OSError as error:
            raise OutboundError("unreachable", f"{host} cannot be resolved: {error}") from error
        if not addresses:
            raise OutboundError("unreachable", f"{host} has no address")
        if not self._is_allowed(host):
            for text in addresses:
                # One bad address among good ones is refused too: which one a later connect picks is not ours to bet on.
                if is_forbidden(ipaddress.ip_address(text.split("%", 1)[0])):
                    raise OutboundError("refused", f"{host} is not a public address")
        return addresses[0]

    def _check_literal(self, host: str) -> None:
        plain = plain_host(host)
        try:
            if "%" in plain and ":" not in plain:
                raise ValueError("a host name has no %")
            address = spelled_address(plain)
        except ValueError as error:
            raise OutboundError("refused", f"not a URL: {error}") from error
        is_local = plain == "localhost" or plain.endswith(".localhost")
        if is_local or (address is not None and is_forbidden(address)):
            raise OutboundError("refused", f"{host} is not a public address")

    def _is_allowed(self, host: str) -> bool:
        return host.lower().rstrip(".") in self._allowed


def guarded_get(
    url: str, *, max_bytes: int, timeout_s: float, guard: OutboundGuard | None = None
) -> tuple[bytes, str | None]:
    """
    The bytes behind *url* and their declared media type: how an input URL is fetched.

    Raises `OutboundError`; a status other than 200 (a redirect too) is `unreachable`,
    more than *max_bytes* is `too_large`.
    """
    buffer = io.BytesIO()
    reply = (guard or OutboundGuard()).download(url, buffer, max_bytes=max_bytes, timeout_s=timeout_s)
    if reply.status != http.client.OK:
        raise OutboundError("unreachable", f"{url} answered {reply.status}")
    return buffer.getvalue(), reply.headers.get("content-type")


class _Answer:
    """An open response; leaving the block closes the connection."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, url: str) -> None:
        self._connection = connection
        self._response = response
        self._url = url
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def read(self, amount: int) -> bytes:
        try:
            return self._response.read(amount)
        except (OSError, http.client.HTTPException) as error:
            raise _translated(error, self._url) from error

    def __enter__(self) -> _Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()


class _DeadlineSocket:
    """
    The few socket methods that `http.client` uses, all under one deadline.

    A socket's own timeout starts anew with each byte received, so a receiver that
    drips would hold a sender for ever.
    """

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(_left(self._deadline))
        self._socket.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode  # always "rb"
        return io.BufferedReader(_DeadlineReader(self._socket, self._deadline))

    def close(self) -> None:
        self._socket.close()


class _DeadlineReader(io.RawIOBase):
    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(_left(self._deadline))
        return self._socket.recv_into(buffer)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _translated(error: Exception, url: str) -> OutboundError:
    if isinstance(error, TimeoutError):
        return OutboundError("timeout", f"{url} did not answer in time")
    return OutboundError("unreachable", f"{url} cannot be reached: {error or type(error).__name__}")

"""
HTTP/1.1 as bytes: heads of requests and answers, and the frames of bodies. RFC 9112, read strictly.

Strictly means that only what matches is let through: a line that ends in a bare
line feed, a folded field, a length that is not digits, a length beside chunks, two
lengths, and control characters are refused, because two programs that read the same
bytes differently are how requests are smuggled. Nothing here does input or output.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MAX_LINE_BYTES = 16 * 1024
"""Of the request line, and of each header field."""

MAX_HEAD_BYTES = 64 * 1024
"""Of a whole head."""

MAX_FIELDS = 128
MAX_TRAILER_BYTES = 16 * 1024

_MAX_CHUNK_LINE_BYTES = 256
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_VALUE = rb"[^\x00-\x08\x0a-\x1f\x7f]*"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([^\x00-\x20\x7f]+) HTTP/1\.([01])")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: (" + _VALUE + rb"))?")
_FIELDS = re.compile(rb"(?:" + _TOKEN + rb":" + _VALUE + rb"\r\n)*")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*(" + _VALUE + rb")\r\n")
_BEGIN = re.compile(rb"(?:" + _TOKEN + rb"(?: (?:[^\x00-\x20\x7f]+(?: [HTP/1.0]{0,8}\r?)?)?)?)?")
_HOST = re.compile(rb"[^\x00-\x20\x7f/?#@\\,]*")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_CHUNK_LINE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;" + _VALUE + rb")?\r\n")

Fields = Sequence[tuple[bytes, bytes]]


class UnreadableError(Exception):
    """Raised for what is not HTTP/1.1; says why without repeating a byte of it."""


class HeadTooLargeError(UnreadableError):
    """Raised for a head over the limits."""


class RequestHead(NamedTuple):
    """
    *connection* holds the words of ``Connection:`` in lower case.

    *length* is the body's, None without ``Content-Length``; *chunked* excludes it.
    """

    method: bytes
    target: bytes
    is_11: bool
    fields: Fields
    length: int | None
    chunked: bool
    connection: frozenset[bytes]
    expects_continue: bool
    upgrade: bytes

    @property
    def has_body(self) -> bool:
        """Whether bytes of a body follow, were it none."""
        return self.chunked or bool(self.length)

    @property
    def keeps_alive(self) -> bool:
        """Whether the client would send another request on this connection."""
        return b"close" not in self.connection and (self.is_11 or b"keep-alive" in self.connection)

    def first(self, name: bytes) -> bytes | None:
        """The value of the first field *name* (lower case)."""
        for key, value in self.fields:
            # Most names differ in their length already.
            if len(key) == len(name) and key.lower() == name:
                return value
        return None


class AnswerHead(NamedTuple):
    """As `RequestHead`; without length and chunks the body ends where the connection does."""

    is_11: bool
    status: int
    reason: bytes
    fields: Fields
    length: int | None
    chunked: bool
    connection: frozenset[bytes]
    keep_alive: bytes

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection can be used again after this answer."""
        return b"close" not in self.connection and (self.is_11 or b"keep-alive" in self.connection)


class _Framing:
    """What a head's fields say about its body and its connection."""

    __slots__ = ("chunked", "codings", "connection", "expect", "hosts", "keep_alive", "length", "lengths", "upgrade")

    def __init__(self, fields: Fields) -> None:
        self.length: int | None = None
        self.lengths = self.codings = self.hosts = 0
        self.chunked = False
        self.connection: frozenset[bytes] = _NO_WORDS
        self.expect = self.keep_alive = self.upgrade = b""
        for name, value in fields:
            read = _READERS.get(name.lower())
            if read is not None:
                read(self, value.rstrip(b" \t"))
        if self.lengths > 1:
            raise UnreadableError("more than one Content-Length")
        if self.codings and (self.codings > 1 or not self.chunked):
            raise UnreadableError("a Transfer-Encoding other than chunked")
        if self.codings and self.lengths:
            raise UnreadableError("Content-Length beside Transfer-Encoding")

    def read_length(self, value: bytes) -> None:
        if _DIGITS.fullmatch(value) is None:
            raise UnreadableError("a Content-Length that is no number")
        self.length = int(value)
        self.lengths += 1

    def read_coding(self, value: bytes) -> None:
        self.codings += 1
        self.chunked = value.lower() == b"chunked"

    def read_connection(self, value: bytes) -> None:
        self.connection |= frozenset(word.strip() for word in value.lower().split(b","))

    def read_host(self, value: bytes) -> None:
        if _HOST.fullmatch(value) is None:
            raise UnreadableError("a Host that is none")
        self.hosts += 1

    def read_expect(self, value: bytes) -> None:
        self.expect = value.lower()

    def read_keep_alive(self, value: bytes) -> None:
        self.keep_alive = value.lower()

    def read_upgrade(self, value: bytes) -> None:
        self.upgrade = value.lower()


_NO_WORDS: frozenset[bytes] = frozenset()
_READERS = {
    b"content-length": _Framing.read_length,
    b"transfer-encoding": _Framing.read_coding,
    b"connection": _Framing.read_connection,
    b"host": _Framing.read_host,
    b"expect": _Framing.read_expect,
    b"keep-alive": _Framing.read_keep_alive,
    b"upgrade": _Framing.read_upgrade,
}


def parse_request(head: bytes) -> RequestHead:
    """*head* up to and with its empty line. Raises `UnreadableError`."""
    line, fields = _split(head)
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise UnreadableError("no request line")
    framing = _Framing(fields)
    is_11 = found[3] == b"1"
    if framing.hosts != 1 and (is_11 or framing.hosts):
        raise UnreadableError("not one Host")
    if framing.chunked and not is_11:
        raise UnreadableError("chunks in HTTP/1.0")
    return RequestHead(
        found[1],
        found[2],
        is_11,
        fields,
        framing.length,
        framing.chunked,
        framing.connection,
        framing.expect == b"100-continue" and is_11,
        framing.upgrade,
    )


def parse_answer(head: bytes) -> AnswerHead:
    """*head* up to and with its empty line. Raises `UnreadableError`."""
    line, fields = _split(head)
    found = _STATUS_LINE.fullmatch(line)
    if found is None:
        raise UnreadableError("no status line")
    framing = _Framing(fields)
    return AnswerHead(
        found[1] == b"1",
        int(found[2]),
        found[3] or b"",
        fields,
        framing.length,
        framing.chunked,
        framing.connection,
        framing.keep_alive,
    )


def find_head(received: bytes) -> int:
    """
    Where the first head in *received* ends, 0 while it has not come whole.

    Raises `UnreadableError` as soon as it can no longer become one of a request,
    so that who talks another language is told at once, and `HeadTooLargeError`.
    """
    end = received.find(b"\r\n\r\n") + 4
    if end > 3:
        if end > MAX_LINE_BYTES:
            _check_size(received[:end])
        return end
    _check_size(received)
    first = received.find(b"\n")
    if first < 0:
        if _BEGIN.fullmatch(received) is None:
            raise UnreadableError("no request line")
    elif _REQUEST_LINE.fullmatch(received, 0, first - 1) is None or _bare_feed(received):
        raise UnreadableError("no request line, or a line that ends in a bare line feed")
    return 0


def _bare_feed(received: bytes) -> bool:
    return received.count(b"\n") != received.count(b"\r\n")


def _check_size(head: bytes) -> None:
    lines = head.split(b"\r\n")
    if len(head) > MAX_HEAD_BYTES or any(len(line) > MAX_LINE_BYTES for line in lines):
        raise HeadTooLargeError(f"at most {MAX_LINE_BYTES} bytes a line and {MAX_HEAD_BYTES} in all")


def _split(head: bytes) -> tuple[bytes, Fields]:
    first = head.find(b"\r\n")
    end = len(head) - 2
    if _FIELDS.fullmatch(head, first + 2, end) is None:
        raise UnreadableError("a header field that is none")
    fields = _FIELD.findall(head, first + 2, end)
    if len(fields) > MAX_FIELDS:
        raise HeadTooLargeError(f"at most {MAX_FIELDS} header fields")
    return head[:first], fields


class Body:
    """
    Takes the frame off a body as it comes: *length* bytes, or chunks.

    With neither it ends where the connection does, and is never `done` here. What
    follows it on the connection is in `rest`.
    """

    __slots__ = ("_chunk_ends", "_chunked", "_held", "_left", "_trailer_bytes", "done", "rest")

    def __init__(self, length: int | None, *, chunked: bool) -> None:
        self._chunked = chunked
        self._left = 0 if chunked else length
        self._held = b""
        self._chunk_ends = False
        self._trailer_bytes = -1
        self.done = self._left == 0 and not chunked
        self.rest = b""

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the connection's end ends it."""
        return self._left is None

    def feed(self, received: bytes) -> bytes:
        """The content in *received*. Raises `UnreadableError` for a broken chunk."""
        if self.done:
            self.rest += received
            return b""
        if self._chunked:
            return self._feed_chunks(received)
        if self._left is None:
            return received
        if len(received) > self._left:
            received, self.rest = received[: self._left], received[self._left :]
        self._left -= len(received)
        self.done = self._left == 0
        return received

    def _feed_chunks(self, received: bytes) -> bytes:
        data, at = self._held + received if self._held else received, 0
        self._held = b""
        content: list[bytes] = []
        while True:
            if self._left:
                content.append(data[at : at + self._left])
                at += len(content[-1])
                self._left -= len(content[-1])
                if self._left:
                    break
                self._chunk_ends = True
            end = data.find(b"\n", at) + 1
            if not end:
                self._hold(data[at:])
                break
            self._line(data[at:end])
            at = end
            if self.done:
                self.rest = data[at:]
                break
        return content[0] if len(content) == 1 else b"".join(content)

    def _line(self, line: bytes) -> None:
        if self._chunk_ends:
            if line != b"\r\n":
                raise UnreadableError("a chunk longer than it said")
            self._chunk_ends = False
        elif self._trailer_bytes >= 0:
            self._trailer(line)
        else:
            found = _CHUNK_LINE.fullmatch(line) if len(line) <= _MAX_CHUNK_LINE_BYTES else None
            if found is None:
                raise UnreadableError("a chunk without a size")
            self._left = int(found[1], 16)
            if not self._left:
                self._trailer_bytes = 0

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if line == b"\r\n":
            self.done = True
        elif self._trailer_bytes > MAX_TRAILER_BYTES or _FIELD.fullmatch(line) is None:
            raise UnreadableError("a trailer that is none, or too long")

    def _hold(self, part: bytes) -> None:
        most = 1 if self._chunk_ends else MAX_TRAILER_BYTES if self._trailer_bytes >= 0 else _MAX_CHUNK_LINE_BYTES
        if len(part) > most:
            raise UnreadableError("a line without end between chunks")
        self._held = part

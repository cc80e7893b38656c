"""
What jobs print, line by line, attributed to the right job and bounded.

A child of short jobs, which gets several at once, marks the end of each on both of its
streams, so bytes never move from one job to the next, however many it runs without a
pause. Any other child gets its next job when all that the last one printed is in.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from collections.abc import Callable

from jangada.jobs.store import LogLine

READ_BYTES = 64 * 1024
"""What a pipe holds. More would be a large block of memory taken and given back for every read."""
MOST_READS = 17
"""A pipe holds no more than so many reads, even where a job has enlarged it to the most that Linux lets it (1 MiB)."""
LINE_BYTES = 8 * 1024
_LINE_COST = 32
"""Counted for each line besides its text, so that a flood of empty lines is bounded too."""

OnLine = Callable[[int, str, str], None]
"""``(job number, stream, text)``"""


class StreamCapture:
    """One stream of one child."""

    def __init__(self, name: str, nonce: str, on_line: OnLine) -> None:
        self._name = name
        self._on_line = on_line
        self._mark = re.compile(rb"\x00" + nonce.encode() + rb"(\d+)\n")
        self._longest_mark = len(nonce) + 24
        self._pending = b""
        self.ended = -1
        """The last job whose end mark was seen; what comes now belongs to the next one."""

    def feed(self, data: bytes) -> None:
        """Take in what was read."""
        data = self._pending + data
        start = 0
        for mark in self._mark.finditer(data):
            if mark.start() > start:
                self._lines(data[start : mark.start()], last=True)
            self.ended = int(mark[1])
            start = mark.end()
        self._pending = self._lines(data[start:], last=False)

    def close(self) -> None:
        """The child is gone: what is left is a line without an end."""
        self._lines(self._pending, last=True)
        self._pending = b""

    def end(self, number: int) -> None:
        """Job *number* has ended and all it printed is in: what comes now belongs to the next one."""
        self.close()
        self.ended = number

    def _lines(self, data: bytes, *, last: bool) -> bytes:
        if not data:
            return b""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._line(line)
        if last:
            if rest:
                self._line(rest)
            return b""
        if len(rest) > LINE_BYTES:
            # A flood without line ends is cut; the end stays, it may hold half a mark.
            self._line(rest[: -self._longest_mark])
            return rest[-self._longest_mark :]
        return rest

    def _line(self, line: bytes) -> None:
        for start in range(0, max(1, len(line)), LINE_BYTES):
            part = line[start : start + LINE_BYTES]
            # A NUL cannot be kept by every store; \r ends progress bars.
            text = part.decode("utf-8", "replace").rstrip("\r").replace("\x00", "\N{REPLACEMENT CHARACTER}")
            self._on_line(self.ended + 1, self._name, text)


class ChildOutput:
    """Both streams of one child, read without blocking from *descriptors* (stream name → descriptor)."""

    def __init__(self, descriptors: dict[str, int], nonce: str, on_line: OnLine, *, marked: bool) -> None:
        """*marked*: the child marks where the output of a job ends."""
        self._marked = marked
        self._captures = {descriptor: StreamCapture(name, nonce, on_line) for name, descriptor in descriptors.items()}

    def read(self, descriptor: int) -> bool:
        """Take in what is there, up to a bound; False at the end of the stream."""
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return True
        self._captures[descriptor].feed(data)
        return bool(data)

    def has_all_of(self, number: int) -> bool:
        """
        Whether everything that job *number* printed is in.

        The child marks the end of a job before it tells of its result, so what is
        still missing then is in the pipes and read here. One that marks nothing has
        written all of it by then.
        """
        for descriptor, capture in self._captures.items():
            if not self._marked:
                self._drain(descriptor, capture)
                capture.end(number)
                continue
            if capture.ended < number and not (self.read(descriptor) and capture.ended >= number):
                return False
        return True

    def _drain(self, descriptor: int, capture: StreamCapture) -> None:
        # Bounded: a process that the job left behind may be printing without an end.
        for _ in range(MOST_READS):
            try:
                data = os.read(descriptor, READ_BYTES)
            except BlockingIOError:
                return
            if data:
                capture.feed(data)
            if len(data) < READ_BYTES:
                return

    def finish(self) -> None:
        """The child is dead: take in what is left."""
        for descriptor, capture in self._captures.items():
            with contextlib.suppress(BlockingIOError):
                while data := os.read(descriptor, READ_BYTES):
                    capture.feed(data)
            capture.close()


class JobLog:
    """The kept lines of one attempt: the first half of the bound and the last; what lies between is counted."""

    def __init__(self, attempt: int, limit_bytes: int = 256 * 1024) -> None:
        self._attempt = attempt
        self._half = limit_bytes // 2
        self._head: list[tuple[str, str, int]] = []
        self._head_bytes = 0
        self._tail: deque[tuple[str, str, int]] = deque()
        self._tail_bytes = 0
        self._dropped = 0
        self._dropped_bytes = 0

    def add(self, stream: str, text: str, at_ms: int) -> None:
        """Keep one line, at the cost of an older one when the bound is reached."""
        cost = len(text) + _LINE_COST
        if not self._tail and self._head_bytes + cost <= self._half:
            self._head.append((stream, text, at_ms))
            self._head_bytes += cost
            return
        self._tail.append((stream, text, at_ms))
        self._tail_bytes += cost
        while self._tail_bytes > self._half:
            old = self._tail.popleft()
            self._tail_bytes -= len(old[1]) + _LINE_COST
            self._dropped += 1
            self._dropped_bytes += len(old[1])

    def last(self, count: int) -> list[str]:
        """The texts of its last *count* lines, at most."""
        recent = list(self._tail)[-count:] if self._tail else self._head[-count:]
        return [text for _stream, text, _at_ms in recent]

    def lines(self) -> list[LogLine]:
        """What is kept, numbered from 1 within the attempt."""
        kept = list(self._head)
        if self._dropped:
            at_ms = self._tail[0][2] if self._tail else 0
            kept.append(("system", f"{self._dropped} lines ({self._dropped_bytes} bytes) were dropped here", at_ms))
        kept += self._tail
        return [
            LogLine(number, self._attempt, stream, text, at_ms) for number, (stream, text, at_ms) in enumerate(kept, 1)
        ]

"""
What a function's replicas write: kept in a ring for who asks, and in a file for after a restart.

A line of the file is ``<RFC 3339 time> <instance> <text>``. Chunks are stamped
as they come from the pipe and split into lines only when somebody reads.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jangada.gateway.provider import LogMessage

RING_BYTES = 512 * 1024
LINE_BYTES = 64 * 1024
FILE_BYTES = 8 * 1024 * 1024
"""Then the file moves to ``<file>.1``."""

_FOLLOWER_CHUNKS = 10_000
_FLUSH_S = 0.02
"""A busy function writes a line per request; the file is opened this often at most."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Whole lines that came together."""

    at: datetime
    instance: str
    text: bytes


class FunctionLog:
    """The log of one function. Lives on the event loop."""

    def __init__(self, name: str, namespace: str, path: Path) -> None:
        self._name = name
        self._namespace = namespace
        self._path = path
        self._ring: deque[_Chunk] = deque()
        self._ring_bytes = 0
        self._followers: set[asyncio.Queue[_Chunk]] = set()
        self._pending = bytearray()
        self._load()

    def add(self, instance: str, text: bytes) -> None:
        """Keep *text*: lines without the last newline."""
        chunk = _Chunk(datetime.now(UTC), instance, text)
        self._keep(chunk)
        for follower in self._followers:
            with contextlib.suppress(asyncio.QueueFull):
                follower.put_nowait(chunk)
        prefix = f"{_stamp(chunk.at)} {instance} ".encode()
        if not self._pending:
            asyncio.get_running_loop().call_later(_FLUSH_S, self.flush)
        self._pending += prefix + text.replace(b"\n", b"\n" + prefix) + b"\n"

    async def messages(
        self, *, tail: int | None, follow: bool, since: datetime | None, instance: str | None
    ) -> AsyncIterator[LogMessage]:
        """See `Provider.logs`. A reader that cannot keep up with what it follows misses lines."""
        follower: asyncio.Queue[_Chunk] = asyncio.Queue(_FOLLOWER_CHUNKS)
        if follow:
            self._followers.add(follower)
        try:
            kept = [message for chunk in self._ring for message in self._lines(chunk, since, instance)]
            for message in kept[-tail:] if tail is not None and tail > 0 else kept:
                yield message
            while follow:
                for message in self._lines(await follower.get(), since, instance):
                    yield message
        finally:
            self._followers.discard(follower)

    def _lines(self, chunk: _Chunk, since: datetime | None, instance: str | None) -> Iterator[LogMessage]:
        if (since is not None and chunk.at < since) or (instance is not None and chunk.instance != instance):
            return
        for line in chunk.text.split(b"\n"):
            text = line.rstrip(b"\r").decode(errors="replace")
            yield LogMessage(self._name, self._namespace, chunk.instance, chunk.at, text)

    def _keep(self, chunk: _Chunk) -> None:
        self._ring.append(chunk)
        self._ring_bytes += len(chunk.text)
        while self._ring_bytes > RING_BYTES and len(self._ring) > 1:
            self._ring_bytes -= len(self._ring.popleft().text)

    def flush(self) -> None:
        """Write what was added to the file."""
        if not self._pending:
            return
        data, self._pending = self._pending, bytearray()
        # Opened each time: whoever rotates the folder's logs may have moved or emptied it.
        # A disk that is full must not take the function down.
        with contextlib.suppress(OSError), self._path.open("ab") as file:
            file.write(data)
            if file.tell() > FILE_BYTES:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))

    def _load(self) -> None:
        """What an earlier gateway kept."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, self._path.stat().st_size - RING_BYTES // 2))
                lines = file.read().splitlines()
        except OSError:
            return
        for line in lines:
            stamp, _, rest = line.partition(b" ")
            instance, _, text = rest.partition(b" ")
            with contextlib.suppress(ValueError):
                at = datetime.fromisoformat(stamp.decode(errors="replace"))
                if at.tzinfo is not None:
                    self._keep(_Chunk(at, instance.decode(errors="replace"), text))


class LineFeed:
    """Makes lines of what one replica writes, as it comes, for *log*. Lines longer than `LINE_BYTES` are cut."""

    def __init__(self, log: FunctionLog, instance: str) -> None:
        self._log = log
        self._instance = instance
        self._rest = b""

    def take(self, data: bytes) -> None:
        """The next bytes."""
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if newline:
            self._log.add(self._instance, whole)
        if len(self._rest) >= LINE_BYTES:
            self.end()

    def end(self) -> None:
        """There is no more: the last line needs no end."""
        if self._rest:
            self._log.add(self._instance, self._rest)
            self._rest = b""


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

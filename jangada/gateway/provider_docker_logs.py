"""What containers wrote: read from the Engine line by line, several containers in one stream."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jangada.gateway.provider import LogMessage
from jangada.gateway.provider_docker_engine import ENGINE_ERRORS, Container, Engine, split_lines

LINE_BYTES = 64 * 1024
_LOOK_EVERY_S = 0.5
_WAITING_LINES = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines somebody asked for."""

    tail: int | None
    follow: bool
    since: datetime | None
    instance: str | None

    def takes(self, container: Container) -> bool:
        """Whether that container's lines are wanted."""
        return self.instance is None or container.id.startswith(self.instance)


def read_kept(
    engine: Engine, container: Container, tail: int | None, since: datetime | None = None
) -> list[LogMessage]:
    """The last *tail* lines there are now. Blocks; nothing when the container is gone."""
    try:
        stream = engine.log_stream(container.id, tail=tail, follow=False, since=since)
        return [_message(container, line) for line in split_lines(iter(stream)) if line]
    except ENGINE_ERRORS:
        return []


async def messages(
    engine: Engine, containers: Callable[[], Sequence[Container]], kept: Sequence[LogMessage], wanted: Wanted
) -> AsyncIterator[LogMessage]:
    """See `Provider.logs`; *containers* tells at any time which there are, *kept* is what earlier ones left."""
    there = [one for one in containers() if wanted.takes(one)]
    read = await asyncio.gather(
        *(asyncio.to_thread(read_kept, engine, one, wanted.tail, wanted.since) for one in there)
    )
    found = [one for one in kept if _is_wanted(one, wanted)] + [line for lines in read for line in lines]
    found.sort(key=lambda message: message.at)
    for message in found[-wanted.tail :] if wanted.tail is not None and wanted.tail > 0 else found:
        yield message
    if wanted.follow:
        last = {one.id: lines[-1].at if lines else wanted.since for one, lines in zip(there, read, strict=True)}
        async for message in _follow(engine, containers, wanted, last):
            yield message


async def _follow(
    engine: Engine,
    containers: Callable[[], Sequence[Container]],
    wanted: Wanted,
    last: dict[str, datetime | None],
) -> AsyncIterator[LogMessage]:
    lines: asyncio.Queue[LogMessage] = asyncio.Queue(_WAITING_LINES)
    followers: dict[str, _Follower] = {}
    try:
        while True:
            for one in containers():
                if one.id not in followers and wanted.takes(one):
                    followers[one.id] = _Follower(engine, one, last.get(one.id), lines)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    yield await lines.get()
    finally:
        for follower in followers.values():
            follower.close()


class _Follower:
    """A thread that reads what one container writes from now on; a reader that is too slow misses lines."""

    def __init__(
        self, engine: Engine, container: Container, after: datetime | None, lines: asyncio.Queue[LogMessage]
    ) -> None:
        self._engine = engine
        self._container = container
        self._after = after
        self._lines = lines
        self._loop = asyncio.get_running_loop()
        self._stream: Any = None
        self._closed = False
        threading.Thread(target=self._read, name=f"log-{container.name}", daemon=True).start()

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        if self._stream is not None:
            with contextlib.suppress(*ENGINE_ERRORS):
                self._stream.close()

    def _read(self) -> None:
        # The stream ends by an error when it is closed from the other thread.
        with contextlib.suppress(*ENGINE_ERRORS, ValueError, AttributeError, RuntimeError):
            self._stream = self._engine.log_stream(self._container.id, tail=None, follow=True, since=self._after)
            if self._closed:
                self._stream.close()
            for line in split_lines(iter(self._stream)):
                message = _message(self._container, line)
                if line and (self._after is None or message.at > self._after):
                    self._loop.call_soon_threadsafe(self._put, message)

    def _put(self, message: LogMessage) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._lines.put_nowait(message)


def _message(container: Container, line: bytes) -> LogMessage:
    stamp, _, text = line.partition(b" ")
    try:
        # The Engine writes nanoseconds, at most; datetime reads microseconds.
        at = datetime.fromisoformat(stamp.decode()[:19]).replace(tzinfo=UTC)
        fraction = stamp.decode()[20:].rstrip("Z")[:6]
        at = at.replace(microsecond=int(fraction.ljust(6, "0") or 0))
    except ValueError:
        at, text = datetime.now(UTC), line
    name, namespace = container.key
    said = text[:LINE_BYTES].rstrip(b"\r").decode(errors="replace")
    return LogMessage(name, namespace, container.id[:12], at, said)


def _is_wanted(message: LogMessage, wanted: Wanted) -> bool:
    if wanted.since is not None and message.at < wanted.since:
        return False
    return wanted.instance is None or message.instance == wanted.instance[:12]

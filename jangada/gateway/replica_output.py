"""
What a replica writes, through a named pipe that the replica itself keeps open.

So it can go on writing while there is no gateway, and the next gateway reads on
where the last one stopped: nothing is lost, nothing comes twice. Requests, which
make most lines, come through a gateway only; the pipe hardly fills without one.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from pathlib import Path

from jangada.gateway.function_log import FunctionLog, LineFeed

_READ_BYTES = 64 * 1024
_PIPE_BYTES = 1024 * 1024
_PAUSE_S = 0.02
"""A busy function writes a line per request; it is read this often at most."""


class ReplicaOutput:
    """Reads the pipe at *path*, made where it is missing, into *log* until `close`. Lives on the event loop."""

    def __init__(self, path: Path, log: FunctionLog, instance: str) -> None:
        self._path = path
        self._feed = LineFeed(log, instance)
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(self._reader, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._pause: asyncio.TimerHandle | None = None

    def open_for_child(self) -> int:
        """
        A descriptor for the child's output; the caller closes its own copy.

        Opened for reading as well: a pipe whose only reader died would end the child with its next line.
        """
        return os.open(self._path, os.O_RDWR)

    def start(self) -> None:
        """Read from now on; to be called when the child has its end."""
        asyncio.get_running_loop().add_reader(self._reader, self._read)

    def close(self) -> None:
        """Read what is left, and no more. The pipe stays, with whoever still holds it."""
        if self._reader < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        asyncio.get_running_loop().remove_reader(self._reader)
        while self._take():
            pass
        self._feed.end()
        os.close(self._reader)
        self._reader = -1

    def _read(self) -> None:
        loop = asyncio.get_running_loop()
        # Until it is empty, it keeps saying so; and an end that nobody holds is readable for ever.
        loop.remove_reader(self._reader)
        self._take()
        self._pause = loop.call_later(_PAUSE_S, loop.add_reader, self._reader, self._read)

    def _take(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._reader, _READ_BYTES)
            self._feed.take(data)
            return bool(data)
        return False

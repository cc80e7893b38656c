"""Bodies of asynchronous calls and of their answers: small ones in the record, large ones through disk to a file."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import BinaryIO, ParamSpec, TypeVar, cast

from jangada.artifacts import ArtifactStore
from jangada.clock import Clock, utc_now
from jangada.errors import NotFoundError
from jangada.gateway.asynchronous_call import Body

P = ParamSpec("P")
R = TypeVar("R")

TENANT = "_gateway"
"""Owner of the files; a tenant's own id never begins so, and no key belongs to it."""

_BLOCK_BYTES = 256 * 1024


class Threads:
    """Where what blocks is done, away from the event loop."""

    def __init__(self, most: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=name)

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What *work* returns or raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Take nothing more; what runs ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Bodies:
    """
    Keeps bytes for *keep_s* at most, up to *max_bytes* each.

    Nothing over *inline_bytes* is ever whole in memory.
    """

    def __init__(
        self,
        artifacts: ArtifactStore,
        threads: Threads,
        *,
        inline_bytes: int,
        max_bytes: int,
        keep_s: float,
        clock: Clock = utc_now,
    ) -> None:
        self._artifacts = artifacts
        self._threads = threads
        self._inline_bytes = inline_bytes
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._clock = clock

    async def keep(self, chunks: AsyncIterator[bytes]) -> Body:
        """
        Take all of *chunks*; durable when this returns, as far as it is a file.

        Raises `TooLargeError`, `StoreUnavailableError`, and whatever *chunks* raises.
        """
        spool = cast("BinaryIO", tempfile.SpooledTemporaryFile(self._inline_bytes + 1))  # noqa: SIM115 - closed below
        try:
            pending = bytearray()
            size = 0
            async for chunk in chunks:
                size += len(chunk)
                pending += chunk
                if len(pending) >= _BLOCK_BYTES:
                    await self._threads.run(spool.write, bytes(pending))
                    pending.clear()
                if size > self._max_bytes:
                    # One byte too many is enough for the store to refuse it in its own words.
                    break
            spool.write(pending)
            spool.seek(0)
            if size <= self._inline_bytes:
                return Body(inline=spool.read(), size_bytes=size)
            artifact = await self._threads.run(
                self._artifacts.put,
                TENANT,
                spool,
                filename="body",
                purpose="async",
                expires_at=self._clock() + timedelta(seconds=self._keep_s),
                max_bytes=self._max_bytes,
            )
            return Body(file=artifact.id, size_bytes=size)
        finally:
            spool.close()

    async def read(self, body: Body) -> AsyncIterator[bytes]:
        """Its bytes, block by block. Raises `NotFoundError` when the file is gone."""
        if body.file is None:
            if body.inline:
                yield body.inline
            return
        file = await self._threads.run(self._open, body.file)
        try:
            while block := await self._threads.run(file.read, _BLOCK_BYTES):
                yield block
        finally:
            await self._threads.run(file.close)

    def open(self, body: Body) -> BinaryIO | bytes:
        """The same for who may block: the bytes, or the file to be closed."""
        return body.inline if body.file is None else self._open(body.file)

    def drop(self, *bodies: Body | None) -> None:
        """Remove what lies in files. Blocks."""
        for body in bodies:
            if body is not None and body.file is not None:
                self._artifacts.delete(body.file, TENANT)

    def _open(self, file: str) -> BinaryIO:
        artifact = self._artifacts.get(file, TENANT)
        if artifact is None:
            raise NotFoundError(f"the body {file} is gone")
        return self._artifacts.open(artifact)

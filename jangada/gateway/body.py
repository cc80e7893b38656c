"""A request's body on its way to the function."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp.web_request import BaseRequest


class RequestBody:
    """
    What came already is handed over as bytes, the rest as it comes.

    After a failed call `is_stalled` says whether the client was the one who
    stopped: no byte came for *idle_s*.
    """

    def __init__(self, request: BaseRequest, idle_s: float) -> None:
        self._request = request
        self._idle_s = idle_s
        # Read once: a call that finds a replica gone is made again with the same bytes.
        self._whole = request.content.read_nowait(-1) if request.body_exists and request.content.is_eof() else None
        self.is_stalled = False

    def send(self) -> bytes | AsyncIterator[bytes] | None:
        """For one call. A stream can be had again only as long as nothing was taken from the one before."""
        if not self._request.body_exists:
            return None
        return self._whole if self._whole is not None else self._stream()

    async def _stream(self) -> AsyncIterator[bytes]:
        request = self._request
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while True:
            try:
                async with asyncio.timeout(self._idle_s):
                    chunk = await request.content.readany()
            except TimeoutError:
                self.is_stalled = True
                raise
            if not chunk:
                return
            yield chunk

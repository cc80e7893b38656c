"""
The HTTP server of the gateway's own routes: aiohttp's, with answers of our own to what is no HTTP.

The heads that it gets were read once before, bodies were not. aiohttp repeats the
bytes that it could not read in a plain text, and writes a traceback for each: an
API's client expects problem details, and a stranger must not fill the log.
"""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from jangada.gateway import refusal as refusals
from jangada.gateway.headers import mark
from jangada.gateway.http1 import MAX_LINE_BYTES
from jangada.gateway.refusal import refuse
from jangada.logs import get_logger

_TOO_MANY_FIELDS = "Too many headers"

log = get_logger(part="gateway")


class HttpServer(web.Server):
    """Makes a `_Connection` for each client."""

    def __call__(self) -> RequestHandler:
        """A connection's protocol; called by the event loop."""
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is answered to a request that could not be read, or could not be answered. Closes the connection."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way; another one cannot be sent")
        mark(request)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("gateway.unhandled", exc_info=exc)
            response = refuse(request, refusals.INTERNAL, "the gateway failed; its log says more", problem=True)
        else:
            # Neither answer nor log repeats what was sent: there may be a credential in it.
            why = (message or "").partition(":")[0].strip()
            log.info("gateway.unreadable", peer=request.remote, why=type(exc).__name__)
            if isinstance(exc, LineTooLong) or why.startswith(_TOO_MANY_FIELDS):
                detail = f"at most {MAX_LINE_BYTES} bytes are read in the request line and in each header field"
                response = refuse(request, refusals.HEADER_TOO_LARGE, detail, problem=True)
            else:
                response = refuse(request, refusals.UNREADABLE, "this is not HTTP as RFC 9112 has it", problem=True)
        response.force_close()
        return response

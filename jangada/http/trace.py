"""Request ids and W3C trace context: taken over when they look sane, else begun here."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from flask import g

from jangada.ids import new_id

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}\Z")
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")


@dataclass(frozen=True, slots=True)
class Trace:
    """The ids of one request. *call_id* is OpenFaaS' ``X-Call-Id``, when there was a sane one."""

    request_id: str
    trace_id: str
    span_id: str
    flags: str
    call_id: str | None

    @property
    def traceparent(self) -> str:
        """The header to send on: what follows is a child of this request."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def begin_trace(request_id: str | None, traceparent: str | None, call_id: str | None) -> Trace:
    """
    Make the ids of a request from its headers; a value that is not sane is replaced, never refused.

    W3C Trace Context §3.2.2: version ``ff`` and all-zero ids are invalid, a higher
    version is read as far as version 00 goes.
    """
    trace_id, flags = _continued(traceparent) or (os.urandom(16).hex(), "00")
    sane_call_id = call_id if call_id and _REQUEST_ID.match(call_id) else None
    sane_request_id = request_id if request_id and _REQUEST_ID.match(request_id) else new_id("req")
    return Trace(sane_request_id, trace_id, os.urandom(8).hex(), flags, sane_call_id)


def current_trace() -> Trace:
    """The ids of the current request."""
    trace: Trace = g.trace
    return trace


def _continued(traceparent: str | None) -> tuple[str, str] | None:
    match = _TRACEPARENT.match(traceparent) if traceparent else None
    if match is None:
        return None
    version, trace_id, parent_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or not trace_id.strip("0") or not parent_id.strip("0"):
        return None
    return trace_id, flags

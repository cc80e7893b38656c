"""An answer on its way to the client: where its body ends, and when its first byte goes out."""

from __future__ import annotations

from collections.abc import Callable

from jangada.gateway.headers import Marks, answer_head
from jangada.gateway.http1 import AnswerHead, RequestHead
from jangada.gateway.refusal import Refusal, written

SMALL_BYTES = 64 * 1024
"""An answer that says it is no longer is sent when it is whole: a function that dies in it still gives a clean 502."""

_NO_CONTENT = 204
_WITHOUT_BODY = frozenset({_NO_CONTENT, 304})


class Answer:
    """
    The answer to *request*, given to *write*.

    *has_begun* is whether a byte of it was: from then on it can only be gone on
    with or broken off. *keeps* is whether its head promised that the connection
    stays.
    """

    __slots__ = ("_held", "_is_chunked", "_marks", "_request", "_served_by", "_write", "has_begun", "keeps", "status")

    def __init__(self, request: RequestHead, marks: Marks, served_by: bytes, write: Callable[[bytes], None]) -> None:
        self._request = request
        self._marks = marks
        self._served_by = served_by
        self._write = write
        self._held: list[bytes] = []
        self._is_chunked = False
        self.has_begun = self.keeps = False
        self.status = 0

    def inform(self, head: AnswerHead) -> None:
        """Pass on a preliminary answer."""
        if self._request.is_11 and not self.has_begun:
            fields = b"".join(b"%b: %b\r\n" % field for field in head.fields)
            self._write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (head.status, head.reason, fields))

    def begin(self, head: AnswerHead, *, keep: bool) -> None:
        """The function's head came; *keep* is whether the connection may stay."""
        self.status = head.status
        length = head.length
        is_head = self._request.method == b"HEAD"
        has_body = not is_head and head.status not in _WITHOUT_BODY
        framing = b""
        if length is not None and head.status != _NO_CONTENT:
            framing = b"Content-Length: %d\r\n" % length
        elif has_body and self._request.is_11:
            self._is_chunked = True
            framing = b"Transfer-Encoding: chunked\r\n"
        self.keeps = keep and (length is not None or self._is_chunked or not has_body)
        if not self.keeps:
            framing += b"Connection: close\r\n"
        elif not self._request.is_11:
            framing += b"Connection: keep-alive\r\n"
        content_type = b""
        if head.status not in _WITHOUT_BODY and length != 0:
            # As OpenFaaS has it: a body that the function gave no type has the request's.
            content_type = self._request.first(b"content-type") or b"text/plain"
        first = answer_head(head, self._marks, served_by=self._served_by, content_type=content_type, framing=framing)
        if length is not None and length <= SMALL_BYTES and not is_head:
            self._held.append(first)
        else:
            self._send(first)

    def switch(self, head: AnswerHead, upgrade: bytes) -> None:
        """The function turns to the protocol *upgrade*."""
        self._send(
            answer_head(head, self._marks, served_by=self._served_by, content_type=b"", framing=b"", upgrade=upgrade)
        )

    def content(self, data: bytes) -> None:
        """Some of the body."""
        if self._is_chunked:
            self._send(b"%x\r\n%b\r\n" % (len(data), data))
        elif self._held:
            self._held.append(data)
        else:
            self._send(data)

    def complete(self) -> None:
        """The body is whole."""
        if self._is_chunked:
            self._send(b"0\r\n\r\n")
        elif self._held:
            self._send(b"".join(self._held))

    def refuse(self, kind: Refusal, detail: str, *, problem: bool, keep: bool) -> None:
        """Answer for the gateway, in place of the function."""
        request_id = self._request.first(b"x-request-id") or b""
        self.has_begun = True
        self._write(
            written(
                kind,
                detail,
                problem=problem,
                call_id=self._marks.call_id,
                request_id=request_id.decode("latin-1"),
                is_head=self._request.method == b"HEAD",
                connection=("" if self._request.is_11 else "keep-alive") if keep else "close",
            )
        )

    def _send(self, data: bytes) -> None:
        self.has_begun = True
        self._write(data)

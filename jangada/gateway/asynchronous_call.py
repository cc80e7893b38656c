"""
The record of one asynchronous invocation and the rules of its life. Pure.

    queued → running → succeeded | failed | canceled
       └────────┴── running → queued for another attempt

`succeeded` is an answer below 400, `failed` any other last answer, or none. The
annotations are those of OpenFaaS' paid queue-worker [contract §2].
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["queued", "running", "succeeded", "failed", "canceled"]
CallbackState = Literal["none", "pending", "delivered", "failed"]
Headers = tuple[tuple[str, str], ...]

QUEUE = "_async"
"""The queue of calls; annotation `com.openfaas.queue` makes it ``_async.<name>``."""
CALLBACKS = "_callbacks"
"""The queue of callbacks."""
INTERNAL = "X-OpenFaaS-Internal"
"""Marks an answer of the platform, not of the function."""
UNREACHABLE = 503
"""What a callback says of a function that could not be reached."""

_QUEUE_NAME = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]{0,62}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MOST_ATTEMPTS = 1000
_LONGEST_WAIT_S = 86_400.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a call is tried again: answered with one of *codes*, or by the platform instead of the function."""

    attempts: int = 10
    codes: frozenset[int] = frozenset({408, 429, 500, 502, 504})
    min_wait_s: float = 10.0
    max_wait_s: float = 120.0

    @classmethod
    def from_annotations(cls, annotations: Mapping[str, str]) -> RetryPolicy:
        """``com.openfaas.retry.*``; what cannot be read counts as not given."""
        default = cls()
        text = annotations.get("com.openfaas.retry.attempts", "")
        attempts = min(int(text), _MOST_ATTEMPTS) if text.isdecimal() and len(text) < 10 else default.attempts
        words = [word.strip() for word in annotations.get("com.openfaas.retry.codes", "").split(",")]
        codes = frozenset(int(word) for word in words if re.fullmatch(r"[1-5]\d\d", word))
        min_wait_s = _seconds(annotations.get("com.openfaas.retry.min_wait", ""), default.min_wait_s)
        max_wait_s = _seconds(annotations.get("com.openfaas.retry.max_wait", ""), default.max_wait_s)
        return cls(max(1, attempts), codes or default.codes, min_wait_s, max(min_wait_s, max_wait_s))

    def delay_s(
        self, status: int, *, internal: bool, made: int, dice: Callable[[], float] = random.random
    ) -> float | None:
        """
        Seconds to wait after the *made*-th attempt ended with *status*; None: it was the last.

        Exponential from *min_wait_s* to *max_wait_s*, spread by a tenth so that what failed
        together does not come back together.
        """
        if made >= self.attempts or not (internal or status in self.codes):
            return None
        # 2.0 ** 1024 overflows; long before that the cap decides.
        planned = min(self.max_wait_s, self.min_wait_s * 2.0 ** min(made - 1, 60))
        return planned * (1 + 0.1 * dice())


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes of a request or an answer: *inline*, or in the artifact *file*."""

    inline: bytes = b""
    file: str | None = None
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the function said last; *duration_s* is how long that one call took."""

    status: int
    headers: Headers
    body: Body
    duration_s: float

    @property
    def is_internal(self) -> bool:
        """Whether the platform said it in the function's place."""
        return any(name.lower() == INTERNAL.lower() for name, _ in self.headers)


@dataclass(frozen=True, slots=True)
class AsyncCall:
    """
    One invocation from its acceptance on. Instants in ms since 1970.

    *id* is what its result is read and its cancel asked by; *call_id* what function and
    callback see as ``X-Call-Id``. They differ only where a client chose an own call id.
    *function* is as in the URL, *target* the raw path and query for the function.
    """

    id: str
    call_id: str
    function: str
    method: str
    target: str
    headers: Headers
    body: Body
    queue: str
    created_ms: int
    retry: RetryPolicy = RetryPolicy()
    callback_url: str | None = None
    status: Status = "queued"
    fence: int = 0
    attempts: tuple[dict[str, Any], ...] = ()
    """Of each answered attempt: ``{"status", "duration_s", "ended_ms"}``."""
    answer: Answer | None = None
    completed_ms: int | None = None
    callback: CallbackState = "none"
    callback_attempts: int = 0

    @property
    def is_final(self) -> bool:
        """Whether it has its one result, or was canceled."""
        return self.status in {"succeeded", "failed", "canceled"}


def queue_of(annotations: Mapping[str, str]) -> str:
    """The queue that a function's calls wait in; a name that could not be one means the default."""
    name = annotations.get("com.openfaas.queue", "")
    return f"{QUEUE}.{name}" if _QUEUE_NAME.fullmatch(name) else QUEUE


def storable(text: str) -> str:
    """*text* without the bytes that were no UTF-8 (kept as lone surrogates by the parser, and sent on by nobody)."""
    return text.encode("utf-8", "ignore").decode()


def as_ascii(target: str) -> str:
    """A raw path and query with everything beyond ASCII percent-encoded, byte for byte."""
    return "".join(chr(byte) if byte < 128 else f"%{byte:02X}" for byte in target.encode("utf-8", "surrogateescape"))


def _seconds(text: str, default: float) -> float:
    """A Go duration (``1m30s``) or plain seconds."""
    if text.isdecimal() and len(text) < 10:
        return min(float(text), _LONGEST_WAIT_S)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return default
    return min(sum(float(number) * _SECONDS[unit] for number, unit in parts), _LONGEST_WAIT_S)

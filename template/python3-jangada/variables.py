"""
The variables of OpenFaaS' watchdog that a function may be deployed with, and what they mean here.

    max_inflight          requests at once, more are 429; 0 or absent: JANGADA_MAX_INFLIGHT
    exec_timeout          a request that has no answer by then is answered 504; 0 or absent: no limit
    write_timeout         the same bound, of a request and of draining after SIGTERM
    read_timeout          how long a connection may say nothing before it is closed
    healthcheck_interval  how long requests are still taken after SIGTERM
    ready_path            where the function itself is asked whether it is ready

Durations are Go's (``1m30s``, ``500ms``) or whole seconds. The others of that name's
list configure what is not there: a second process to start and to talk to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Variables:
    """None where nothing was said."""

    max_inflight: int | None = None
    exec_s: float | None = None
    silence_s: float | None = None
    drain_delay_s: float | None = None
    drain_s: float | None = None
    ready_path: str | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Variables:
        """Raises `ValueError` that names the variable and what was expected."""
        exec_s, write_s = _seconds(environ, "exec_timeout"), _seconds(environ, "write_timeout")
        limits = [limit for limit in (exec_s, write_s) if limit]
        ready_path = environ.get("ready_path", "").strip()
        if ready_path and not ready_path.startswith("/"):
            raise ValueError(f"ready_path={ready_path!r}: expected a path that begins with /")
        return cls(
            max_inflight=_count(environ, "max_inflight"),
            exec_s=min(limits, default=None),
            silence_s=_seconds(environ, "read_timeout"),
            drain_delay_s=_seconds(environ, "healthcheck_interval"),
            drain_s=write_s,
            ready_path=ready_path or None,
        )


def seconds(text: str) -> float:
    """Of a duration. Raises `ValueError`."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    if not text or _PART.sub("", text):
        raise ValueError(f"{text!r} is no duration; write 30, 30s or 1m30s")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def _seconds(environ: Mapping[str, str], name: str) -> float | None:
    text = environ.get(name, "").strip()
    try:
        return (seconds(text) or None) if text else None
    except ValueError as error:
        raise ValueError(f"{name}={error}") from None


def _count(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{name}={text!r}: expected a whole number")
    return int(text or 0) or None

"""
Is a replica ready, does it live: what the annotations ask for, and how it is asked [contract §4].

    com.openfaas.ready.http.path, com.openfaas.health.http.path     default /_/ready, /_/health
    ….initialDelay or .initialDelaySeconds, .periodSeconds, .timeoutSeconds, .failureThreshold, .successThreshold

A replica is always asked for readiness until it says yes. It is asked again and
again, and for its health at all, only where an annotation says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from jangada.gateway.scaling import read_duration

_PREFIX = "com.openfaas."
_LONGEST_S = 3600.0
_MOST_FAILURES = 1000


@dataclass(frozen=True, slots=True)
class Probe:
    """
    One question; *is_watched*: it is asked as long as the replica lives.

    *failures* noes in a row turn a yes into a no, *successes* yeses the other way.
    """

    path: str
    initial_delay_s: float = 0.0
    period_s: float = 2.0
    timeout_s: float = 2.0
    failures: int = 3
    successes: int = 1
    is_watched: bool = False

    async def ask(self, host: str, port: int, *, may_lack: bool = False) -> bool:
        """
        Whether what listens there says yes: 200, or any status below 400 where a path was asked for by annotation.

        *may_lack*: 404 is a yes too, since an image need not know our path.
        """
        status = await _get(host, port, self.path, self.timeout_s)
        return (status == 404 and may_lack) or (200 <= status < (400 if self.is_watched else 201))


@dataclass(frozen=True, slots=True)
class Probes:
    """Both questions of one function; *health* is None when nobody asked for it."""

    ready: Probe
    health: Probe | None

    @classmethod
    def of(cls, annotations: Mapping[str, str]) -> Probes:
        """What *annotations* say; a value that cannot be read counts as not given."""
        health = _read(annotations, "health", "/_/health")
        return cls(_read(annotations, "ready", "/_/ready"), health if health.is_watched else None)


class Streak:
    """Counts answers in a row and says when they amount to another verdict."""

    def __init__(self, probe: Probe, *, verdict: bool) -> None:
        self.verdict = verdict
        self._probe = probe
        self._against = 0

    def count(self, answer: bool) -> bool:
        """The verdict after *answer*."""
        self._against = 0 if answer is self.verdict else self._against + 1
        if self._against >= (self._probe.failures if self.verdict else self._probe.successes):
            self.verdict, self._against = answer, 0
        return self.verdict


def _read(annotations: Mapping[str, str], kind: str, default_path: str) -> Probe:
    prefix = f"{_PREFIX}{kind}.http."
    given = {name.removeprefix(prefix): value for name, value in annotations.items() if name.startswith(prefix)}
    path = given.get("path", "").strip()
    default = Probe(default_path)
    delay = given.get("initialDelay") or given.get("initialDelaySeconds")
    return Probe(
        path if _is_path(path) else default_path,
        _seconds(delay, default.initial_delay_s),
        max(0.05, _seconds(given.get("periodSeconds"), default.period_s)),
        max(0.05, _seconds(given.get("timeoutSeconds"), default.timeout_s)),
        _count(given.get("failureThreshold"), default.failures),
        _count(given.get("successThreshold"), default.successes),
        is_watched=bool(given),
    )


def _is_path(text: str) -> bool:
    return text.startswith("/") and text.isascii() and text.isprintable() and " " not in text


def _seconds(text: str | None, default: float) -> float:
    found = read_duration(text or "")
    return default if found is None else min(found, _LONGEST_S)


def _count(text: str | None, default: int) -> int:
    text = (text or "").strip()
    is_number = text.isascii() and text.isdigit() and len(text) < 10
    return min(int(text), _MOST_FAILURES) if is_number and int(text) > 0 else default


async def _get(host: str, port: int, path: str, timeout_s: float) -> int:
    """The status of ``GET path``, 0 when there is none in time."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
                words = (await reader.readline()).split(b" ")
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, ValueError):
        return 0
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0

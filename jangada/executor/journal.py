"""What the executor says: one JSON line per event on standard output. Never inputs, outputs or keys."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from jangada.clock import rfc3339, utc_now

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Journal:
    """
    Log lines with fields bound once.

    Not structlog, which the functions use: the executor's parent idles beside
    every algorithm and this saves it memory.
    """

    def __init__(self, *, level: str = "info", text: bool = False, **bound: Any) -> None:
        self._least = _LEVELS[level]
        self._text = text
        self._bound = bound
        self._lock = threading.Lock()

    @property
    def is_talkative(self) -> bool:
        """Whether `debug` says anything: many a job a second need not put its fields together for nothing."""
        return self._least <= _LEVELS["debug"]

    def debug(self, event: str, **fields: Any) -> None:
        """For people who look for something."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Something happened as it should."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Something an operator may want to look at."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Something that needs an operator."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if _LEVELS[level] < self._least:
            return
        if self._text:
            details = " ".join(f"{name}={value}" for name, value in fields.items())
            line = f"{rfc3339(utc_now())} {level:7} {event} {details}"
        else:
            record = {"at": rfc3339(utc_now()), "level": level, "event": event, **self._bound, **fields}
            line = json.dumps(record, default=str, ensure_ascii=False)
        with self._lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

"""
Log lines: JSON (or text) on stderr, one event name and fields, secrets masked.

An event name is ``<thing>.<what happened>`` (``http.unhandled``, ``key.revoked``).
Never inputs, outputs or keys; a credential that slips into a field is masked here.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

Logger = structlog.stdlib.BoundLogger

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_SECRET_FIELDS = re.compile(r"(?i)(secret|password|passwd|authorization|api_key|token|cookie|private_key)$")
# An API key, a webhook secret, a JWT, the user part of a URL.
_SECRET_TEXT = re.compile(
    r"jgd_[0-9A-Z]{26}_[A-Za-z0-9_-]+"
    r"|whsec_[A-Za-z0-9+/=_-]+"
    r"|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"
    r"|(?<=://)[^/@\s]+(?=@)"
)


def mask_text(text: str) -> str:
    """*text* with every credential in it replaced by ``***``."""
    return _SECRET_TEXT.sub("***", text)


def configure(level: str = "info", log_format: str = "json", stream: TextIO | None = None) -> None:
    """
    Set up logging for this process; calling it again replaces the set-up.

    *level* and *log_format* as in `Settings`; *stream* is stderr unless given.
    What libraries log through `logging` comes out in the same shape.
    """
    out = stream or sys.stderr
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _mask_fields,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries below warning tell about themselves, not about us.
    root.setLevel(max(_LEVELS[level], logging.WARNING))


def get_logger(**fields: Any) -> Logger:
    """A logger with *fields* bound to every line."""
    return cast(Logger, structlog.get_logger(**fields))


def _dumps(value: Any, **_: Any) -> str:
    import orjson

    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _mask_fields(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = "***" if _SECRET_FIELDS.search(name) else mask_text(value)
        elif _SECRET_FIELDS.search(name) and value is not None:
            event[name] = "***"
    return event

"""
Reading a request's body: strict JSON in UTF-8, bounded in size and in depth, then a model.

400 what is not JSON, 413 what is too big, 415 what is not called JSON, 422 with a
pointer per field what is JSON but not what the route reads.
"""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from flask import request
from pydantic import BaseModel, ConfigDict, ValidationError

from jangada.errors import (
    FieldError,
    InvalidRequestError,
    MalformedRequestError,
    TooLargeError,
    UnsupportedMediaTypeError,
)

MAX_DEPTH = 64
"""Nesting of arrays and objects in a body. BSON stops at 100 levels, and a job's record adds some."""

MAX_FIELD_ERRORS = 50


class RequestModel(BaseModel):
    """
    Base of what a route reads: unknown fields and wrong types are refused, nothing is coerced.

    An enumeration is written as `Literal`, or as an `Enum` with ``Field(strict=False)``.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


M = TypeVar("M", bound=BaseModel)


def read_json(model: type[M]) -> M:
    """The body as *model*. Raises `MalformedRequestError`, `TooLargeError`, `UnsupportedMediaTypeError`
    or `InvalidRequestError`."""
    return validate(model, read_value())


def read_value() -> Any:
    """The body as JSON, whatever it is."""
    require_media_type("application/json")
    return parse_json(read_bytes())


def read_bytes(limit: int | None = None) -> bytes:
    """The whole body, at most *limit* bytes (the app's limit unless given)."""
    if limit is not None:
        request.max_content_length = limit
    length = request.content_length
    allowed = request.max_content_length
    if length is not None and allowed is not None and length > allowed:
        raise TooLargeError(f"the body has {length} bytes, at most {allowed} are read", extra={"max_bytes": allowed})
    return request.get_data(cache=False)


def require_media_type(*allowed: str) -> str:
    """
    The body's media type, which must be one of *allowed*.

    ``application/json`` allows any ``application/…+json`` too. A charset other than
    UTF-8 and a content coding are refused: RFC 8259 §8.1 knows UTF-8 alone.
    """
    found = request.mimetype
    fits = found in allowed or (
        "application/json" in allowed and found.startswith("application/") and found.endswith("+json")
    )
    if not fits:
        what = f"content type {found}" if found else "a body without content type"
        raise UnsupportedMediaTypeError(f"{what} is not read here; expected {' or '.join(allowed)}")
    charset = request.mimetype_params.get("charset", "utf-8").lower().replace("_", "-")
    if charset not in {"utf-8", "utf8", "us-ascii"}:
        raise UnsupportedMediaTypeError(f"charset {charset} is not read here; expected utf-8")
    coding = request.headers.get("Content-Encoding", "identity").lower()
    if coding != "identity":
        raise UnsupportedMediaTypeError(f"content coding {coding} is not read here; expected identity")
    return found


def parse_json(body: bytes) -> Any:
    """
    *body* as JSON; raises `MalformedRequestError`.

    Strict: UTF-8, no NaN or Infinity, no lone surrogates, at most `MAX_DEPTH` levels.
    Of a duplicate key the last one counts; an integer beyond 64 bits becomes a float.
    """
    if not body or body.isspace():
        raise MalformedRequestError("the body is empty; expected JSON")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequestError(f"the body is not JSON: {error}") from error
    # Few brackets cannot nest deeply, and that is nearly every body.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and is_deeper_than(value, MAX_DEPTH):
        raise MalformedRequestError(f"the body is nested more than {MAX_DEPTH} levels deep")
    return value


def is_deeper_than(value: Any, levels: int) -> bool:
    """Whether arrays and objects nest more than *levels* deep in *value*; walks by level, never recurses."""
    nested = [value] if isinstance(value, (dict, list)) else []
    for _ in range(levels):
        if not nested:
            return False
        nested = [
            child
            for parent in nested
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
    return bool(nested)


def validate(model: type[M], value: Any, *, at: str = "") -> M:
    """*value* as *model*; raises `InvalidRequestError` with pointers that start with *at*."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = _fields(error, at)
        raise InvalidRequestError("the body does not have the fields this route reads", errors=errors) from error


def pointer(*parts: str | int) -> str:
    """An RFC 6901 JSON pointer of *parts*."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def _fields(error: ValidationError, at: str) -> list[FieldError]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [FieldError(at + pointer(*item["loc"]), item["msg"]) for item in found[:MAX_FIELD_ERRORS]]

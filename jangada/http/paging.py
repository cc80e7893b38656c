"""Lists: ``?limit=&cursor=`` in, ``{"data", "has_more", "next_cursor"}`` and a ``Link`` out. Newest first."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from jangada.errors import FieldError, InvalidRequestError
from jangada.http.links import absolute
from jangada.http.openapi import Parameter
from jangada.http.render import respond

MAX_LIMIT = 200

LIST_PARAMETERS = (
    Parameter("limit", "how many", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 20}),
    Parameter("cursor", "`next_cursor` of the page before"),
)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """How many items are asked for, and after which position (None: from the newest)."""

    limit: int
    after: str | None


def page_request(default: int = 20, most: int = MAX_LIMIT) -> PageRequest:
    """Read ``limit`` (1 to *most*) and ``cursor`` of the current request; raises `InvalidRequestError`."""
    text = request.args.get("limit")
    limit = default
    if text is not None:
        if not (text.isascii() and text.isdigit() and len(text) <= 9) or not 1 <= int(text) <= most:
            raise _refused("limit", f"expected a whole number from 1 to {most}")
        limit = int(text)
    cursor = request.args.get("cursor")
    return PageRequest(limit, decode_cursor(cursor) if cursor else None)


def respond_page(items: Sequence[Any], *, next_position: str | None) -> Response:
    """One page as a response; *next_position* is where the next one starts, None when this is the last."""
    if next_position is None:
        return respond({"data": items, "has_more": False, "next_cursor": None})
    cursor = encode_cursor(next_position)
    query = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    url = f"{absolute(request.path)}?{urlencode([*query, ('cursor', cursor)])}"
    body = {"data": items, "has_more": True, "next_cursor": cursor}
    return respond(body, headers={"Link": f'<{url}>; rel="next"'})


def encode_cursor(position: str) -> str:
    """*position* as an opaque cursor."""
    return base64.urlsafe_b64encode(f"1:{position}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """The position in *cursor*; raises `InvalidRequestError` for one that we did not make."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        version, _, position = base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition(":")
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise _refused("cursor", "not a cursor of this list") from error
    if version != "1" or not position or len(position) > 200 or not position.isprintable():
        raise _refused("cursor", "not a cursor of this list")
    return position


def _refused(name: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"query parameter {name}: {detail}", errors=[FieldError(f"/query/{name}", detail)])

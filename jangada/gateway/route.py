"""What a route is, and what its handler is given; `routes.py` is the list of them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web
from aiohttp.web_request import BaseRequest

if TYPE_CHECKING:
    from jangada.gateway.server import Gateway


class Call(NamedTuple):
    """One request on its way to a handler; *match* is its route's."""

    gateway: Gateway
    request: BaseRequest
    match: re.Match[str]


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """*pattern* is matched against the whole raw path, query left out."""

    methods: frozenset[str]
    pattern: re.Pattern[str]
    handler: Handler

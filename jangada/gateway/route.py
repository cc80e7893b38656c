"""What a route is, what its handler is given, and what an invocation is; `routes.py` is the list of them."""

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


class Invocation(NamedTuple):
    """
    One call of a function, as its path says it.

    *name* is the function's, or the path itself when that *is_public*: a function
    claims it. *target* is what the function is asked for, *prefix* what was taken
    from the path, None when nothing was.
    """

    name: str
    target: bytes
    prefix: str | None
    is_public: bool

    @property
    def shown(self) -> str:
        """How it is named to the client."""
        return f"what is at {self.name}" if self.is_public else self.name

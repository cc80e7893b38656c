"""Which node makes the current request."""

from __future__ import annotations

from flask import g, request

from jangada.nodes.node import JoinedNode
from jangada.wiring import Services


def node_of(services: Services) -> JoinedNode:
    """The node whose session the request carries. Raises `UnauthenticatedError`, `StoreUnavailableError`."""
    known: JoinedNode | None = g.get("node")
    if known is None:
        known = services.nodes.accounts.authenticate(request.headers.get("Authorization"))
        g.node = known
    return known

"""Paths of the API made of names and ids that a person may have typed."""

from __future__ import annotations

from urllib.parse import quote

from jangada.client.errors import NotFoundError


def at(collection: str, name: str, *rest: str) -> str:
    """
    ``/v1/<collection>/<name>/…``, with *name* as one segment whatever it holds.

    Raises `NotFoundError` for a name that can be no segment: an empty one would lead
    to the whole list, and dots to the folder above.
    """
    if name in {"", ".", ".."}:
        raise NotFoundError(404, "not_found", f"nothing in {collection} is called {name!r}")
    return "/".join(["/v1", collection, quote(name, safe=""), *rest])

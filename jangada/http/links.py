"""
Links to ourselves, as the client sees us: behind a gateway, under a prefix, on another host.

`Settings.public_url` wins. Else ``X-Forwarded-Proto/Host/Prefix`` are believed when
`Settings.trusted_proxies` is above 0: of a list, the value that the outermost trusted
proxy wrote, which is the n-th from the right. What does not look like a host, a
scheme or a path is ignored, so that no header can put text of its own into a link.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from flask import g, request

from jangada.http.services import current_services

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?\Z")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+\Z")


def href(path: str) -> str:
    """The path to *path* of this function as the client must write it: with the prefix it came under."""
    return f"{_origin_and_prefix()[1]}{path}"


def absolute(path: str) -> str:
    """The whole URL of *path* of this function, as the client sees us."""
    origin, prefix = _origin_and_prefix()
    return f"{origin}{prefix}{path}"


def client_address() -> str | None:
    """The caller's address as the outermost trusted proxy saw it (without a port); for logs, never for rights."""
    value = _forwarded("X-Forwarded-For")
    if value is None:
        return request.remote_addr
    if value.startswith("["):
        return value[1:].partition("]")[0]
    # OpenFaaS writes ip:port; an IPv6 address has more than one colon.
    return value.rpartition(":")[0] if value.count(":") == 1 else value


def _origin_and_prefix() -> tuple[str, str]:
    known: tuple[str, str] | None = g.get("origin_and_prefix")
    if known is None:
        known = g.origin_and_prefix = _find_origin_and_prefix()
    return known


def _find_origin_and_prefix() -> tuple[str, str]:
    prefix = _forwarded("X-Forwarded-Prefix") or ""
    prefix = prefix.rstrip("/")
    if prefix and (not _PREFIX.match(prefix) or "/../" in f"{prefix}/"):
        prefix = ""
    public_url = current_services().settings.public_url
    if public_url:
        parts = urlsplit(public_url)
        return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/") or prefix
    scheme = (_forwarded("X-Forwarded-Proto") or "").lower()
    if scheme not in {"http", "https"}:
        scheme = request.scheme
    host = _forwarded("X-Forwarded-Host") or ""
    if not _HOST.match(host):
        host = request.environ.get("HTTP_HOST") or ""
    if not _HOST.match(host):
        host = "localhost"
    return f"{scheme}://{host}", prefix


def _forwarded(header: str) -> str | None:
    trusted = current_services().settings.trusted_proxies
    text = request.headers.get(header)
    if not trusted or not text:
        return None
    values = [value.strip() for value in text.split(",")]
    return values[-min(trusted, len(values))] or None

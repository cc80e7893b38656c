"""
Credentials of gateways, in the file that faas-cli keeps them in: who has logged in with one is known to the other.

``$OPENFAAS_CONFIG/config.yml``, else ``~/.openfaas/config.yml``: a list ``auths`` of gateway, kind (``basic``) and
token (base64 of ``user:password``), looked up by the gateway's exact address [contract §6].
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from jangada.errors import ConfigurationError

DEFAULT_GATEWAY = "http://127.0.0.1:8080"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Credentials = tuple[str, str]
"""User and password."""


def gateway_address(given: str | None, environ: Mapping[str, str]) -> str:
    """*given*, else ``OPENFAAS_URL``, else faas-cli's default; in its form. Raises `ConfigurationError`."""
    address = (given or environ.get("OPENFAAS_URL") or DEFAULT_GATEWAY).strip().lower()
    if "://" not in address:
        address = f"http://{address}"
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"gateway {given or address!r}: expected https://HOST")
    return address.rstrip("/")


def may_carry_password(address: str) -> bool:
    """Whether nobody between here and *address* can read what is sent: TLS, or this very machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


def saved_credentials(address: str, environ: Mapping[str, str]) -> Credentials:
    """Who logged in to *address*. Raises `ConfigurationError` when nobody did."""
    path = _file(environ)
    for entry in _read(path):
        if entry.get("gateway") == address and entry.get("auth") == "basic":
            try:
                user, colon, password = base64.b64decode(str(entry.get("token")), validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                colon = ""
            if not colon:
                raise ConfigurationError(f"{path}: the token of {address} cannot be read; log in again")
            return user, password
    raise ConfigurationError(f"nobody is logged in to {address}: run `jangada function login`")


def save_credentials(address: str, credentials: Credentials, environ: Mapping[str, str]) -> Path:
    """Remember *credentials* for *address* in a file that only its owner reads; what else it holds stays."""
    path = _file(environ)
    token = base64.b64encode(":".join(credentials).encode()).decode()
    entries = [entry for entry in _read(path) if entry.get("gateway") != address]
    entries.append({"gateway": address, "auth": "basic", "token": token})
    kept = _document(path) | {"auths": entries}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as output:
        yaml.safe_dump(kept, output, sort_keys=False)
    new.replace(path)
    return path


def _file(environ: Mapping[str, str]) -> Path:
    folder = environ.get("OPENFAAS_CONFIG")
    return (Path(folder) if folder else Path.home() / ".openfaas").expanduser() / "config.yml"


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: expected what faas-cli writes, a mapping")
    return document


def _read(path: Path) -> list[dict[str, Any]]:
    entries = _document(path).get("auths") or []
    if not isinstance(entries, list):
        raise ConfigurationError(f"{path}: auths must be a list")
    return [entry for entry in entries if isinstance(entry, dict)]

"""Where the platform is and who we are there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jangada.errors import ConfigurationError
from jangada.settings import Settings

CONNECTION_FILE = "connection.json"


@dataclass(frozen=True, slots=True)
class Connection:
    """An address and a key. *tenant* is only for show: the key decides."""

    url: str
    api_key: str
    tenant: str | None = None

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for a key that no header can carry; it is not repeated."""
        if not (self.api_key.isascii() and self.api_key.isprintable()) or " " in self.api_key:
            raise ConfigurationError("the API key has a space, a line break or another character that no key has")

    def __repr__(self) -> str:
        return f"Connection(url={self.url!r}, tenant={self.tenant!r})"


def find_connection(
    environ: Mapping[str, str], *, url: str | None = None, api_key: str | None = None, tenant: str | None = None
) -> Connection:
    """
    The arguments, then JANGADA_URL and JANGADA_API_KEY, then ``$JANGADA_HOME/connection.json``.

    The file's key is used only for the file's own address, so that a key never
    goes to another platform. Raises `ConfigurationError` saying what is missing.
    """
    settings = Settings.from_env(environ)
    url = url or settings.url
    api_key = api_key or settings.api_key
    if url and api_key:
        return Connection(url.rstrip("/"), api_key, tenant)
    path = settings.home / CONNECTION_FILE
    found = _read(path)
    if found is None:
        missing = "JANGADA_URL and JANGADA_API_KEY" if not url else "JANGADA_API_KEY"
        raise ConfigurationError(
            f"no platform to talk to: set {missing}, or start one here with `jangada up` (looked for {path})"
        )
    if url and url.rstrip("/") != found.url:
        raise ConfigurationError(f"no key for {url}: set JANGADA_API_KEY ({path} holds one for {found.url})")
    return Connection(found.url, api_key or found.api_key, tenant or found.tenant)


def _read(path: Path) -> Connection | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    try:
        body = json.loads(text)
        return Connection(str(body["url"]).rstrip("/"), str(body["api_key"]), body.get("tenant"))
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path} is not a connection file: expected url, api_key, tenant") from error

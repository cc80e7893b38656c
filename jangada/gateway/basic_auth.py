"""Who may use ``/system``: one user and password, from files [contract §1.1]."""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from pathlib import Path

from jangada.errors import ConfigurationError

USER_FILE, PASSWORD_FILE = "basic-auth-user", "basic-auth-password"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client must send."""

    user: str
    password: str

    @classmethod
    def from_folder(cls, folder: Path) -> Credentials | None:
        """
        What the two files say, white space around it dropped; None when neither is there.

        Raises `ConfigurationError` when only one is, or one is empty: half a guard is none.
        """
        texts: dict[str, str] = {}
        for name in (USER_FILE, PASSWORD_FILE):
            try:
                texts[name] = (folder / name).read_text(encoding="utf-8").strip()
            except FileNotFoundError:
                continue
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"cannot read {folder / name}: {error}") from error
        if not texts:
            return None
        for name in (USER_FILE, PASSWORD_FILE):
            if not texts.get(name):
                raise ConfigurationError(f"{folder / name} is missing or empty")
        return cls(texts[USER_FILE], texts[PASSWORD_FILE])

    def accept(self, header: str | None) -> bool:
        """Whether *header*, an ``Authorization`` value, carries them."""
        scheme, _, encoded = (header or "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            sent = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(sent, f"{self.user}:{self.password}".encode())

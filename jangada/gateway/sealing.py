"""Secrets at rest: AES-256-GCM under a key that lies in a file, not in the store."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

from jangada.errors import ConfigurationError

KEY_FILE = "gateway-key"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class Sealer:
    """Seals bytes for a place, such as ``namespace/name``: what is sealed for one cannot be opened as another."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def from_folder(cls, folder: Path) -> Sealer:
        """
        The sealer whose key is in ``gateway-key`` in *folder*; made there, mode 0600, the first time.

        Gateways of one store need the same file. Raises `ConfigurationError`.
        """
        path = folder / KEY_FILE
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                pass
            else:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(base64.b64encode(os.urandom(_KEY_BYTES)) + b"\n")
            key = base64.b64decode(path.read_bytes().strip(), validate=True)
        except OSError as error:
            raise ConfigurationError(f"cannot use {path}: {error.strerror or error}") from error
        except binascii.Error as error:
            raise ConfigurationError(f"{path}: not base64") from error
        if len(key) != _KEY_BYTES:
            raise ConfigurationError(f"{path}: expected {_KEY_BYTES} bytes in base64, found {len(key)}")
        return cls(key)

    def seal(self, place: str, content: bytes) -> bytes:
        """*content*, unreadable without the key."""
        # Imported at need: a gateway without secrets is 8 MB smaller.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, content, place.encode())

    def open(self, place: str, sealed: bytes) -> bytes:
        """What was sealed for *place*. Raises `ConfigurationError` under another key."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self._key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except InvalidTag as error:
            raise ConfigurationError(f"the secret {place} was sealed under another {KEY_FILE}") from error

"""
What the platform gives to a node and takes back unread: sealed, so that any replica knows it for its own.

AES-SIV (RFC 5297): nobody else can read, make or change it, and equal values sealed
for equal ends are equal, so that a node can tell that two jobs are of one tenant.
Each is bound to what it is for and to whom it was given.
"""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_KEY_BITS = 512


class Seal:
    """Seals with the secret that *load* returns when it is first needed: `NodeStore.secret`."""

    def __init__(self, load: Callable[[str], str]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._cipher: AESSIV | None = None

    def close(self, value: Any, end: str, node_id: str) -> str:
        """*value* (JSON) sealed for that *end* and that node. Raises `StoreUnavailableError`."""
        sealed = self._made().encrypt(orjson.dumps(value), [end.encode(), node_id.encode()])
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, text: str, end: str, node_id: str) -> Any:
        """What `close` sealed for the same end and node. Raises `ValueError`, and `StoreUnavailableError`."""
        from cryptography.exceptions import InvalidTag

        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            return orjson.loads(self._made().decrypt(sealed, [end.encode(), node_id.encode()]))
        except InvalidTag:
            raise ValueError("not sealed by this platform for this") from None

    def _made(self) -> AESSIV:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        with self._lock:
            if self._cipher is None:
                made = base64.b64encode(secrets.token_bytes(_KEY_BITS // 8)).decode()
                self._cipher = AESSIV(base64.b64decode(self._load(made)))
            return self._cipher

"""
Signatures of webhooks, by Standard Webhooks 1.0.0 (symmetric, `v1`).

The signed text is ``<webhook-id>.<webhook-timestamp>.<raw body>``; the key is the
base64 part of a ``whsec_…`` secret. Receivers may use any Standard Webhooks library,
or `verify` below.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105 - the public prefix, not a secret
TOLERANCE_S = 300
"""How far a receiver lets the timestamp be from its own clock."""


def new_secret() -> str:
    """Return a fresh ``whsec_`` secret of 32 random bytes."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The key bytes of a ``whsec_`` secret; raises `ValueError` when it is not one of 24 to 64 bytes."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"a webhook secret starts with {SECRET_PREFIX}")
    try:
        key = base64.b64decode(secret[len(SECRET_PREFIX) :], validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook secret is base64 after its prefix") from error
    if not 24 <= len(key) <= 64:
        raise ValueError(f"a webhook secret has 24 to 64 bytes, this one {len(key)}")
    return key


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature, ``v1,<base64 of HMAC-SHA256>``."""
    text = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def signed_headers(secrets_in_force: Sequence[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """
    The three headers of one sending.

    During a rotation there are two secrets in force and two signatures, separated
    by a space: a receiver that knows either of them accepts.
    """
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign(key_of(one), message_id, timestamp, body) for one in secrets_in_force),
    }


def verify(secret: str, message_id: str, timestamp: int, body: bytes, signature: str, *, now: float) -> bool:
    """What a receiver does: True when one of the signatures is ours and the timestamp is within 5 minutes of *now*."""
    if abs(now - timestamp) > TOLERANCE_S:
        return False
    expected = sign(key_of(secret), message_id, timestamp, body).encode()
    return any(hmac.compare_digest(expected, candidate.encode()) for candidate in signature.split(" "))

"""
API keys: ``jgd_<key's ULID>_<secret>``, shown once, kept as a digest.

The secret is 32 random bytes, so a plain SHA-256 of it cannot be searched back; the
slow hashes (bcrypt, argon2) protect short human passwords, and would cost 100 ms of
CPU on each request here for nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from jangada.ids import new_id

KEY_ID = re.compile(r"key_[0-9A-HJKMNP-TV-Z]{26}\Z")
_PLAINTEXT = re.compile(r"jgd_([0-9A-HJKMNP-TV-Z]{26})_([A-Za-z0-9_-]{43})\Z")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One credential of a tenant, without its secret. *start* is what a person may recognise it by."""

    id: str
    tenant_id: str
    name: str
    digest: bytes
    start: str
    scopes: frozenset[str]
    created_at: datetime
    created_by: str | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_valid_at(self, now: datetime) -> bool:
        """Neither revoked nor expired at *now*."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def accepts(self, secret: str) -> bool:
        """Whether *secret* is this key's; takes the same time whatever differs."""
        return hmac.compare_digest(self.digest, digest_of(secret))


@dataclass(frozen=True, slots=True)
class Plaintext:
    """The two parts of a key as its owner holds it."""

    key_id: str
    secret: str

    @property
    def text(self) -> str:
        """The whole: what goes behind ``Bearer``."""
        return f"jgd_{self.key_id.removeprefix('key_')}_{self.secret}"

    def __repr__(self) -> str:
        return f"Plaintext(key_id={self.key_id!r})"  # a secret must not get into a log by its repr


def new_plaintext() -> Plaintext:
    """A new key with a secret of 256 random bits."""
    return Plaintext(new_id("key"), secrets.token_urlsafe(32))


def parse_plaintext(text: str) -> Plaintext | None:
    """The parts of *text*, or None when it does not have the form of a key."""
    match = _PLAINTEXT.match(text)
    return Plaintext(f"key_{match[1]}", match[2]) if match else None


def digest_of(secret: str) -> bytes:
    """What is kept of *secret*."""
    return hashlib.sha256(secret.encode()).digest()


def new_key(
    tenant_id: str,
    name: str,
    scopes: frozenset[str],
    *,
    now: datetime,
    created_by: str | None = None,
    expires_at: datetime | None = None,
    plaintext: Plaintext | None = None,
) -> tuple[ApiKey, Plaintext]:
    """A key and its plaintext; the latter is to be shown once and forgotten."""
    plain = plaintext or new_plaintext()
    key = ApiKey(
        id=plain.key_id,
        tenant_id=tenant_id,
        name=name,
        digest=digest_of(plain.secret),
        start=plain.text[:12],
        scopes=frozenset(str(scope) for scope in scopes),
        created_at=now,
        created_by=created_by,
        expires_at=expires_at,
    )
    return key, plain

"""
Short-lived tokens: JWT (RFC 7519) signed with Ed25519 (EdDSA, RFC 8037), public keys as JWKS.

Signing keys come from the secrets folder (``jwt-signing-key*``, PEM, PKCS #8) when
there are any: the last by name signs, all verify, so a rotation is a file added and,
15 minutes later, one removed. Else they lie in the store, beside the digests of the
API keys: whoever reads that store could as well add a key of their own.

A token names the key that it was made with, and dies with it: see `Authenticator`.
PyJWT and cryptography are imported with the first token: 10 MB that a process which
only sees API keys never needs.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from jangada.clock import Clock, utc_now
from jangada.errors import ConfigurationError, UnauthenticatedError
from jangada.ids import new_id
from jangada.tenants.store import SigningKey, TenantStore

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

TOKEN_TTL_S = 900.0
ISSUER = "jangada"
AUDIENCE = "jangada"
_FIRST_SLOT = "first"
# How often an unknown kid may make us look for new keys: anyone can invent kids.
_RELOAD_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a verified token says."""

    key_id: str
    tenant_id: str
    scopes: frozenset[str]
    expires_at: datetime


class Tokens:
    """Issues and verifies tokens with the keys of *secrets_dir*, else of *store*."""

    def __init__(
        self,
        store: TenantStore,
        *,
        secrets_dir: Path | None = None,
        clock: Clock = utc_now,
        ttl_s: float = TOKEN_TTL_S,
    ) -> None:
        self._store = store
        self._secrets_dir = secrets_dir
        self._clock = clock
        self.ttl_s = ttl_s
        self._lock = threading.Lock()
        self._private: dict[str, Ed25519PrivateKey] = {}
        self._signing_kid: str | None = None
        self._loaded = float("-inf")

    def issue(self, *, key_id: str, tenant_id: str, scopes: frozenset[str], until: datetime | None = None) -> str:
        """A token for the owner of *key_id*, valid for `ttl_s`, at most until *until*."""
        import jwt

        now = self._clock()
        expires = now + timedelta(seconds=self.ttl_s)
        if until is not None:
            expires = min(expires, until)
        kid, private = self._signer()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": key_id,
            "tenant": tenant_id,
            "scope": " ".join(sorted(scopes)),
            "iat": int(now.timestamp()),
            "exp": int(expires.timestamp()),
            "jti": new_id("tok"),
        }
        return jwt.encode(claims, private, algorithm="EdDSA", headers={"kid": kid})

    def verify(self, token: str) -> TokenClaims:
        """What *token* says. Raises `UnauthenticatedError` when it is not ours, altered or expired."""
        import jwt

        try:
            kid = jwt.get_unverified_header(token).get("kid")
            public = self._public_key(kid) if isinstance(kid, str) else None
            if public is None:
                raise UnauthenticatedError("the token is not signed by a key of this platform")
            claims: dict[str, Any] = jwt.decode(
                token,
                public,
                algorithms=["EdDSA"],
                audience=AUDIENCE,
                issuer=ISSUER,
                # Expiry is checked below, by our own clock.
                options={"require": ["exp", "iat", "sub"], "verify_exp": False, "verify_iat": False},
            )
            found = TokenClaims(
                key_id=str(claims["sub"]),
                tenant_id=str(claims["tenant"]),
                scopes=frozenset(str(claims["scope"]).split()),
                expires_at=datetime.fromtimestamp(int(claims["exp"]), tz=self._clock().tzinfo),
            )
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, OverflowError) as error:
            raise UnauthenticatedError("the token is not valid") from error
        if found.expires_at <= self._clock():
            raise UnauthenticatedError("the token has expired")
        return found

    def jwks(self) -> dict[str, Any]:
        """The public keys as a JSON Web Key Set (RFC 7517, RFC 8037 §2)."""
        self._signer()
        with self._lock:
            public = {kid: private.public_key() for kid, private in self._private.items()}
        return {
            "keys": [
                {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": _b64(key)}
                for kid, key in sorted(public.items())
            ]
        }

    def rotate(self) -> str:
        """Make a new signing key in the store, retire the others for signing; returns its kid."""
        if self._secret_files():
            raise ConfigurationError(f"signing keys come from files in {self._secrets_dir}; add a file to rotate")
        made = _new_signing_key(new_id("slot"), self._clock())
        self._store.insert_signing_key(made)
        self._store.retire_signing_keys(but=made.kid, at=self._clock())
        self._load()
        return made.kid

    def _signer(self) -> tuple[str, Ed25519PrivateKey]:
        with self._lock:
            kid = self._signing_kid
            if kid is not None and monotonic() - self._loaded < self.ttl_s / 3:
                return kid, self._private[kid]
        self._load()
        with self._lock:
            kid = self._signing_kid
            if kid is None:
                raise ConfigurationError("no signing key")
            return kid, self._private[kid]

    def _public_key(self, kid: str) -> Ed25519PublicKey | None:
        with self._lock:
            private = self._private.get(kid)
            is_fresh = monotonic() - self._loaded < _RELOAD_EVERY_S
        if private is None and not is_fresh:
            self._load()
            with self._lock:
                private = self._private.get(kid)
        return private.public_key() if private is not None else None

    def _load(self) -> None:
        found = self._from_files() or self._from_store()
        now = self._clock()
        # Another replica may sign with a retired key until it looks again, and what it signs then lives as long.
        kept = [k for k in found if k.retired_at is None or (now - k.retired_at).total_seconds() < 2 * self.ttl_s]
        signers = [k for k in kept if k.retired_at is None]
        private = {k.kid: _read_private(k.private_pem, k.slot) for k in kept}
        with self._lock:
            self._private = private
            self._signing_kid = signers[-1].kid if signers else None
            self._loaded = monotonic()

    def _secret_files(self) -> list[Path]:
        if self._secrets_dir is None or not self._secrets_dir.is_dir():
            return []
        return sorted(path for path in self._secrets_dir.glob("jwt-signing-key*") if path.is_file())

    def _from_files(self) -> list[SigningKey]:
        keys = []
        for path in self._secret_files():
            pem = path.read_bytes()
            kid = _kid_of(_read_private(pem, str(path)).public_key())
            keys.append(SigningKey(kid, path.name, pem, self._clock()))
        return keys

    def _from_store(self) -> list[SigningKey]:
        found = self._store.signing_keys()
        if any(key.retired_at is None for key in found):
            return found
        # Whoever loses this race reads the winner's key.
        self._store.insert_signing_key(_new_signing_key(_FIRST_SLOT, self._clock()))
        return self._store.signing_keys()


def _new_signing_key(slot: str, now: datetime) -> SigningKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SigningKey(_kid_of(private.public_key()), slot, pem, now)


def _read_private(pem: bytes, where: str) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{where}: not a private key in PEM without a password ({error})") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigurationError(f"{where}: expected an Ed25519 key")
    return private


def _raw(key: Ed25519PublicKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _b64(key: Ed25519PublicKey) -> str:
    return base64.urlsafe_b64encode(_raw(key)).decode().rstrip("=")


def _kid_of(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(_raw(key)).hexdigest()[:16]

"""Who a joined node is: its key pair, and the platform that knows the public half."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jangada.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_STATEMENT = b"jangada node session\n"
"""Begins all that a node's key signs, so that a signature means nothing anywhere else."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """
    What `jangada node join` leaves behind. *private_key* is Ed25519 (RFC 8032), its 32 bytes in base64.

    *ca_file* has the certificates that the platform's is checked against, None: those
    of the system. *is_insecure*: plain HTTP to another machine was asked for.
    """

    url: str
    node_id: str
    private_key: str
    ca_file: str | None = None
    is_insecure: bool = False
    name: str = ""
    """How people call the machine."""

    def sign(self, challenge: str) -> str:
        """The signature that proves to the platform that we have the key."""
        return base64.b64encode(self._key().sign(_STATEMENT + challenge.encode())).decode()

    @property
    def public_key(self) -> str:
        """The public half, its 32 bytes in base64."""
        return base64.b64encode(self._key().public_key().public_bytes_raw()).decode()

    def save(self, file: Path) -> None:
        """Write it to *file*, for its owner alone. Raises `ConfigurationError`."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        beside = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            beside.replace(file)
        except OSError as error:
            raise ConfigurationError(f"cannot write {file}: {error.strerror}") from error

    @classmethod
    def load(cls, file: Path) -> NodeIdentity:
        """Read what `save` wrote. Raises `ConfigurationError`, which never quotes the file: it holds a secret."""
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except OSError as error:
            raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error
        except (ValueError, TypeError):
            raise ConfigurationError(f"{file}: expected what `jangada node join` writes") from None

    def _key(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        try:
            return Ed25519PrivateKey.from_private_bytes(base64.b64decode(self.private_key, validate=True))
        except ValueError:
            raise ConfigurationError("private_key: expected the 32 bytes of an Ed25519 key in base64") from None


def new_private_key() -> str:
    """A new Ed25519 key, as `NodeIdentity.private_key` has it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()


def proves(public_key: str, challenge: str, signature: str) -> bool:
    """Whether *signature* is `NodeIdentity.sign` of *challenge* by the owner of *public_key*."""
    from cryptography.exceptions import InvalidSignature

    try:
        read_public_key(public_key).verify(base64.b64decode(signature, validate=True), _STATEMENT + challenge.encode())
    except (ValueError, InvalidSignature):
        return False
    return True


def read_public_key(text: str) -> Ed25519PublicKey:
    """*text* (base64) as a key. Raises `ValueError`."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))


def require_safe(url: str, *, is_insecure: bool) -> str:
    """
    *url* without a slash at its end, if a node may talk to it.

    Raises `ConfigurationError` unless it is https, or http to this very machine: what
    passes there are jobs' inputs and outputs.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(f"{url}: expected the address of a platform, as https://jangada.example.org")
    if parts.scheme == "http" and not is_insecure and not _is_loopback(parts.hostname):
        raise ConfigurationError(f"{url}: expected https; --insecure lets jobs travel unencrypted")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

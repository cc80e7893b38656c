"""Bytes by reference: what is known of a file besides its bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

FILE_ID = re.compile(r"file_[0-9A-HJKMNP-TV-Z]{26}\Z")

PURPOSES = ("input", "output", "batch", "model", "dataset")


@dataclass(frozen=True, slots=True)
class Artifact:
    """
    One file of one tenant. Never changes, except that `expires_at` may move on.

    *sha256* is in hex and names the bytes; *media_type* and *filename* are what the
    uploader said, not to be trusted.
    """

    id: str
    tenant_id: str
    sha256: str
    size_bytes: int
    media_type: str
    filename: str
    purpose: str
    created_at: datetime
    expires_at: datetime

    def has_expired_at(self, now: datetime) -> bool:
        """Whether it is to be taken for gone at *now*, collected or not."""
        return now >= self.expires_at

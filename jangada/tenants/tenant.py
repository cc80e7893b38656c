"""Who owns jobs, keys, quota and data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

DEFAULT_TENANT = "default"

TENANT_ID = re.compile(r"[a-z][a-z0-9-]{0,61}[a-z0-9]\Z|[a-z]\Z")
"""A DNS label that begins with a letter: it becomes part of names elsewhere."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """
    One owner. *weight* is its share in the fair order of a queue (1 is normal).

    The limits are None where the platform's own setting holds: unfinished jobs in
    one queue, bytes of those jobs, bytes of all files kept.
    """

    id: str
    name: str
    created_at: datetime
    weight: float = 1.0
    max_jobs: int | None = None
    max_bytes: int | None = None
    max_file_bytes: int | None = None

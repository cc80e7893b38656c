"""New identifiers: prefixed, opaque to clients, sortable by the time of their making (ULID)."""

from __future__ import annotations

import os
import threading
import time
from datetime import datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)

_lock = threading.Lock()
_last_ms = 0
_last_random = 0


def new_id(prefix: str) -> str:
    """
    Return ``<prefix>_<26 characters>``, e.g. ``job_01JD…``.

    Ids made by one process sort in the order of the calls, also within one
    millisecond; between processes they sort by the millisecond.
    """
    return f"{prefix}_{_ulid()}"


def id_at(prefix: str, instant: datetime) -> str:
    """An id that sorts before those made at *instant* or later and after those made earlier; not one to give away."""
    return f"{prefix}_{_digits(round(instant.timestamp() * 1000) << 80)}"


def _ulid() -> str:
    global _last_ms, _last_random
    with _lock:
        now_ms = time.time_ns() // 1_000_000
        if now_ms > _last_ms:
            _last_ms = now_ms
            # The top bit stays free so that counting up cannot overflow 80 bits.
            _last_random = int.from_bytes(os.urandom(10), "big") >> 1
        else:
            _last_random += 1
        value = (_last_ms << 80) | _last_random
    return _digits(value)


def _digits(value: int) -> str:
    # 130 bits in 13 pairs of 5-bit digits; the two top bits are zero.
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])

"""New identifiers: prefixed, opaque to clients, sortable by the time of their making (ULID)."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from datetime import datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME_DIGITS = 10
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)


class _Ulids:
    """A counter of ULIDs: 48 bits of milliseconds, 80 random bits that count up within one millisecond."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ms = 0
        self._random = 0

    def next(self) -> str:
        with self._lock:
            now_ms = time.time_ns() // 1_000_000
            if now_ms > self._ms:
                self._ms = now_ms
                # The top bit stays free so that counting up cannot overflow 80 bits.
                self._random = int.from_bytes(os.urandom(10), "big") >> 1
            else:
                self._random += 1
            value = (self._ms << 80) | self._random
        return _digits(value)


_ulids = _Ulids()


def new_id(prefix: str) -> str:
    """
    Return ``<prefix>_<26 characters>``, e.g. ``job_01JD…``.

    Ids made by one process sort in the order of the calls, also within one
    millisecond; between processes they sort by the millisecond.
    """
    return f"{prefix}_{_ulids.next()}"


def id_at(prefix: str, instant: datetime) -> str:
    """An id that sorts before those made at *instant* or later and after those made earlier; not one to give away."""
    return f"{prefix}_{_digits(round(instant.timestamp() * 1000) << 80)}"


def id_within(prefix: str, whole: str, index: int) -> str:
    """
    The id of part *index* (from 0, below 2**24) of what has the id *whole*: the same each time.

    Parts of one whole sort by their index and, among other ids, by the whole's time.
    """
    made_at = whole.rpartition("_")[2][:_TIME_DIGITS]
    chance = int.from_bytes(hashlib.sha256(whole.encode()).digest()[:7], "big") >> 1
    return f"{prefix}_{made_at}{_digits(chance << 24 | index)[_TIME_DIGITS:]}"


def _digits(value: int) -> str:
    # 130 bits in 13 pairs of 5-bit digits; the two top bits are zero.
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])

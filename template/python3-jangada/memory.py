"""What this process does with memory that it needs no more."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3  # malloc.h
_LARGE_BYTES = 256 * 1024


def give_back_large() -> bool:
    """
    Let every block of 256 KiB and more go back to the system when it is freed; False where that cannot be set.

    By default glibc raises this bound to the largest block that it has seen, 32 MiB at most. A body
    of some megabytes then leaves its room behind in each thread's arena: a router that had read a
    hundred of them stayed at 510 MB instead of 100.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library than glibc
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES))

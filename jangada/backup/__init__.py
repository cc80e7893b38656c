"""
A copy of everything that must last, as one stream, and the way back.

`dump` writes the store and the bytes of its files; `verify` reads a stream to
its end and counts; `load` puts it into an empty store. What is live in Redis is not in it: the
sweep rebuilds the queue from the store (docs/decisions/0011).
"""

from __future__ import annotations

from jangada.backup.archive import ArchiveError, Manifest
from jangada.backup.dump import dump
from jangada.backup.restore import load, refuse_used, verify

__all__ = ["ArchiveError", "Manifest", "dump", "load", "refuse_used", "verify"]

"""A queued job as Redis keeps it: one packed string; `lua/lib.lua` says what is where in it."""

from __future__ import annotations

from struct import Struct

from jangada.jobs.queue import QueueEntry

_HEAD = Struct(">II")
_TAIL = Struct(">fH")
_NEVER = bytes(6)


def packed(entry: QueueEntry) -> bytes:
    """The record from its epoch on; what comes before (band, instants) the script adds by Redis' clock."""
    tenant = entry.tenant_id.encode()
    return b"".join(
        (
            _HEAD.pack(entry.epoch, entry.max_attempts),
            _instant(entry.expires_ms),
            _instant(entry.deadline_ms),
            _TAIL.pack(entry.weight, len(tenant)),
            tenant,
            entry.body,
        )
    )


def _instant(ms: int | None) -> bytes:
    """0 stands for never, so an instant is at least 1."""
    return _NEVER if ms is None else max(1, ms).to_bytes(6, "big")

"""The names of a queue's keys in Redis; `lua/lib.lua` says what each holds."""

from __future__ import annotations

PREFIX = "jangada"

_NAMES = (
    "numbers",
    "jobs",
    "turns:high",
    "turns:normal",
    "turns:low",
    "heads",
    "delayed",
    "lease",
    "expiry",
    "settle",
    "tenants",
    "bell",
    "dead",
    "line:",
    "live:",
    "ev:",
    "handed:",
)


class QueueKeys:
    """All keys of one queue, in one slot. `all` is what every script declares, in the order of the glossary."""

    __slots__ = ("all", "bell", "dead", "tag")

    def __init__(self, queue: str, prefix: str = PREFIX) -> None:
        self.tag = f"{prefix}:{{{queue}}}:"
        self.all: tuple[bytes, ...] = tuple((self.tag + name).encode() for name in _NAMES)
        self.bell = self.all[11]
        self.dead = self.all[12]

    def events(self, job_id: str) -> bytes:
        """The job's stream of events."""
        return self.all[15] + job_id.encode()


def lock_key(name: str, prefix: str = PREFIX) -> bytes:
    """The key of `JobQueue.lock`; a slot of its own."""
    return f"{prefix}:lock:{name}".encode()

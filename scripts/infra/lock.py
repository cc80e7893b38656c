"""Who holds the lock of a state, as Terraform tells it when it cannot have it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FRAME = re.compile(r"^[\s│╷╵]*")


@dataclass(frozen=True)
class Lock:
    """One that is held."""

    id: str
    who: str
    operation: str
    created: str

    def __str__(self) -> str:
        operation = self.operation.removeprefix("OperationType").lower()
        return f"{self.who} has held it for {operation or 'something'} since {self.created}"


def read_lock(said: str) -> Lock | None:
    """The lock in what Terraform *said*; None when it says nothing of one."""
    fields: dict[str, str] = {}
    for line in said.splitlines():
        name, _, value = _FRAME.sub("", line).partition(":")
        # Whole first words: a `RequestID:` comes before.
        if name in {"ID", "Who", "Operation", "Created"}:
            fields.setdefault(name, value.strip())
    if "ID" not in fields:
        return None
    return Lock(
        fields["ID"], fields.get("Who", "somebody"), fields.get("Operation", ""), fields.get("Created", "unknown")
    )

"""What an executor of a joined node says it used."""

from __future__ import annotations

from collections.abc import Sequence

from jangada.deployments.ledger import Entry
from jangada.remote.link import NodeLink
from jangada.remote.wire import entry_values


class RemoteLedger:
    """As much of a `UsageLedger` as executors use."""

    def __init__(self, link: NodeLink, queue_name: str, executor_id: str) -> None:
        self._link = link
        self._us = {"queue": queue_name, "executor_id": executor_id}

    def append(self, entries: Sequence[Entry]) -> None:
        """See `UsageLedger.append`."""
        self._link.post("/work/usage", self._us | {"entries": [entry_values(entry) for entry in entries]})

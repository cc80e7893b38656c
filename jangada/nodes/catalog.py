"""Algorithms as nodes tell of them. What one is said to be decides what the platform takes as its input."""

from __future__ import annotations

from dataclasses import replace

from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.algorithms.store import AlgorithmStore
from jangada.clock import Clock, utc_now
from jangada.logs import get_logger
from jangada.nodes.node import JoinedNode

_log = get_logger()


class NodeCatalog:
    """Everything here raises `StoreUnavailableError` when the store is away."""

    def __init__(self, algorithms: AlgorithmStore, *, clock: Clock = utc_now) -> None:
        self._algorithms = algorithms
        self._clock = clock

    def get(self, name: str) -> AlgorithmRecord | None:
        """The record of that name, or None."""
        return self._algorithms.get(name)

    def put(self, node: JoinedNode, record: AlgorithmRecord, *, as_newest: bool) -> bool:
        """
        Keep what a trusted node tells; whether it was kept.

        An untrusted one could make the platform refuse everybody's inputs: what it tells is left aside.
        """
        if not node.is_trusted or node.suspended_for is not None:
            known = self._algorithms.get_version(record.name, record.version)
            if known is None:
                _log.warning("node.algorithm_not_kept", node_id=node.id, algorithm=record.name, version=record.version)
            return False
        self._algorithms.put(replace(record, updated_at=self._clock()), as_newest=as_newest)
        return True

"""Where algorithm records are kept: one protocol, `store_mongo.py` and `store_memory.py` implement it."""

from __future__ import annotations

from typing import Protocol

from jangada.algorithms.algorithm import AlgorithmRecord


class AlgorithmStore(Protocol):
    """Records by name; raises `StoreUnavailableError` when the server is away."""

    def put(self, record: AlgorithmRecord) -> None:
        """Keep *record* in place of the one of that name, if any; the last writer wins."""
        ...

    def get(self, name: str) -> AlgorithmRecord | None:
        """The record of that name, or None."""
        ...

    def page(self) -> list[AlgorithmRecord]:
        """Every record, by name."""
        ...

    def delete(self, name: str) -> bool:
        """Forget one; False when there was none."""
        ...

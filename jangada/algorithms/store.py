"""Where algorithm records are kept: one protocol, `store_mongo.py` and `store_memory.py` implement it."""

from __future__ import annotations

from typing import Protocol

from jangada.algorithms.algorithm import AlgorithmRecord


class AlgorithmStore(Protocol):
    """Records by name; raises `StoreUnavailableError` when the server is away."""

    def put(self, record: AlgorithmRecord, *, as_newest: bool = True) -> None:
        """
        Keep *record* in place of the one of that name, if any, and of that version; the last writer wins.

        Not *as_newest*: the one of that name stays if there is any. An executor of one
        deployment says so, which may run an older version, or one that is tried out.
        """
        ...

    def get(self, name: str) -> AlgorithmRecord | None:
        """The record of that name, or None."""
        ...

    def get_version(self, name: str, version: str) -> AlgorithmRecord | None:
        """The record of that version, or None when no executor has described it."""
        ...

    def page(self) -> list[AlgorithmRecord]:
        """Every record, by name."""
        ...

    def delete(self, name: str) -> bool:
        """Forget one; False when there was none."""
        ...

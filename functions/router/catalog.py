"""Algorithm records, kept for two seconds: every submit asks for one, and they change with a deploy only."""

from __future__ import annotations

import time

from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.algorithms.store import AlgorithmStore
from jangada.errors import UnknownAlgorithmError

KEPT_S = 2.0


class Catalog:
    """A short memory in front of an `AlgorithmStore`. Unknown names are never remembered."""

    def __init__(self, store: AlgorithmStore) -> None:
        self._store = store
        self._known: dict[str, tuple[float, AlgorithmRecord]] = {}
        self._versions: dict[tuple[str, str], tuple[float, AlgorithmRecord | None]] = {}

    def get_version(self, newest: AlgorithmRecord, version: str | None) -> AlgorithmRecord:
        """The record of that version; *newest* while no executor has described it, or for None."""
        if version is None or version == newest.version:
            return newest
        now = time.monotonic()
        at, found = self._versions.get((newest.name, version), (-KEPT_S, None))
        if now - at >= KEPT_S:
            found = self._store.get_version(newest.name, version)
            self._versions[newest.name, version] = (now, found)
        return found or newest

    def get(self, name: str) -> AlgorithmRecord:
        """The record; raises `UnknownAlgorithmError`."""
        now = time.monotonic()
        known = self._known.get(name)
        if known is not None and now - known[0] < KEPT_S:
            return known[1]
        record = self._store.get(name)
        if record is None:
            self._known.pop(name, None)
            raise UnknownAlgorithmError(f"no algorithm is called {name!r}")
        self._known[name] = (now, record)
        return record

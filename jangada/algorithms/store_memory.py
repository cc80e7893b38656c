"""Algorithm records in this process' memory: for tests, and for users' tests."""

from __future__ import annotations

import threading

from jangada.algorithms.algorithm import AlgorithmRecord


class MemoryAlgorithmStore:
    """An `AlgorithmStore` that forgets everything with its process."""

    def __init__(self) -> None:
        self._records: dict[str, AlgorithmRecord] = {}
        self._lock = threading.Lock()

    def put(self, record: AlgorithmRecord) -> None:
        """See `AlgorithmStore.put`."""
        with self._lock:
            self._records[record.name] = record

    def get(self, name: str) -> AlgorithmRecord | None:
        """See `AlgorithmStore.get`."""
        with self._lock:
            return self._records.get(name)

    def page(self) -> list[AlgorithmRecord]:
        """See `AlgorithmStore.page`."""
        with self._lock:
            return [self._records[name] for name in sorted(self._records)]

    def delete(self, name: str) -> bool:
        """See `AlgorithmStore.delete`."""
        with self._lock:
            return self._records.pop(name, None) is not None

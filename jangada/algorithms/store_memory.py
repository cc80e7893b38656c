"""Algorithm records in this process' memory: for tests, and for users' tests."""

from __future__ import annotations

import threading

from jangada.algorithms.algorithm import AlgorithmRecord


class MemoryAlgorithmStore:
    """An `AlgorithmStore` that forgets everything with its process."""

    def __init__(self) -> None:
        self._records: dict[str, AlgorithmRecord] = {}
        self._versions: dict[tuple[str, str], AlgorithmRecord] = {}
        self._lock = threading.Lock()

    def put(self, record: AlgorithmRecord, *, as_newest: bool = True) -> None:
        """See `AlgorithmStore.put`."""
        with self._lock:
            self._versions[record.name, record.version] = record
            if as_newest:
                self._records[record.name] = record
            self._records.setdefault(record.name, record)

    def get_version(self, name: str, version: str) -> AlgorithmRecord | None:
        """See `AlgorithmStore.get_version`."""
        with self._lock:
            return self._versions.get((name, version))

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
            for key in [key for key in self._versions if key[0] == name]:
                del self._versions[key]
            return self._records.pop(name, None) is not None

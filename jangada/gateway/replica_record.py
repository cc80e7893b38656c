"""What is written down about every replica that is a process, so that the next gateway finds and knows it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jangada.gateway.deployment import Key


@dataclass(frozen=True, slots=True)
class ReplicaRecord:
    """
    One process. *started* is as `running_process.kernel_start` tells it, *started_at* in seconds since 1970.

    *fingerprint* says what it runs, *generation* which deployment of that it is:
    a redeployment, or a changed secret, is another one.
    """

    name: str
    namespace: str
    instance: str
    index: int
    generation: int
    fingerprint: str
    pid: int
    started: str
    started_at: float
    port: int
    restarts: int

    @property
    def key(self) -> Key:
        """The function's."""
        return self.name, self.namespace


class ReplicaFolder:
    """The records and the output pipes in *path*, one of each per replica."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        """Make the folder, readable by its owner alone."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def pipe(self, key: Key, instance: str) -> Path:
        """Where that replica's output goes."""
        return self.path / f"{_stem(key, instance)}.pipe"

    def write(self, record: ReplicaRecord) -> None:
        """Replace what is known of that replica."""
        path = self._file(record.key, record.instance)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(asdict(record)), encoding="utf-8")
        temporary.replace(path)

    def forget(self, key: Key, instance: str) -> None:
        """The replica is gone for good."""
        # Somebody may have taken the whole folder away.
        with contextlib.suppress(OSError):
            self._file(key, instance).unlink(missing_ok=True)
            self.pipe(key, instance).unlink(missing_ok=True)

    def read(self) -> Sequence[ReplicaRecord]:
        """All records; one that cannot be read is thrown away."""
        found = []
        for path in sorted(self.path.glob("*.json")):
            try:
                found.append(ReplicaRecord(**json.loads(path.read_text(encoding="utf-8"))))
            except (OSError, ValueError, TypeError):
                path.unlink(missing_ok=True)
        return found

    def clear(self) -> None:
        """Throw away what no record names: half-written files and pipes."""
        kept = {self.pipe(record.key, record.instance).name for record in self.read()}
        for path in (*self.path.glob("*.pipe"), *self.path.glob("*.tmp")):
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def _file(self, key: Key, instance: str) -> Path:
        return self.path / f"{_stem(key, instance)}.json"


def _stem(key: Key, instance: str) -> str:
    return f"{key[1]}.{instance}"

"""Which node this is: the same after a restart, and one agent at a time."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from jangada.errors import ConfigurationError
from jangada.ids import new_id


@contextlib.contextmanager
def held_identity(home: Path) -> Iterator[str]:
    """
    The id of the node whose data lie in *home*, made the first time; nobody else has it while inside.

    Raises `ConfigurationError` when another agent runs there, or the folder cannot be written.
    """
    folder = home / "node"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "agent.lock").open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write to {folder}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"another node agent runs in {home}") from None
        file = folder / "id"
        if not file.is_file():
            file.write_text(new_id("node") + "\n", encoding="utf-8")
        yield file.read_text(encoding="utf-8").strip()

"""Keeps the parts' logs from growing without end."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

MOST_BYTES = 10 * 1024 * 1024
KEPT = 3


def rotate(folder: Path, most_bytes: int = MOST_BYTES, kept: int = KEPT) -> list[Path]:
    """
    Copy every log over *most_bytes* to ``<log>.1`` (older ones move up, *kept* stay) and empty it.

    Copied, not moved: the processes keep writing to the file they hold open, in
    append mode. What is written between copy and emptying is lost; logs only.
    """
    rotated = []
    for path in folder.glob("*.log"):
        with contextlib.suppress(OSError):
            if path.stat().st_size <= most_bytes:
                continue
            for number in range(kept - 1, 0, -1):
                older = path.with_name(f"{path.name}.{number}")
                if older.exists():
                    older.replace(path.with_name(f"{path.name}.{number + 1}"))
            shutil.copyfile(path, path.with_name(f"{path.name}.1"))
            with path.open("r+b") as file:
                file.truncate(0)
            rotated.append(path)
    return rotated

"""A wall clock that jumps, for one process and its children: a preloaded library made with the machine's C compiler."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")


def find_compiler() -> str | None:
    """What makes the library; None where it cannot be had."""
    return shutil.which("cc") if sys.platform == "linux" else None


class Clock:
    """Its processes see the machine's time plus `set`'s seconds."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        folder.mkdir()
        self._library = folder / "clock.so"
        compiler = find_compiler()
        assert compiler is not None
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", str(self._library), str(SOURCE)], check=True, timeout=60
        )
        self._offset = folder / "offset"
        self.set(0)

    @property
    def environ(self) -> dict[str, str]:
        """What its processes are started with."""
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._offset)}

    def set(self, offset_s: int) -> None:
        """Jump: from now on the clock is off by so much."""
        # Written in place: the processes have mapped this very file.
        with self._offset.open("r+b" if self._offset.exists() else "wb") as file:
            file.write(offset_s.to_bytes(8, sys.byteorder, signed=True))

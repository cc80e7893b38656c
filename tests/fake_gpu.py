"""A program that answers as ``nvidia-smi`` does, for machines without a GPU."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """#!/bin/sh
used() {{
    total=0
    for holder in {holders}/*-"$1"; do
        [ -e "$holder" ] || continue
        pid=${{holder##*/}}; pid=${{pid%%-*}}
        # Only processes that live hold memory.
        [ -d "/proc/$pid" ] && ! grep -q "^State:.Z" "/proc/$pid/status" 2>/dev/null && total=$((total + 1000))
    done
    echo $total
}}
case "$1" in
    --query-gpu=uuid,name,memory.total) {totals} ;;
    --query-gpu=uuid,memory.used) {uses} ;;
    *) echo "unknown: $1" >&2; exit 9 ;;
esac
"""


@dataclass(frozen=True)
class FakeGpus:
    """GPUs by UUID, and the folder where processes that hold one leave a file."""

    folder: Path
    gpus: tuple[str, ...] = ("GPU-aaaa",)
    type: str = "NVIDIA H200"
    memory_mib: int = 143_771

    @property
    def program(self) -> Path:
        return self.folder / "tools" / "nvidia-smi"

    @property
    def holders(self) -> Path:
        return self.folder / "holders"

    def install(self) -> FakeGpus:
        """Write the program."""
        for folder in (self.program.parent, self.holders):
            folder.mkdir(parents=True, exist_ok=True)
        totals = "; ".join(f'echo "{uuid}, {self.type}, {self.memory_mib}"' for uuid in self.gpus) or ":"
        uses = "; ".join(f'echo "{uuid}, $(used {uuid})"' for uuid in self.gpus) or ":"
        self.program.write_text(_PROGRAM.format(holders=self.holders, totals=totals, uses=uses))
        self.program.chmod(0o755)
        return self

    def environ(self) -> dict[str, str]:
        """Settings with which a process finds them."""
        return {"PATH": f"{self.program.parent}:{os.environ['PATH']}", "FAKE_GPU_HOLDERS": str(self.holders)}

"""Each file of tests/bats in its own bats process; what it says is shown when one of its tests fails."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.requires import requires, requires_program

FOLDER = Path(__file__).parents[2] / "bats"
LIBRARIES = "/usr/lib/bats"


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.bats")), ids=lambda file: file.stem)
def test_bats(file):
    bats = requires_program("bats")
    libraries = os.environ.get("BATS_LIB_PATH", LIBRARIES)
    requires(Path(libraries, "bats-assert").is_dir(), f"no bats-assert in {libraries}", "bats-assert")
    done = subprocess.run(
        [bats, "--tap", file],
        env={**os.environ, "BATS_LIB_PATH": libraries},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1490,
        check=False,
    )
    lines = done.stdout.splitlines()
    failed = "\n".join(line for line in lines if not line.startswith("ok "))
    assert done.returncode == 0, failed
    plan = next(line for line in lines if line.startswith("1.."))
    assert sum(line.startswith("ok ") for line in lines) == int(plan.removeprefix("1..")), failed

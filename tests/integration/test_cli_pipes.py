"""The command line in a shell's pipes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("lines", [1, 50_000], ids=["little that is flushed at the end", "much that fills the pipe"])
def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path, lines):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "gateway.log").write_text("a line of the log\n" * lines)
    reading, writing = os.pipe()
    os.close(reading)  # nobody will ever read
    with os.fdopen(writing, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "jangada.cli.main", "logs", "gateway", "-n", str(lines)],
            stdout=nobody,
            stderr=subprocess.PIPE,
            env=os.environ | {"JANGADA_HOME": str(tmp_path)},
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")

"""A function's process after large bodies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TEMPLATE = Path(__file__).parents[3] / "template" / "python3-jangada"
PROGRAM = """
import ctypes, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import orjson
sys.path.insert(0, sys.argv[1])
from memory import give_back_large
if sys.argv[2] == "set" and not give_back_large():
    sys.exit(77)

def rss():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

body = b"[" + b"1," * 1_000_000 + b"1]"
before = rss()
with ThreadPoolExecutor(16) as pool:
    list(pool.map(lambda _: len(orjson.loads(body)), range(64)))
    print((rss() - before) // 2**20)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc")
def test_large_bodies_leave_no_room_behind():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(TEMPLATE), "set"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("another C library than glibc")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 24

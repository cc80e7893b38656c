"""
A named pipe that says "somebody looks after you": functions end when nobody holds it any more.

The gateway holds it, and so does the supervisor of an embedded platform. A function
outlives a gateway that is killed, but not both of them, nor a gateway that never
comes back: the template watches the other end.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

PATH_VARIABLE = "lifeline_path"
GRACE_VARIABLE = "lifeline_grace_s"
GRACE_S = 60.0
"""How long functions wait for another gateway when nothing but a gateway holds the line."""

SUPERVISED_GRACE_S = 1.0
"""The same where a supervisor holds it too: it is there until the very end."""


def hold(path: Path) -> int:
    """Hold the line at *path*, made where it is missing, until the descriptor is closed or this process ends."""
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        if not stat.S_ISFIFO(path.stat().st_mode):
            path.unlink()
            os.mkfifo(path, 0o600)
    # Reading too: a pipe that is opened for writing alone waits for a reader.
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)

"""
Ends this process when nobody looks after it any more.

Outside of a container a function outlives the gateway that started it, so that the
next one finds it. ``lifeline_path`` names a pipe that whoever is responsible holds
open; when nobody has held it for ``lifeline_grace_s``, nobody will come.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Mapping

_LOOK_EVERY_S = 0.2


def watch(environ: Mapping[str, str], end: Callable[[], None]) -> None:
    """Call *end* once, from a thread, when the line that *environ* names is let go; nothing when it names none."""
    path = environ.get("lifeline_path", "")
    if not path:
        return
    try:
        line = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        grace_s = float(environ.get("lifeline_grace_s") or 60)
    except (OSError, ValueError):
        return
    threading.Thread(target=_watch, args=(line, grace_s, end), name="lifeline", daemon=True).start()


def _watch(line: int, grace_s: float, end: Callable[[], None]) -> None:
    poll = select.poll()
    poll.register(line, select.POLLIN)
    let_go_at: float | None = None
    while True:
        if _is_held(line):
            let_go_at = None
            # Nobody writes: it wakes when the last holder lets go.
            poll.poll()
            continue
        let_go_at = let_go_at or time.monotonic()
        if time.monotonic() - let_go_at >= grace_s:
            end()
            return
        time.sleep(_LOOK_EVERY_S)


def _is_held(line: int) -> bool:
    try:
        return os.read(line, 1) != b""
    except BlockingIOError:
        return True

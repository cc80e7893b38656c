"""The bell of a queue, by long poll."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from jangada.remote.link import NodeLink
from jangada.remote.wire import LONGEST_WAIT_S


def hear(link: NodeLink, queue: str, timeout_s: float, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Whether the bell of *queue* rang within *timeout_s*. Raises `StoreUnavailableError`."""
    wait_s = min(timeout_s, LONGEST_WAIT_S)
    began = time.monotonic()
    answer = link.post("/bell", {"queue": queue, "wait_s": wait_s}, wait_s=wait_s)
    if answer["is_busy"]:
        # It holds as many calls as it can. We look by ourselves, a little later and not all at once.
        pause = random.uniform(0.5, 1.0) * float(answer["again_s"])
        sleep(max(0.0, min(wait_s, pause) - (time.monotonic() - began)))
    return bool(answer["heard"])

"""Kills parts of a live platform with -9, at moments that a seed decides."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence

import psutil

from tests.live_platform import LivePlatform

CHILD = "child"
"""The process that runs the algorithm's code, below an executor."""


class Killer(threading.Thread):
    """Until told to stop, kills one of *victims* every *pause_s* (between its two ends); counts what it hit."""

    def __init__(
        self, platform: LivePlatform, victims: Sequence[str], *, seed: int, pause_s: tuple[float, float]
    ) -> None:
        super().__init__(daemon=True)
        self._platform = platform
        self._victims = list(victims)
        self._random = random.Random(seed)
        self._pause_s = pause_s
        self._stopping = threading.Event()
        self.killed: Counter[str] = Counter()
        self.story: list[str] = []

    def run(self) -> None:
        began = time.monotonic()
        while not self._stopping.wait(self._random.uniform(*self._pause_s)):
            victim = self._random.choice(self._victims)
            hit = self._kill_child() if victim == CHILD else self._platform.kill(victim)
            self.killed[victim] += hit
            self.story.append(f"{time.monotonic() - began:6.2f} s {victim}{'' if hit else ' (was not running)'}")

    def stop(self) -> None:
        self._stopping.set()
        self.join(10)

    def _kill_child(self) -> bool:
        for part, row in self._platform.rows().items():
            if not part.startswith("executor:") or row["pid"] is None:
                continue
            with contextlib.suppress(psutil.Error):
                children = psutil.Process(row["pid"]).children(recursive=True)
                if children:
                    self._random.choice(children).kill()
                    return True
        return False

"""Carries out a plan: hurts, and heals what was to last only so long."""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter
from collections.abc import Sequence

from tests.chaos.plan import Fault
from tests.chaos.rig import Rig


class Killer(threading.Thread):
    """Runs *faults* against *rig*; `stop` heals everything and returns."""

    def __init__(self, rig: Rig, faults: Sequence[Fault]) -> None:
        super().__init__(name="killer", daemon=True)
        self._rig = rig
        self._faults = faults
        self._stopping = threading.Event()
        self._began = 0.0
        self._wounds: list[tuple[float, int, Fault, str]] = []
        self.hits: Counter[str] = Counter()
        self.story: list[str] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        self._began = time.monotonic()
        try:
            for number, fault in enumerate(self._faults):
                if not self._heal_until(fault.at_s):
                    break
                hit = self._rig.hurt(fault)
                self._tell(f"{fault}: {hit or 'was not running'}")
                if hit is not None:
                    self.hits[f"{fault.action} {fault.victim}"] += 1
                    if fault.lasts_s:
                        heapq.heappush(self._wounds, (fault.at_s + fault.lasts_s, number, fault, hit))
            self._heal_until(float("inf"))
        except BaseException as error:  # noqa: BLE001 - told to the test, which fails with it
            self.error = error
        finally:
            for _, _, fault, hit in self._wounds:
                self._heal(fault, hit)

    def stop(self) -> None:
        """End; raises what went wrong in the killer itself."""
        self._stopping.set()
        self.join(60)
        if self.error is not None:
            raise self.error

    def _heal_until(self, at_s: float) -> bool:
        """Wait for *at_s*, healing what is due before; False when told to stop."""
        while True:
            due_s = min(at_s, self._wounds[0][0] if self._wounds else float("inf"))
            if due_s == float("inf"):
                return True
            if self._stopping.wait(max(0.0, self._began + due_s - time.monotonic())):
                return False
            if due_s == at_s and not (self._wounds and self._wounds[0][0] <= at_s):
                return True
            _, _, fault, hit = heapq.heappop(self._wounds)
            self._heal(fault, hit)

    def _heal(self, fault: Fault, hit: str) -> None:
        self._rig.heal(fault, hit)
        self._tell(f"end of {fault}: {hit}")

    def _tell(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self._began:7.2f} s  {what}")

"""The lanes that have no replica: their first job is heard, and their delayed jobs become due."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import datetime

from jangada.deployments.deployment import Lane
from jangada.deployments.replica import ReplicaStatus
from jangada.jobs.queue import JobQueue
from jangada.node.bells import Bells, Heard
from jangada.node.packing import Wishes

DELAYED_S = 1.0
"""How often the delayed jobs of lanes without a replica are looked at."""


def idle_lanes(wishes: Wishes, ours: Collection[str], now: datetime) -> list[Lane]:
    """The lanes that are served and that no replica takes jobs of; *ours* have one that was started just now."""
    taken = {one.lane for one in wishes.replicas if one.is_live(now) and one.status is not ReplicaStatus.DRAINING}
    lanes = [lane for one in wishes.deployments if not one.is_paused for lane in one.lanes]
    return [lane for lane in lanes if lane.name not in taken and lane.name not in ours]


class IdleLanes:
    """Watches them for one agent, *node_id*'s."""

    def __init__(self, jobs: JobQueue, node_id: str, on_heard: Heard) -> None:
        self._jobs = jobs
        self._node_id = node_id
        self._bells = Bells(jobs, on_heard)
        self._wake_at = 0.0

    def watch(self, lanes: Sequence[Lane], hopeful: Sequence[Lane]) -> None:
        """
        Listen to the bells of the *hopeful* ones, and see that delayed jobs of all become claimable in time.

        Raises `StoreUnavailableError`.
        """
        self._bells.listen({lane.name: lane.queue for lane in hopeful})
        if time.monotonic() < self._wake_at:
            return
        self._wake_at = time.monotonic() + DELAYED_S
        for lane in lanes:
            # Any executor's exchange does that: where there is none, ours.
            self._jobs.finish_and_claim(lane.queue, self._node_id, want=0, settle=0)

    def stop(self) -> None:
        """Watch no more."""
        self._bells.stop()

"""Which deployments a node may see, and which queues it may claim from."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from jangada.algorithms.store import AlgorithmStore
from jangada.clock import Clock, utc_now
from jangada.deployments.deployment import Deployment, Lane, Prices
from jangada.deployments.service import shared_deployment
from jangada.deployments.store import DeploymentStore
from jangada.nodes.node import JoinedNode

REMEMBERED_S = 5.0
"""So long a node may go on to claim for a place that it lost: its agent hears of that sooner, and stops the replica."""
FRESH_S = 0.2
"""A queue that is not among those remembered is looked for again after this."""


class Lanes:
    """What nodes may do by what is wished. Everything here raises `StoreUnavailableError`."""

    def __init__(self, deployments: DeploymentStore, algorithms: AlgorithmStore, *, clock: Clock = utc_now) -> None:
        self._deployments = deployments
        self._algorithms = algorithms
        self._clock = clock
        self._queues: dict[str, tuple[float, Mapping[str, Lane]]] = {}
        self._lock = threading.Lock()

    def every(self, *, only_wished: bool = False) -> list[Deployment]:
        """The wishes, and unless *only_wished* the shared one of each algorithm that nobody made one for."""
        found = {one.name: one for one in self._deployments.page()}
        if not only_wished:
            found = {one.name: shared_deployment(one) for one in self._algorithms.page()} | found
        return [found[name] for name in sorted(found)]

    def get(self, name: str) -> Deployment | None:
        """The deployment of that name, be it one that nobody asked for."""
        found = self._deployments.get(name)
        if found is None and (record := self._algorithms.get(name)) is not None:
            return shared_deployment(record)
        return found

    def of(self, node: JoinedNode, deployments: Iterable[Deployment]) -> list[Deployment]:
        """Those of *deployments* that *node* may run, as it may see them."""
        if node.suspended_for is not None:
            return []
        if node.is_trusted:
            return list(deployments)
        return [replace(one, tenant_id=None, prices=Prices()) for one in deployments if one.placement.allows_untrusted]

    def held_by(self, node: JoinedNode, queue: str) -> Lane | None:
        """The lane of *queue*, if *node* has a replica of it and so may claim from there; as of a moment ago."""
        now = time.monotonic()
        at, known = self._queues.get(node.id, (float("-inf"), {}))
        if now - at < (REMEMBERED_S if queue in known else FRESH_S):
            return known.get(queue)
        instant = self._clock()
        held = [one for one in self._deployments.replicas() if one.node_id == node.id and one.is_live(instant)]
        names = {one.lane for one in held}
        found = [made for name in {one.deployment for one in held} if (made := self.get(name)) is not None]
        lanes = {lane.queue: lane for one in self.of(node, found) for lane in one.lanes if lane.name in names}
        with self._lock:
            self._queues = {name: each for name, each in self._queues.items() if now - each[0] < REMEMBERED_S}
            self._queues[node.id] = (now, lanes)
        return lanes.get(queue)

    def forget(self, node: JoinedNode) -> None:
        """*node* has a replica more or less."""
        with self._lock:
            self._queues.pop(node.id, None)

"""The thread by which others know that this node and its replicas are alive."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from datetime import timedelta

from jangada.clock import Clock, utc_now
from jangada.deployments.node import HEARTBEAT_S, NODE_LEASE_S, Node
from jangada.deployments.store import DeploymentStore
from jangada.errors import JangadaError
from jangada.logs import get_logger

_AGAIN_S = 0.5

_log = get_logger()


class NodeLease:
    """
    Registers a node and renews its lease and those of its replicas, whatever the agent's loop is doing.

    While the store is away it goes on trying: nobody else can take a place then either.
    """

    def __init__(self, store: DeploymentStore, node: Node, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._node = node
        self._clock = clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Begin, registering the node at once."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no more; returns when a renewal under way has ended. Safe to call twice."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def renew(self) -> None:
        """Once. Raises `StoreUnavailableError`."""
        until = self._clock() + timedelta(seconds=NODE_LEASE_S)
        if not self._store.renew_node(self._node.id, until):
            self._store.put_node(replace(self._node, lease_until=until))
        self._store.renew_replicas(self._node.id, until)
        self._store.free_replicas(self._clock())

    def _run(self) -> None:
        is_away = False
        wait_s = 0.0
        while not self._stopped.wait(wait_s):
            wait_s = HEARTBEAT_S
            try:
                self.renew()
            except JangadaError as error:
                # Not all nodes at once, when the platform comes back.
                wait_s = random.uniform(0.5, 1.0) * _AGAIN_S
                if not is_away:
                    _log.warning("node.not_renewed", node=self._node.name, reason=str(error))
                is_away = True
                continue
            if is_away:
                _log.info("node.renewed", node=self._node.name)
                is_away = False

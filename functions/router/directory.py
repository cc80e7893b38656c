"""Where a job goes: to the deployment that it names, else to its tenant's default, else to the shared one."""

from __future__ import annotations

import time
from dataclasses import dataclass

from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.deployments.canary import lane_for
from jangada.deployments.deployment import Deployment
from jangada.deployments.store import DeploymentStore
from jangada.errors import NotFoundError

KEPT_S = 2.0


@dataclass(frozen=True, slots=True)
class Destination:
    """The queue of one version of a deployment, and what its jobs may take. *version* None: as it is registered."""

    deployment: str
    queue: str
    version: str | None = None
    execution_s: float | None = None


class Directory:
    """
    A short memory in front of a `DeploymentStore`: every submit asks, and wishes change by hand.

    A platform has tens or hundreds of deployments: all of them are remembered.
    """

    def __init__(self, store: DeploymentStore) -> None:
        self._store = store
        self._known: dict[str, Deployment] = {}
        self._defaults: dict[tuple[str | None, str], Deployment] = {}
        self._until = 0.0

    def named(self, name: str, tenant_id: str) -> Deployment | None:
        """The wished deployment of that name that serves the tenant, or None; a new one is found at once."""
        self._refresh()
        found = self._known.get(name) or self._store.get(name)
        return found if found is not None and found.serves(tenant_id) else None

    def destination(self, record: AlgorithmRecord, tenant_id: str, name: str | None, key: str) -> Destination:
        """
        Where a job for *record*'s algorithm goes; while a canary runs, jobs of one *key* go to the same version.

        Raises `NotFoundError` for a *name* that is no deployment of the algorithm, or another tenant's.
        """
        found = self._default(record, tenant_id) if name is None else self.named(name, tenant_id)
        if found is None and name in {None, record.name}:
            return Destination(record.name, record.queue)
        if found is None or found.algorithm != record.name:
            raise NotFoundError(f"algorithm {record.name} has no deployment {name!r}")
        lane = lane_for(found, key)
        return Destination(found.name, lane.queue, lane.algorithm_version, found.timeouts.execution_s)

    def _default(self, record: AlgorithmRecord, tenant_id: str) -> Deployment | None:
        self._refresh()
        return self._defaults.get((tenant_id, record.name)) or self._defaults.get((None, record.name))

    def _refresh(self) -> None:
        now = time.monotonic()
        if now < self._until:
            return
        page = self._store.page()
        self._known = {one.name: one for one in page}
        self._defaults = {
            (one.tenant_id, one.algorithm): one
            for one in page
            if one.is_default or (one.tenant_id is None and one.name == one.algorithm)
        }
        self._until = now + KEPT_S

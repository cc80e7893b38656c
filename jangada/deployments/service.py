"""Deployments as administrators and tenants handle them: who may wish for what, and what a change sets off."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.algorithms.store import AlgorithmStore
from jangada.clock import Clock, to_ms, utc_now
from jangada.deployments import rules
from jangada.deployments.deployment import Canary, Deployment, GpuNeed, Prices, Resources
from jangada.deployments.plan import plan_of, require_within
from jangada.deployments.queues import own_queue
from jangada.deployments.scaling import ScalingPolicy
from jangada.deployments.store import DeploymentStore
from jangada.errors import (
    ConflictError,
    FieldError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
)
from jangada.ids import new_id
from jangada.jobs.queue_view import QueueControl, QueueStats
from jangada.logs import get_logger
from jangada.tenants import Caller

SHARED_REPLICAS = 4
"""How far the shared deployment that every algorithm has may grow, until somebody says otherwise."""

REPLACING = ("algorithm_version", "model", "resources", "placement", "batching", "timeouts")
"""Fields whose change replaces the replicas."""

CHANGE_WITHIN_S = 10.0
"""So long a change of a tenant's deployments keeps others waiting at most, whatever becomes of its process."""

_log = get_logger()


class QueueSwitch(Protocol):
    """As much of a `JobQueue` as the service uses."""

    def stats(self, queue: str) -> QueueStats:
        """Depths, ages and counts."""
        ...

    def drain(self, queue: str) -> QueueControl:
        """Accept no new jobs."""
        ...

    def resume(self, queue: str) -> QueueControl:
        """Accept jobs again."""
        ...


def shared_deployment(record: AlgorithmRecord) -> Deployment:
    """The deployment that an algorithm has without anybody's wish: shared, on demand, of its own name."""
    return Deployment(
        name=record.name,
        algorithm=record.name,
        queue=record.queue,
        created_at=record.updated_at,
        updated_at=record.updated_at,
        scaling=ScalingPolicy(maximum=SHARED_REPLICAS),
        resources=Resources(
            memory_mib=record.limits.memory_mib or Resources().memory_mib,
            gpu=GpuNeed() if record.device == "gpu" else None,
        ),
        is_implicit=True,
    )


class DeploymentService:
    """Everything here raises `StoreUnavailableError` when a store is away."""

    def __init__(
        self, store: DeploymentStore, algorithms: AlgorithmStore, queue: QueueSwitch, *, clock: Clock = utc_now
    ) -> None:
        self._store = store
        self._algorithms = algorithms
        self._queue = queue
        self._clock = clock

    def every(self) -> list[Deployment]:
        """All there are, by name: those that were wished for, and the shared one of each other algorithm."""
        found = {record.name: shared_deployment(record) for record in self._algorithms.page()}
        found.update((one.name, one) for one in self._store.page())
        return [found[name] for name in sorted(found)]

    def visible(self, caller: Caller) -> list[Deployment]:
        """Those that *caller* may see: shared ones and its tenant's; all for an administrator."""
        return [one for one in self.every() if caller.is_admin or one.serves(caller.tenant_id)]

    def get(self, name: str, caller: Caller) -> Deployment:
        """One that *caller* may see. Raises `NotFoundError`."""
        found = self._store.get(name)
        if found is None and (record := self._algorithms.get(name)) is not None:
            found = shared_deployment(record)
        if found is None or not (caller.is_admin or found.serves(caller.tenant_id)):
            raise NotFoundError(f"there is no deployment {name}")
        return found

    def create(self, wished: Deployment, caller: Caller) -> Deployment:
        """
        Wish for a new one; its name, instants, queue and counters are set here.

        Of an algorithm's own name it takes the place of the algorithm's shared one.
        Raises `InvalidRequestError`, `ForbiddenError`, `PlanExceededError`, `ConflictError`.
        """
        record = self._algorithms.get(wished.algorithm)
        if record is None:
            raise _refused("/algorithm", f"expected a registered algorithm, found {wished.algorithm!r}")
        now = self._clock()
        is_shared = wished.name == wished.algorithm and wished.tenant_id is None
        if not is_shared and self._algorithms.get(wished.name) is not None:
            raise ConflictError(f"{wished.name} is an algorithm, whose shared deployment has that name")
        made = replace(
            wished,
            queue=record.queue if is_shared else own_queue(wished.name),
            created_at=now,
            updated_at=now,
            generation=1,
            # Replicas of one of that name that was there before are none of this one's.
            rollout=to_ms(now) // 1000,
            rolled_at=now,
            previous_version=None,
            is_implicit=False,
            canary=_begun(wished.canary, None, now),
        )
        if not caller.is_admin:
            made = replace(made, prices=_own_prices(made.prices, self._shared(record).prices, Prices()))
        self._require_may(made, caller)
        rules.check(made)
        with self._alone(made):
            self._require_within_plan(made, caller)
            if not self._store.insert(made):
                raise ConflictError(f"there is a deployment {made.name} already")
            self._queue.resume(made.queue)
            self._settle_default(made)
        _log.info("deployment.created", deployment=made.name, tenant_id=made.tenant_id, by=caller.key_id)
        return made

    def change(self, current: Deployment, wished: Deployment, caller: Caller) -> Deployment:
        """
        Put *wished* in place of *current*, as it was read.

        Another version, model, need, place, batching or time-out replaces the replicas
        one after the other; jobs go on meanwhile. Raises what `create` raises, and
        `PreconditionFailedError` when somebody else has changed it since.
        """
        if current.is_implicit:
            return self.create(wished, caller)
        now = self._clock()
        made = replace(wished, generation=current.generation + 1, updated_at=now)
        if any(getattr(made, name) != getattr(current, name) for name in REPLACING):
            made = replace(made, rollout=max(current.rollout + 1, to_ms(now) // 1000), rolled_at=now)
        if made.algorithm_version != current.algorithm_version:
            made = replace(made, previous_version=current.algorithm_version)
        made = replace(made, canary=_ended(made, current.canary, now) or _begun(made.canary, current.canary, now))
        if not caller.is_admin:
            made = replace(made, prices=_own_prices(made.prices, current.prices))
        self._require_may(made, caller)
        rules.check(made)
        with self._alone(made):
            self._require_within_plan(made, caller)
            if not self._store.replace(made, generation=current.generation):
                raise PreconditionFailedError(f"deployment {made.name} was changed by somebody else; read it again")
            self._settle_default(made)
        _log.info("deployment.changed", deployment=made.name, generation=made.generation, by=caller.key_id)
        return made

    def rollback(self, current: Deployment, caller: Caller) -> Deployment:
        """
        End the canary when there is one; else go back to the version before, from which a rollback leads here again.

        Raises `ConflictError` when there is neither.
        """
        if current.canary is not None and current.canary.share > 0:
            return self.change(current, replace(current, canary=None), caller)
        if current.previous_version is None:
            raise ConflictError(f"deployment {current.name} has had no version before this one")
        return self.change(current, replace(current, algorithm_version=current.previous_version), caller)

    def delete(self, current: Deployment, caller: Caller) -> None:
        """
        Take the wish back: its replicas go. An algorithm's shared one becomes again what it was by itself.

        Raises `ConflictError` while its queue has unfinished jobs, of which none may be lost.
        """
        self._require_may(current, caller)
        if current.is_implicit:
            raise ConflictError(f"{current.name} is the shared deployment of its algorithm; it goes with the algorithm")
        lanes = [] if current.queue == current.algorithm else [lane.queue for lane in current.lanes]
        for queue in lanes:
            # Nothing may come in between the look and the end.
            self._queue.drain(queue)
        waiting = sum(self._queue.stats(queue).jobs for queue in lanes)
        if waiting or not self._store.delete(current.name, generation=current.generation):
            for queue in lanes:
                self._queue.resume(queue)
            if waiting:
                raise ConflictError(
                    f"deployment {current.name} has {waiting} unfinished jobs: let them end, or cancel them",
                    extra={"unfinished_jobs": waiting},
                )
            raise PreconditionFailedError(f"deployment {current.name} was changed by somebody else; read it again")
        _log.info("deployment.deleted", deployment=current.name, by=caller.key_id)

    def _shared(self, record: AlgorithmRecord) -> Deployment:
        """The shared deployment of an algorithm as it is."""
        return self._store.get(record.name) or shared_deployment(record)

    def _require_may(self, made: Deployment, caller: Caller) -> None:
        if not caller.is_admin and made.tenant_id != caller.tenant_id:
            raise ForbiddenError(f"deployment {made.name} is not your tenant's: that takes the scope admin")

    def _require_within_plan(self, made: Deployment, caller: Caller) -> None:
        if made.tenant_id is None or caller.is_admin:
            return
        others = [one for one in self._store.page() if one.tenant_id == made.tenant_id and one.name != made.name]
        require_within(plan_of(made.tenant_id, self._store.plans()), made.tenant_id, made, others)

    @contextmanager
    def _alone(self, made: Deployment) -> Iterator[None]:
        """
        Nobody else changes deployments of the same tenant meanwhile: plans bind all of them together.

        Raises `ConflictError` when somebody else does for longer than `CHANGE_WITHIN_S`.
        """
        if made.tenant_id is None:
            yield
            return
        holder, deadline = new_id("chg"), time.monotonic() + CHANGE_WITHIN_S
        while not self._lock(made.tenant_id, holder):
            if time.monotonic() > deadline:
                raise ConflictError(f"somebody else is changing deployments of tenant {made.tenant_id}; try again")
            time.sleep(0.02)
        try:
            yield
        finally:
            self._store.unlock_wishes(made.tenant_id, holder)

    def _lock(self, tenant_id: str, holder: str) -> bool:
        now = self._clock()
        return self._store.lock_wishes(tenant_id, holder, now=now, until=now + timedelta(seconds=CHANGE_WITHIN_S))

    def _settle_default(self, made: Deployment) -> None:
        """A tenant has one default for an algorithm: the one that was made it last."""
        if not made.is_default:
            return
        for other in self._store.page():
            same = (other.tenant_id, other.algorithm) == (made.tenant_id, made.algorithm)
            if same and other.is_default and other.name != made.name:
                changed = replace(other, is_default=False, generation=other.generation + 1)
                self._store.replace(changed, generation=other.generation)


def _own_prices(wished: Prices, present: Prices, *untold: Prices) -> Prices:
    """
    The prices of a tenant's own deployment are the operator's to set: those of the algorithm's shared one at first.

    Raises `ForbiddenError` when it is wished otherwise.
    """
    if wished not in (present, *untold):
        raise ForbiddenError("prices: only an administrator sets them", extra={"scope": "admin"})
    return present


def _begun(wished: Canary | None, known: Canary | None, now: datetime) -> Canary | None:
    """A new canary version gets replicas of its own; another share for the same does not."""
    if wished is None:
        return None
    if known is not None and known.algorithm_version == wished.algorithm_version:
        return replace(known, share=wished.share)
    return replace(wished, rollout=to_ms(now) // 1000, rolled_at=now)


def _ended(made: Deployment, known: Canary | None, now: datetime) -> Canary | None:
    """What is left of a canary that is wished no more: its queue, which the stable version works off."""
    if made.canary is not None or known is None:
        return None
    if known.share == 0 and known.algorithm_version == made.algorithm_version:
        return known
    rollout = max(known.rollout + 1, to_ms(now) // 1000)
    return Canary(made.algorithm_version, 0.0, rollout, now)


def _refused(pointer: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"{pointer[1:]}: {detail}", errors=[FieldError(pointer, detail)])

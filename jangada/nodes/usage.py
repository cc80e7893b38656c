"""What a node says its executors used, brought to the ledger under the right names."""

from __future__ import annotations

from collections.abc import Sequence

from jangada.clock import Clock, utc_now
from jangada.deployments.ledger import Entry, UsageLedger
from jangada.deployments.queues import deployment_of
from jangada.errors import FieldError, InvalidRequestError
from jangada.nodes.lanes import Lanes
from jangada.nodes.work import Desk, NodeWork
from jangada.remote.wire import Values, read_used

SAMPLES = 32


class NodeUsage:
    """Raises `StoreUnavailableError` when the store is away."""

    def __init__(self, ledger: UsageLedger, work: NodeWork, lanes: Lanes, *, clock: Clock = utc_now) -> None:
        self._ledger = ledger
        self._work = work
        self._lanes = lanes
        self._clock = clock

    def append(self, desk: Desk, entries: Sequence[Values]) -> None:
        """
        Add *entries*. Whose they are is told by words that came with leases, never by the node.

        Raises `InvalidRequestError` for what is no entry.
        """
        lane = self._lanes.held_by(desk.node, desk.queue)
        deployment = deployment_of(desk.queue) or desk.queue if lane is None else lane.deployment
        own = None if lane is None else self._lanes.get(deployment)
        # Idle time is billed to who has the deployment for himself, while the node does serve it.
        owner = None if own is None else own.tenant_id
        self._ledger.append([self._entry(desk, values, at, deployment, owner) for at, values in enumerate(entries)])

    def _entry(self, desk: Desk, values: Values, at: int, deployment: str, owner: str | None) -> Entry:
        try:
            tenant_id = self._work.tenant_of(desk.node, values["tenant"])
            return Entry(
                # Under the node's name: it can repeat its own entries, and touch nobody else's.
                id=f"{desk.node.id}/{values['id']}",
                at=self._clock(),
                tenant_id=tenant_id if tenant_id is not None else owner,
                deployment=deployment,
                queue=desk.queue,
                algorithm=str(values["algorithm"]),
                algorithm_version=str(values["algorithm_version"]),
                executor_id=desk.claimer,
                used=read_used(values["used"]),
                gpu_type=None if values["gpu_type"] is None else str(values["gpu_type"]),
                runs_s=tuple(max(0.0, float(one)) for one in values["runs_s"][:SAMPLES]),
            )
        except (KeyError, TypeError, ValueError) as error:
            detail = f"expected an entry of the ledger ({type(error).__name__}: {error})"
            raise InvalidRequestError(detail, errors=[FieldError(f"/entries/{at}", detail)]) from None

"""What a joined node's agent asks of the platform: the wishes, its places, the bells. Over HTTPS."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.clock import Clock, from_ms, utc_now
from jangada.deployments.deployment import Deployment, Lane, from_json
from jangada.deployments.node import Node
from jangada.deployments.replica import Replica, ReplicaStatus, Wanted
from jangada.remote.bell import hear
from jangada.remote.link import NodeLink

NODE = TypeAdapter(Node)
REPLICA = TypeAdapter(Replica)
WANTED = TypeAdapter(Wanted)
ALGORITHM = TypeAdapter(AlgorithmRecord)


class RemoteClock:
    """The platform's time of day, as of its last answer: what leases are compared with."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        """Now, there."""
        return self._clock() + self._ahead

    def set(self, now_ms: int) -> None:
        """It is *now_ms* there."""
        self._ahead = from_ms(now_ms) - self._clock()


class RemoteAgency:
    """
    Stands in for the deployments' store and the scaler, as far as an agent uses them.

    Each `page` is one call that brings all of it; `wanted`, `replicas` and `nodes` are of the same moment.
    """

    def __init__(self, link: NodeLink, clock: RemoteClock, *, only_wished: bool) -> None:
        self._link = link
        self._clock = clock
        self._only_wished = only_wished
        self._seen: dict[str, Any] = {}

    def page(self) -> list[Deployment]:
        """The deployments that this node may run."""
        return self._look(())

    def turn(self, _deployments: Iterable[Deployment], *, urgent: Collection[str] = ()) -> None:
        """See `Scaler.turn`: the platform has its own with each look; lanes named *urgent* are decided at once."""
        if urgent:
            self._look(urgent)

    def _look(self, urgent: Collection[str]) -> list[Deployment]:
        asked = {"urgent": sorted(urgent), "only_wished": self._only_wished}
        seen = self._link.post("/wishes", asked)
        self._clock.set(seen["now_ms"])
        self._seen = seen
        return [from_json(one) for one in seen["deployments"]]

    def wanted(self) -> dict[str, Wanted]:
        """See `DeploymentStore.wanted`."""
        found = [WANTED.validate_python(one) for one in self._seen["wanted"]]
        return {one.lane: one for one in found}

    def replicas(self) -> list[Replica]:
        """See `DeploymentStore.replicas`."""
        if not self._seen:
            self._look(())
        return [REPLICA.validate_python(one) for one in self._seen["replicas"]]

    def nodes(self) -> list[Node]:
        """See `DeploymentStore.nodes`."""
        return [NODE.validate_python(one) for one in self._seen["nodes"]]

    def put_node(self, node: Node) -> None:
        """See `DeploymentStore.put_node`."""
        self._link.post("/machine", {"node": NODE.dump_python(node, mode="json")})

    def renew_node(self, node_id: str, until: datetime) -> bool:  # noqa: ARG002 - the platform knows both
        """See `DeploymentStore.renew_node`; the places that the node holds are renewed with it."""
        answer = self._link.post("/heartbeat", {})
        self._clock.set(answer["now_ms"])
        return bool(answer["known"])

    def renew_replicas(self, node_id: str, until: datetime) -> list[Replica]:  # noqa: ARG002 - as above
        """Nothing: `renew_node` has done it."""
        return []

    def free_replicas(self, now: datetime) -> int:  # noqa: ARG002 - as above
        """Nothing: the platform does it."""
        return 0

    def remove_node(self, node_id: str) -> None:  # noqa: ARG002 - as above
        """See `DeploymentStore.remove_node`."""
        self._link.post("/leave", {})

    def claim_replica(
        self,
        lane: Lane,
        node_id: str,  # noqa: ARG002 - as above
        *,
        now: datetime,  # noqa: ARG002 - as above
        until: datetime,  # noqa: ARG002 - as above
        gpus: tuple[str, ...] = (),
    ) -> Replica | None:
        """See `DeploymentStore.claim_replica`."""
        asked = {"lane": lane.name, "rollout": lane.rollout, "gpus": list(gpus)}
        made = self._link.post("/replicas", asked)["replica"]
        return None if made is None else REPLICA.validate_python(made)

    def update_replica(
        self,
        replica: Replica,
        status: ReplicaStatus,
        *,
        ready_at: datetime | None = None,  # noqa: ARG002 - by the platform's clock
        phases_s: Mapping[str, float] | None = None,
        slots: int | None = None,
        executor_id: str | None = None,
    ) -> bool:
        """See `DeploymentStore.update_replica`."""
        said = {
            "status": status.value,
            "phases_s": None if phases_s is None else dict(phases_s),
            "slots": slots,
            "executor_id": executor_id,
        }
        return bool(self._link.post(f"/replicas/{replica.id}", said)["held"])

    def release_replica(self, replica: Replica) -> bool:
        """See `DeploymentStore.release_replica`."""
        return bool(self._link.post(f"/replicas/{replica.id}/release", {})["held"])


class RemoteBells:
    """The bells of queues, by long poll: as much of a queue as an agent uses."""

    def __init__(self, link: NodeLink) -> None:
        self._link = link

    def wait_for_bell(self, queue: str, timeout_s: float) -> bool:
        """See `JobQueue.wait_for_bell`."""
        return hear(self._link, queue, timeout_s)

    def ring(self, queue: str) -> None:
        """Nothing: an agent that hears one bell too many leaves the job to the executor's next look."""

    def finish_and_claim(self, queue: str, executor_id: str, *, want: int = 0, settle: int = 0) -> None:
        """Nothing: the platform sees to delayed jobs with each look."""


class RemoteAlgorithms:
    """As much of an `AlgorithmStore` as agents and executors use."""

    def __init__(self, link: NodeLink) -> None:
        self._link = link

    def get(self, name: str) -> AlgorithmRecord | None:
        """See `AlgorithmStore.get`."""
        found = self._link.post("/algorithms/known", {"name": name})["algorithm"]
        return None if found is None else ALGORITHM.validate_python(found)

    def put(self, record: AlgorithmRecord, *, as_newest: bool = True) -> None:
        """See `AlgorithmStore.put`; the platform leaves aside what an untrusted node says."""
        values = ALGORITHM.dump_python(record, mode="json")
        self._link.post("/algorithms", {"algorithm": values, "as_newest": as_newest})

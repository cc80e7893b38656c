"""
The agent's loop: what is wanted and nobody holds is claimed and started, what is wanted no more is drained.

No agent is above another. A replica belongs to who claimed its place, for as long as
its lease is renewed; an agent that dies or is paused loses its places to the others,
and gives up what it finds taken when it comes back.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from jangada.clock import Clock, utc_now
from jangada.deployments.deployment import Deployment, Lane
from jangada.deployments.node import NODE_LEASE_S, Node
from jangada.deployments.replica import Replica, ReplicaStatus, to_drain
from jangada.deployments.scaler import Scaler
from jangada.deployments.store import DeploymentStore
from jangada.errors import JangadaError, StoreUnavailableError
from jangada.jobs.queue import JobQueue
from jangada.logs import get_logger
from jangada.node.backoff import CrashBackoff
from jangada.node.engine import Condition, EngineError, Order, ReplicaEngine, Seen, start_phases
from jangada.node.holding import Held
from jangada.node.idle import IdleLanes, idle_lanes
from jangada.node.lease import NodeLease
from jangada.node.metrics import NodeMetrics
from jangada.node.packing import Lack, Wishes, choose, lacks, make_room, room_left, why_unmet

TICK_S = 0.5
"""How often the wishes are read while nothing happens."""
LOOK_S = 0.02
"""How often replicas that start or end are looked at."""
STOP_WITHIN_S = 10.0
"""What replicas get when the agent itself stops; they hand their jobs back within a second."""

_log = get_logger()


class NodeAgent:
    """
    One node's agent. `run` returns after `stop`, everything it ran stopped.

    *deployments* are those that it serves: the wishes in the store, unless given.
    """

    def __init__(
        self,
        node: Node,
        engine: ReplicaEngine,
        store: DeploymentStore,
        jobs: JobQueue,
        scaler: Scaler,
        *,
        deployments: Callable[[], list[Deployment]] | None = None,
        metrics: NodeMetrics | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._node = node
        self._engine = engine
        self._store = store
        self._scaler = scaler
        self._deployments = deployments or store.page
        self._metrics = metrics or NodeMetrics()
        self._clock = clock
        self._lease = NodeLease(store, node, clock=clock)
        self._events: queue.SimpleQueue[tuple[str, float] | None] = queue.SimpleQueue()
        self._idle = IdleLanes(jobs, node.id, lambda lane, at: self._events.put((lane, at)))
        self._backoff = CrashBackoff()
        self._held: dict[str, Held] = {}
        self._is_stopping = False
        self._tick_at = 0.0
        self._unmet: dict[str, str] = {}
        self._is_away = False

    # --- from outside ------------------------------------------------------------

    def run(self) -> None:
        """Work until `stop`. To be called from the main thread."""
        with contextlib.suppress(StoreUnavailableError):
            self._lease.renew()
        self._lease.start()
        self._adopt()
        try:
            while not self._is_stopping:
                self._turn(self._take_events())
        finally:
            self._shut_down()

    def stop(self) -> None:
        """End in an orderly way. Safe in a signal handler."""
        self._is_stopping = True
        self._events.put(None)

    def wake(self) -> None:
        """Look at the replicas now: one may have ended. Safe in a signal handler."""
        self._events.put(None)

    def held(self) -> list[Held]:
        """What it runs, about now; from any thread."""
        return list(self._held.values())

    # --- the loop ----------------------------------------------------------------

    def _take_events(self) -> dict[str, float]:
        """Wait for something to do; the lanes whose bell was heard, and when."""
        heard: dict[str, float] = {}
        with contextlib.suppress(queue.Empty):
            event = self._events.get(timeout=self._patience())
            while True:
                if event is not None:
                    heard.setdefault(*event)
                event = self._events.get_nowait()
        return heard

    def _patience(self) -> float:
        until_tick = max(0.0, self._tick_at - time.monotonic())
        if any(one.status is not ReplicaStatus.READY or one.is_lost for one in self._held.values()):
            return min(LOOK_S, until_tick)
        return until_tick

    def _turn(self, heard: Mapping[str, float]) -> None:
        try:
            changed = self._look()
            if heard or changed or time.monotonic() >= self._tick_at:
                self._tick_at = time.monotonic() + TICK_S
                self._reconcile(heard)
            if self._is_away:
                _log.info("agent.reconnected")
                self._is_away = False
        except StoreUnavailableError as error:
            # What runs goes on; what is to change waits.
            self._tick_at = time.monotonic() + TICK_S
            if not self._is_away:
                _log.warning("agent.store_away", reason=str(error))
            self._is_away = True

    def _adopt(self) -> None:
        """
        Go on with what this node held before the agent's start, where it still runs.

        Places whose replica did not outlive the agent are given up by the first `_reconcile`.
        """
        while not self._is_stopping:
            try:
                ours = {one.id: one for one in self._store.replicas() if one.node_id == self._node.id}
                deployments = {one.name: one for one in self._deployments()}
                break
            except StoreUnavailableError:
                time.sleep(TICK_S)
        else:
            return
        runs = [one.id for one in ours.values() if one.deployment in deployments]
        for replica_id in self._engine.adopt(runs):
            replica = ours[replica_id]
            deployment = deployments[replica.deployment]
            lane = next((lane for lane in deployment.lanes if lane.name == replica.lane), deployment.stable)
            self._held[replica_id] = Held(Order(replica, lane, deployment), time.monotonic(), replica.status)
            _log.info("replica.adopted", lane=replica.lane, replica_id=replica_id)

    # --- what became of those that run ---------------------------------------------

    def _look(self) -> bool:
        """See what became of the replicas, and say so in the store; whether a place got free."""
        freed = False
        for replica_id, seen in self._engine.look().items():
            held = self._held.get(replica_id)
            if held is None:
                if seen.condition is Condition.ENDED:
                    self._engine.forget(replica_id)
            elif seen.condition is Condition.ENDED:
                self._ended(held, seen)
                freed = True
            elif held.status is ReplicaStatus.STARTING and not held.is_lost:
                self._follow_start(held, seen)
        return freed

    def _ended(self, held: Held, seen: Seen) -> None:
        self._engine.forget(held.id)
        del self._held[held.id]
        facts = {"lane": held.order.lane.name, "ordinal": held.order.replica.ordinal, "replica_id": held.id}
        if held.is_going:
            _log.info("replica.stopped", **facts)
        else:
            now = time.monotonic()
            again_s = self._backoff.crashed(
                held.order.lane.name, now, lived_s=now - held.started, will_not_mend=seen.will_not_mend
            )
            self._metrics.crashes.add(held.order.deployment.name)
            _log.warning("replica.crashed", reason=seen.note or "it ended by itself", again_s=again_s, **facts)
        if not held.is_lost:
            self._store.release_replica(held.order.replica)

    def _follow_start(self, held: Held, seen: Seen) -> None:
        if seen.condition is not Condition.READY:
            within_s = held.order.deployment.timeouts.start_s
            if time.monotonic() - held.started > within_s:
                _log.warning("replica.not_ready", lane=held.order.lane.name, replica_id=held.id, within_s=within_s)
                self._engine.kill(held.id)
            return
        phases = held.phases_s | start_phases(held.started, seen.report)
        is_ours = self._store.update_replica(
            held.order.replica,
            ReplicaStatus.READY,
            ready_at=self._clock(),
            phases_s=phases,
            slots=seen.report.slots,
            executor_id=seen.report.executor_id,
        )
        if not is_ours:
            self._give_up(held)
            return
        held.status = ReplicaStatus.READY
        self._metrics.ready(held.order.deployment.name, phases)
        _log.info("replica.ready", lane=held.order.lane.name, replica_id=held.id, **_named(phases))

    # --- what there should be ------------------------------------------------------

    def _reconcile(self, heard: Mapping[str, float]) -> None:
        began = time.monotonic()
        deployments = self._deployments()
        self._scaler.turn(deployments, urgent=heard)
        wishes = Wishes(deployments, self._store.wanted(), self._store.replicas(), self._store.nodes())
        self._settle_places(wishes)
        self._drain(wishes)
        self._claim(wishes, heard, began)
        self._listen(wishes)

    def _settle_places(self, wishes: Wishes) -> None:
        """What others took is given up here; what we hold on paper only is given up there."""
        ours = {one.id: one for one in wishes.replicas if one.node_id == self._node.id}
        for held in self._held.values():
            if held.id not in ours and not held.is_lost:
                self._give_up(held)
        for replica_id, replica in ours.items():
            if replica_id not in self._held:
                self._store.release_replica(replica)

    def _give_up(self, held: Held) -> None:
        held.is_lost = True
        self._metrics.lost.add()
        _log.warning("replica.taken", lane=held.order.lane.name, replica_id=held.id)
        self._engine.stop(held.id, held.order.deployment.timeouts.drain_s)

    def _drain(self, wishes: Wishes) -> None:
        lanes = {lane.name: lane for one in wishes.deployments for lane in one.lanes}
        now = self._clock()
        for name in {held.order.lane.name for held in self._held.values()}:
            wanted = wishes.wanted[name].replicas if name in wishes.wanted else 0
            of_lane = [one for one in wishes.replicas if one.lane == name]
            for replica in to_drain(lanes.get(name), of_lane, wanted, now):
                self._let_go(replica)

    def _let_go(self, replica: Replica) -> None:
        """Drain it, if it is ours and not told to yet."""
        held = self._held.get(replica.id)
        if held is None or held.is_going:
            return
        self._store.update_replica(replica, ReplicaStatus.DRAINING)
        held.status = ReplicaStatus.DRAINING
        self._engine.stop(held.id, held.order.deployment.timeouts.drain_s)
        _log.info("replica.draining", lane=replica.lane, replica_id=held.id)

    def _claim(self, wishes: Wishes, heard: Mapping[str, float], began: float) -> None:
        now = self._clock()
        living = wishes.living(now)
        node = next((one for one in living if one.id == self._node.id), None)
        if node is None:
            # Not registered yet, or no longer: the lease's thread mends that, and nothing is started until then.
            return
        lacking = lacks(wishes, now)
        self._say_unmet(lacking, wishes, now)
        allowed = [one for one in lacking if self._may_start(one.lane)]
        for idle in make_room(node, wishes, allowed, now):
            self._let_go(idle)
        decided = time.monotonic()
        for claim in choose(node, room_left(node, wishes, now), allowed, living):
            asked = time.monotonic()
            until = self._clock() + timedelta(seconds=NODE_LEASE_S)
            replica = self._store.claim_replica(
                claim.lane, self._node.id, now=self._clock(), until=until, gpus=claim.gpus
            )
            if replica is None:
                continue
            waited_since = heard.get(claim.lane.name, began)
            phases = {"decide": decided - waited_since, "claim": time.monotonic() - asked}
            self._start(Order(replica, claim.lane, claim.deployment), phases)

    def _start(self, order: Order, phases: Mapping[str, float]) -> None:
        began = time.monotonic()
        try:
            self._engine.start(order)
        except EngineError as error:
            again_s = self._backoff.crashed(order.lane.name, began, lived_s=0.0, will_not_mend=True)
            _log.warning("replica.not_started", lane=order.lane.name, reason=error.detail, again_s=again_s)
            self._store.release_replica(order.replica)
            return
        started = time.monotonic()
        named = {name: round(took, 4) for name, took in {**phases, "start": started - began}.items()}
        self._held[order.replica.id] = Held(order, started, phases_s=named)
        _log.info("replica.started", lane=order.lane.name, replica_id=order.replica.id, gpus=list(order.replica.gpus))

    def _say_unmet(self, lacking: Sequence[Lack], wishes: Wishes, now: datetime) -> None:
        """Log why a wish is not fulfilled, when the reason changes."""
        unmet = {}
        for lack in lacking:
            reason = why_unmet(lack, wishes, now)
            if reason is None:
                continue
            unmet[lack.lane.name] = reason
            if self._unmet.get(lack.lane.name) != reason:
                _log.warning("deployment.unmet", lane=lack.lane.name, missing=lack.missing, reason=reason)
        self._unmet = unmet

    def _listen(self, wishes: Wishes) -> None:
        """Hear the first job of every lane that has no replica."""
        ours = [held.order.lane.name for held in self._held.values() if not held.is_going]
        idle = idle_lanes(wishes, ours, self._clock())
        # A lane that cannot be started anyway is looked at with each tick, however often its bell rings.
        self._idle.watch(idle, [one for one in idle if one.name not in self._unmet and self._may_start(one)])

    def _may_start(self, lane: Lane) -> bool:
        return self._backoff.allows(lane.name, time.monotonic())

    # --- the end -------------------------------------------------------------------

    def _shut_down(self) -> None:
        """Stop everything; what cannot be told to the store is found by the others when the lease runs out."""
        self._idle.stop()
        for replica_id in self._held:
            self._engine.stop(replica_id, 0.0)
        deadline = time.monotonic() + STOP_WITHIN_S
        while self._held and time.monotonic() < deadline:
            ended = [name for name, seen in self._engine.look().items() if seen.condition is Condition.ENDED]
            for replica_id in ended:
                self._engine.forget(replica_id)
                held = self._held.pop(replica_id, None)
                if held is not None:
                    self._release(held)
            time.sleep(LOOK_S)
        self._lease.stop()
        self._engine.close()
        for held in self._held.values():
            self._release(held)
        with contextlib.suppress(JangadaError):
            self._store.remove_node(self._node.id)

    def _release(self, held: Held) -> None:
        with contextlib.suppress(JangadaError):
            self._store.release_replica(held.order.replica)


def _named(phases: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}_s": took for name, took in phases.items()}

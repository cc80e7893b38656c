"""
The scaler: from what a lane does to how many replicas are wanted of it.

It has no thread of its own: agents call `Scaler.turn` in their loops, and of all that
do so at about the same time one decides. Nothing is lost when none is there: without
agents there is nobody to start anything either.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from jangada.clock import Clock, to_ms, utc_now
from jangada.deployments.deployment import Deployment, Lane, Track
from jangada.deployments.ledger import UsageLedger
from jangada.deployments.observe import QueueSight, count, latest_start, load_of
from jangada.deployments.replica import Replica, Wanted
from jangada.deployments.scaling import Decision, Load, Reason, ScalingMemory, ScalingPolicy, decide
from jangada.deployments.store import DeploymentStore
from jangada.deployments.warm import warm_minimum
from jangada.logs import get_logger

TURN_S = 1.0
"""How often all lanes are looked at."""
WRITTEN_WITHIN_S = 10.0
"""An executor has written what it used after so long, twice the time that it takes by itself."""
ENDED_AFTER = timedelta(seconds=60)
"""How long a canary that ended is still worked off at least: functions remember deployments for seconds."""

_log = get_logger()


class Scaler:
    """Decides for the lanes of all deployments. Any number of processes may have one."""

    def __init__(
        self, store: DeploymentStore, queue: QueueSight, ledger: UsageLedger, *, clock: Clock = utc_now
    ) -> None:
        self._store = store
        self._queue = queue
        self._ledger = ledger
        self._clock = clock

    def turn(
        self, deployments: Iterable[Deployment], *, urgent: Collection[str] = (), turn_s: float = TURN_S
    ) -> dict[str, Wanted]:
        """
        Decide for every lane of *deployments* whose turn it is; what is wanted of each of these now.

        A lane is decided once in *turn_s*, by whoever comes first. Lanes named *urgent*
        (a job came and nothing is there to take it) are decided at once. Raises
        `StoreUnavailableError`; what was decided until then holds.
        """
        wishes = [(one, lane) for one in deployments for lane in one.lanes]
        # A little shorter than the turn, so that one who comes regularly never meets its own lock.
        due = [
            (one, lane)
            for one, lane in wishes
            if lane.name in urgent or self._queue.lock(f"scale-{lane.name}", turn_s * 0.9)
        ]
        if not due:
            return {}
        known = self._store.wanted()
        held: dict[str, list[Replica]] = {}
        for replica in self._store.replicas():
            held.setdefault(replica.lane, []).append(replica)
        return {lane.name: self._decide(one, lane, known.get(lane.name), held.get(lane.name, [])) for one, lane in due}

    def _decide(self, deployment: Deployment, lane: Lane, known: Wanted | None, replicas: list[Replica]) -> Wanted:
        now = self._clock()
        start_s, phases_s = latest_start(replicas, known)
        stats = self._queue.stats(lane.queue)
        if lane.track is Track.CANARY and not stats.jobs:
            self._forget_ended(deployment, now)
        load = load_of(stats, self._ledger.pulse(lane.queue), count(replicas, now), start_s)
        load, memory = _steadied(load, ScalingMemory() if known is None else known.memory, to_ms(now) / 1000)
        decision = decide(policy_of(deployment, lane, now), load, memory, to_ms(now) / 1000)
        if deployment.is_paused:
            decision = Decision(0, Reason.PAUSED, decision.memory)
        wanted = Wanted(lane.name, decision.replicas, decision.reason, now, start_s, phases_s, decision.memory)
        if known is None or known.replicas != wanted.replicas:
            _log.info(
                "deployment.scaled",
                lane=lane.name,
                replicas=wanted.replicas,
                reason=wanted.reason.value,
                queued=load.queued,
                running=load.running,
                have=load.replicas,
            )
        else:
            # What people want to know is why it came to this number, and since when.
            reason = known.reason if wanted.reason is Reason.STEADY else wanted.reason
            wanted = replace(wanted, reason=reason, at=known.at)
            is_quiet = not load.unfinished and decision.memory.busy_at == known.memory.busy_at
            if is_quiet and (reason, start_s) == (known.reason, known.start_s):
                # Nothing happens here: what is remembered can stay as it is, and costs no write.
                return known
        self._store.put_wanted(wanted)
        return wanted

    def _forget_ended(self, deployment: Deployment, now: datetime) -> None:
        """A canary that ended, whose queue is empty, and to which no submit is on its way any more, goes."""
        canary = deployment.canary
        if canary is None or canary.share > 0 or now - (canary.rolled_at or now) < ENDED_AFTER:
            return
        changed = replace(deployment, canary=None, generation=deployment.generation + 1)
        self._store.replace(changed, generation=deployment.generation)


def _steadied(load: Load, memory: ScalingMemory, now: float) -> tuple[Load, ScalingMemory]:
    """
    The load with a count of arrivals that does not fall for a while.

    Jobs that ended are counted when their executor has written what they used, seconds
    later. Where the count stays lower the queue was emptied, by a loss or by hand, and
    what was counted before means nothing any more.
    """
    if load.arrivals >= memory.seen:
        return load, replace(memory, fell_at=None)
    fell_at = now if memory.fell_at is None else memory.fell_at
    if now - fell_at > WRITTEN_WITHIN_S:
        return load, ScalingMemory(busy_at=memory.busy_at, seen=load.arrivals)
    return replace(load, arrivals=memory.seen), replace(memory, fell_at=fell_at)


def policy_of(deployment: Deployment, lane: Lane, now: datetime) -> ScalingPolicy:
    """The deployment's policy as it holds for *lane* at *now*: with its warm windows; a canary keeps one at most."""
    policy = deployment.scaling
    if lane.track is Track.CANARY:
        return replace(policy, minimum=min(1, policy.minimum), buffer=0)
    warm = warm_minimum(deployment.warm, now)
    return replace(policy, minimum=min(policy.maximum, max(policy.minimum, warm)))

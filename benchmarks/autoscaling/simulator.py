"""A deployment in simulated time: jobs wait first come first served, replicas start and stop as a policy decides."""

from __future__ import annotations

import heapq
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.autoscaling.load import Scenario, Work
from jangada.deployments.scaling import Load, ScalingMemory, ScalingPolicy, decide

_RUNS_REMEMBERED = 50


@dataclass
class Sample:
    """One decision, for the plot."""

    at_s: float
    ready: int
    starting: int
    queued: int
    oldest_s: float


@dataclass
class Run:
    """What one policy made of one load. Waits in seconds from arrival to start; cost in replica-seconds."""

    waits: list[float] = field(default_factory=list)
    cost_s: float = 0.0
    started: int = 0
    samples: list[Sample] = field(default_factory=list)

    @property
    def p95_s(self) -> float:
        """The wait that 95 of 100 jobs stay under."""
        return self._quantile(0.95)

    @property
    def p50_s(self) -> float:
        """The wait of the job in the middle."""
        return self._quantile(0.5)

    @property
    def highest(self) -> int:
        """Most replicas at one time."""
        return max((sample.ready + sample.starting for sample in self.samples), default=0)

    @property
    def scaled_to_zero(self) -> bool:
        """Whether it ended with none, after there had been some."""
        return self.highest > 0 and bool(self.samples) and self.samples[-1].ready + self.samples[-1].starting == 0

    def _quantile(self, share: float) -> float:
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass
class _Replica:
    began_s: float
    is_ready: bool = False
    is_leaving: bool = False
    busy: int = 0


class Simulation:
    """One load through one policy, asked each *every_s* as node agents ask it; `run` gives the outcome."""

    def __init__(self, scenario: Scenario, policy: ScalingPolicy, work: Sequence[Work], every_s: float = 1.0) -> None:
        self._every_s = every_s
        self._scenario = scenario
        self._policy = policy
        self._work = work
        self._now = 0.0
        self._events: list[tuple[float, int, _Replica, bool]] = []
        self._number = 0
        self._queue: deque[Work] = deque()
        self._replicas: list[_Replica] = []
        self._runs: deque[float] = deque(maxlen=_RUNS_REMEMBERED)
        self._ended = 0
        self._free: deque[_Replica] = deque()
        """Who asks for a job, the longest waiting first; once per free slot."""
        self._outcome = Run()

    def run(self) -> Run:
        """Until the last job ended and, where the policy may, the last replica is gone."""
        memory, coming, arrived = ScalingMemory(), 0, 0
        end_s = self._scenario.hours * 3600 + self._policy.idle_s + self._policy.cooldown(self._scenario.start_s) + 60
        while self._now < end_s or self._queue or any(replica.busy for replica in self._replicas):
            tick = self._now + self._every_s
            while True:
                arrival = self._work[coming].at_s if coming < len(self._work) else tick
                event = self._events[0][0] if self._events else tick
                if min(arrival, event) >= tick:
                    break
                if arrival <= event:
                    self._now = arrival
                    self._queue.append(self._work[coming])
                    coming += 1
                    arrived += 1
                else:
                    self._happen()
                self._assign()
            self._now = tick
            memory = self._decide(memory, arrived)
        for replica in self._replicas:
            self._outcome.cost_s += self._now - replica.began_s
        return self._outcome

    def _decide(self, memory: ScalingMemory, arrived: int) -> ScalingMemory:
        staying = [replica for replica in self._replicas if not replica.is_leaving]
        ready = sum(replica.is_ready for replica in staying)
        load = Load(
            queued=len(self._queue),
            running=sum(replica.busy for replica in staying),
            ready=ready,
            starting=len(staying) - ready,
            slots=self._scenario.slots,
            run_s=statistics.median(self._runs) if self._ended else None,
            start_s=self._scenario.start_s,
            arrivals=arrived,
        )
        oldest_s = self._now - self._queue[0].at_s if self._queue else 0.0
        self._outcome.samples.append(Sample(self._now, ready, load.starting, load.queued, oldest_s))
        decision = decide(self._policy, load, memory, self._now)
        if decision.replicas > len(staying):
            for _ in range(decision.replicas - len(staying)):
                self._start()
        else:
            self._let_go(staying, len(staying) - decision.replicas)
        return decision.memory

    def _start(self) -> None:
        replica = _Replica(self._now)
        self._replicas.append(replica)
        self._outcome.started += 1
        self._schedule(self._now + self._scenario.start_s, replica, is_start=True)

    def _let_go(self, staying: list[_Replica], count: int) -> None:
        """Those that are not up yet first, then the idle, then the least busy, which end what they run."""
        for replica in sorted(staying, key=lambda one: (one.is_ready, one.busy, -one.began_s))[:count]:
            replica.is_leaving = True
            if not replica.busy:
                self._gone(replica)

    def _gone(self, replica: _Replica) -> None:
        self._replicas.remove(replica)
        self._outcome.cost_s += self._now - replica.began_s

    def _schedule(self, at_s: float, replica: _Replica, *, is_start: bool) -> None:
        self._number += 1
        heapq.heappush(self._events, (at_s, self._number, replica, is_start))

    def _happen(self) -> None:
        self._now, _, replica, is_start = heapq.heappop(self._events)
        if is_start:
            replica.is_ready = True
            self._free.extend([replica] * self._scenario.slots)
            return
        replica.busy -= 1
        self._ended += 1
        if not replica.is_leaving:
            self._free.append(replica)
        elif not replica.busy:
            self._gone(replica)

    def _assign(self) -> None:
        while self._queue and self._free:
            replica = self._free.popleft()
            if replica.is_leaving:
                continue
            work = self._queue.popleft()
            self._outcome.waits.append(self._now - work.at_s)
            self._runs.append(work.run_s)
            replica.busy += 1
            self._schedule(self._now + work.run_s, replica, is_start=False)

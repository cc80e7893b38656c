"""Which waiting delivery may be sent next, so that one slow receiver does not hold every sender. Pure."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from jangada.jobs.queue import Lease
from jangada.webhooks.delivery import Delivery


@dataclass(frozen=True, slots=True)
class Held:
    """A delivery that this process holds a lease on."""

    lease: Lease
    delivery: Delivery

    @property
    def endpoint(self) -> str:
        """The receiver, as far as being slow is concerned: scheme, host and port."""
        return urlsplit(self.delivery.url).netloc.lower()


@dataclass(slots=True)
class _Lane:
    in_flight: int = 0
    waiting: deque[Held] = field(default_factory=deque)
    deferred: int = 0


class Lanes:
    """One lane per receiver; at most *per_endpoint* in flight in each and *per_tenant* over all lanes of a tenant."""

    def __init__(self, *, per_endpoint: int = 2, per_tenant: int = 8, waiting_per_lane: int = 32) -> None:
        self._per_endpoint = per_endpoint
        self._per_tenant = per_tenant
        self._waiting_per_lane = waiting_per_lane
        self._lanes: dict[str, _Lane] = {}
        self._tenants: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, held: Held) -> float | None:
        """
        Take *held* in, to be handed out by `next`; or refuse it because its lane is
        full, and say after how many seconds to come again.

        The delay grows with what was refused before, so that a long backlog for one
        dead receiver does not go round and round.
        """
        with self._lock:
            lane = self._lanes.setdefault(held.endpoint, _Lane())
            if len(lane.waiting) < self._waiting_per_lane:
                lane.waiting.append(held)
                return None
            lane.deferred += 1
            return min(5.0 + lane.deferred / self._per_endpoint, 600.0)

    def next(self) -> Held | None:
        """The next one to send now, counted as in flight until `done`; None when all must wait."""
        with self._lock:
            for endpoint, lane in self._lanes.items():
                if not lane.waiting or lane.in_flight >= self._per_endpoint:
                    continue
                held = lane.waiting[0]
                if self._tenants[held.delivery.tenant_id] >= self._per_tenant:
                    continue
                lane.waiting.popleft()
                lane.in_flight += 1
                self._tenants[held.delivery.tenant_id] += 1
                # To the back of the round: lanes take turns.
                self._lanes[endpoint] = self._lanes.pop(endpoint)
                return held
        return None

    def done(self, held: Held) -> None:
        """*held* is no longer in flight."""
        with self._lock:
            lane = self._lanes[held.endpoint]
            lane.in_flight -= 1
            self._tenants[held.delivery.tenant_id] -= 1
            if self._tenants[held.delivery.tenant_id] == 0:
                del self._tenants[held.delivery.tenant_id]
            if lane.in_flight == 0 and not lane.waiting:
                del self._lanes[held.endpoint]

    def drop(self, delivery_ids: set[str]) -> None:
        """Forget waiting ones whose lease is lost."""
        with self._lock:
            for lane in self._lanes.values():
                lane.waiting = deque(one for one in lane.waiting if one.delivery.id not in delivery_ids)

    def waiting(self) -> list[Held]:
        """Everything that waits, in no order."""
        with self._lock:
            return [held for lane in self._lanes.values() for held in lane.waiting]

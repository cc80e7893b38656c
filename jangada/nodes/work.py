"""
A node's work on jobs: claims, leases, outcomes. Stands between a node and the queue and decides what it may do.

A node says what became of the leases it holds, by the receipts that came with them;
everything else (retries, fences, the one outcome of a job) is `JobExecution`'s, as
for an executor beside Redis. An executor's id carries its node's, so that nobody can
speak for another's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from jangada.clock import Clock, to_ms, utc_now
from jangada.errors import FieldError, ForbiddenError, InvalidRequestError, JangadaError
from jangada.jobs.execution import JobExecution, Notify
from jangada.jobs.job import JobStatus, RanBy
from jangada.jobs.outcome import Completion
from jangada.jobs.queue import JobQueue, Lease, LeaseAction, LeaseState
from jangada.jobs.store import JobStore
from jangada.logs import get_logger
from jangada.nodes.checks import NodeChecks
from jangada.nodes.lanes import Lanes
from jangada.nodes.node import JoinedNode
from jangada.nodes.seal import Seal
from jangada.remote.wire import Values, lease_values, read_completion

LIVE_EVENTS = frozenset({"job.progress", "job.log", "job.output"})
"""What an executor may say of a running job; its life is told by the queue alone."""
MOST_WANTED = 256
SETTLE = 32
SHY_S = 1.0
LOOK_S = 1.0
"""How often it is looked whether somebody still waits for an answer that is held back."""
_SEEN_BY_NODES = ("input", "files", "deadline", "trace", "req")
"""Of the optional part of a job's orders: not the webhook's address, nor who is told what."""

RECEIPT, TENANT = "receipt", "tenant"

_log = get_logger()


@dataclass(frozen=True, slots=True)
class Desk:
    """One executor of one node, and the queue it speaks of."""

    node: JoinedNode
    queue: str
    executor_id: str
    ran_by: RanBy | None = None

    @property
    def claimer(self) -> str:
        """Its name in the queue, and in the history of attempts."""
        return f"{self.executor_id}@{self.node.id}"


class NodeWork:
    """Everything here raises `StoreUnavailableError` when a store is away; all may be called again then."""

    def __init__(
        self,
        queue: JobQueue,
        store: JobStore,
        lanes: Lanes,
        seal: Seal,
        *,
        checks: NodeChecks,
        lease_s: float,
        notify: Notify,
        clock: Clock = utc_now,
    ) -> None:
        self._queue = queue
        self._store = store
        self._lanes = lanes
        self._seal = seal
        self._checks = checks
        self._lease_s = lease_s
        self._notify = notify
        self._clock = clock
        self._shy: dict[tuple[str, str], float] = {}
        """Until when a node claims nothing from a queue, as a job that others are to do lies first there."""

    def exchange(
        self, desk: Desk, completions: Sequence[Values], want: int, *, running: bool, call: tuple[str, bool] | None
    ) -> Values:
        """
        See `JobExecution.exchange`; leases only of a queue that the node has a replica for.

        Raises `InvalidRequestError` for completions that cannot be read or stored: none
        of them is then.
        """
        ended = [self._completion(desk, values, at) for at, values in enumerate(completions)]
        if desk.node.suspended_for is not None:
            # What it says counts no more; its leases run out, and others do its jobs.
            ended = []
        may_claim = (
            desk.node.suspended_for is None
            and not self._shy_s(desk.node, desk.queue)
            and self._lanes.held_by(desk.node, desk.queue) is not None
        )
        ended = self._checks.put_aside(desk.node, ended)
        statuses: dict[str, str] = {}

        def notify(event: str, lease: Lease, status: JobStatus | None) -> None:
            if event == "completed" and status is not None:
                statuses[lease.job_id] = status.value
            self._notify(event, lease, status)

        execution = self._execution(desk, notify)
        try:
            leases = execution.exchange(
                ended,
                min(want, MOST_WANTED) if may_claim else 0,
                running=running,
                settle=SETTLE if may_claim else 0,
                call=call,
            )
        except JangadaError:
            raise
        except Exception as error:
            # As where an executor stores by itself: it finds out which outcome it is, and why is said of that one.
            _log.exception("node.outcome_not_stored", node_id=desk.node.id)
            raise InvalidRequestError(f"the outcomes cannot be stored: {type(error).__name__}: {error}") from error
        others = self._checks.are_not_for(desk.node, leases)
        if others:
            execution.release(others)
            self._shy[desk.node.id, desk.queue] = time.monotonic() + SHY_S
            leases = [lease for lease in leases if lease not in others]
        return {
            "leases": [self._given(desk, lease) for lease in leases],
            "ended": statuses,
            "next_due_ms": execution.next_due_ms,
            "now_ms": to_ms(self._clock()),
        }

    def start(self, desk: Desk, receipts: Sequence[str]) -> None:
        """See `JobExecution.start`."""
        self._execution(desk).start([self._lease(desk, receipt) for receipt in receipts])

    def renew(self, desk: Desk, receipts: Sequence[str]) -> list[LeaseState]:
        """See `JobExecution.renew`."""
        if desk.node.suspended_for is not None:
            return [LeaseState.LOST] * len(receipts)
        return self._execution(desk).renew([self._lease(desk, receipt) for receipt in receipts])

    def emit(self, desk: Desk, receipt: str, events: Sequence[tuple[str, dict[str, Any]]]) -> bool:
        """See `JobExecution.emit`. Raises `InvalidRequestError` for an event that is not an executor's to tell."""
        for at, (kind, _) in enumerate(events):
            if kind not in LIVE_EVENTS:
                raise _refused(f"/events/{at}", f"expected one of {', '.join(sorted(LIVE_EVENTS))}")
        lease = self._lease(desk, receipt)
        kept = self._execution(desk).emit(lease, events)
        if kept and any(kind == "job.log" for kind, _ in events):
            self._notify("logs", lease, None)
        return kept

    def ring(self, desk: Desk) -> None:
        """Wake another executor of a queue that this node has a replica for."""
        if self._lanes.held_by(desk.node, desk.queue) is not None:
            self._queue.ring(desk.queue)

    def hear(self, node: JoinedNode, queue: str, wait_s: float, *, is_gone: Callable[[], bool] = lambda: False) -> bool:
        """
        Whether the bell of *queue* rings within *wait_s*. Raises `ForbiddenError` for one that it cannot serve.

        *is_gone*: nobody waits for the answer any more; a ring is left to others then.
        """
        if self._lanes.held_by(node, queue) is None:
            visible = self._lanes.of(node, self._lanes.every())
            if not any(lane.queue == queue for one in visible for lane in one.lanes):
                raise ForbiddenError(f"this node serves no queue {queue}")
        if shy_s := self._shy_s(node, queue):
            # The bell rings for others.
            time.sleep(min(shy_s, wait_s))
            return False
        until = time.monotonic() + wait_s
        while not is_gone():
            left_s = until - time.monotonic()
            if self._queue.wait_for_bell(queue, max(0.0, min(LOOK_S, left_s))):
                if is_gone():
                    self._queue.ring(queue)
                    return False
                return True
            if left_s <= LOOK_S:
                return False
        return False

    def _shy_s(self, node: JoinedNode, queue: str) -> float:
        left_s = self._shy.get((node.id, queue), 0.0) - time.monotonic()
        if left_s <= 0:
            self._shy.pop((node.id, queue), None)
        return max(0.0, left_s)

    def tenant_of(self, node: JoinedNode, word: str | None) -> str | None:
        """The tenant that *word* means to this node. Raises `InvalidRequestError`."""
        if word is None:
            return None
        try:
            return str(self._seal.open(word, TENANT, node.id))
        except ValueError:
            raise _refused("/tenant", "expected what came with a lease") from None

    def opened(self, node: JoinedNode, receipt: str, at: str = "/receipt") -> Lease:
        """The lease that *receipt* holds, its body without the input. Raises `InvalidRequestError`."""
        try:
            queue, job_id, epoch, attempt, tenant_id, head, claimed_ms, enqueued_ms, history = self._seal.open(
                receipt, RECEIPT, node.id
            )
        except ValueError:
            raise _refused(at, "expected what came with a lease") from None
        return Lease(
            queue=queue,
            job_id=job_id,
            epoch=epoch,
            attempt=attempt,
            tenant_id=tenant_id,
            body=f"{head}\nnull".encode(),
            action=LeaseAction.RUN,
            claimed_ms=claimed_ms,
            enqueued_ms=enqueued_ms,
            history=tuple(history),
        )

    def _lease(self, desk: Desk, receipt: str, at: str = "/receipts") -> Lease:
        lease = self.opened(desk.node, receipt, at)
        if lease.queue != desk.queue:
            raise _refused(at, f"expected leases of the queue {desk.queue}")
        return lease

    def _given(self, desk: Desk, lease: Lease) -> Values:
        head, _, input_json = lease.body.partition(b"\n")
        held = [
            lease.queue, lease.job_id, lease.epoch, lease.attempt, lease.tenant_id, head.decode(),
            lease.claimed_ms, lease.enqueued_ms, list(lease.history),
        ]  # fmt: skip
        return lease_values(
            lease,
            receipt=self._seal.close(held, RECEIPT, desk.node.id),
            tenant=self._seal.close(lease.tenant_id, TENANT, desk.node.id),
            body=_shown(head) + b"\n" + input_json,
        )

    def _completion(self, desk: Desk, values: Values, at: int) -> Completion:
        where = f"/completions/{at}"
        lease = self._lease(desk, str(values.get("receipt")), f"{where}/receipt")
        try:
            done = read_completion(values, lease)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _refused(where, f"expected an outcome ({type(error).__name__}: {error})") from None
        now = self._clock()
        done.metrics = plausible(done.metrics, lease, now)
        if done.started_ms is not None:
            done.started_ms = min(max(done.started_ms, lease.claimed_ms), to_ms(now))
        return done

    def _execution(self, desk: Desk, notify: Notify | None = None) -> JobExecution:
        return JobExecution(
            self._queue,
            self._store,
            queue_name=desk.queue,
            executor_id=desk.claimer,
            lease_s=self._lease_s,
            clock=self._clock,
            notify=notify or self._notify,
            ran_by=desk.ran_by,
        )


def plausible(metrics: Mapping[str, float | None], lease: Lease, now: datetime) -> dict[str, float | None]:
    """*metrics* as a node may have measured them: none below 0, and no time longer than since the claim."""
    most_s = max(0.0, (to_ms(now) - lease.claimed_ms) / 1000) + 1.0
    found: dict[str, float | None] = {}
    for name, value in metrics.items():
        if value is None or not math.isfinite(value):
            found[name] = None
        elif name in {"run_s", "setup_s", "gpu_s"}:
            found[name] = min(max(0.0, value), most_s)
        else:
            found[name] = max(0, value)
    found["queue_s"] = max(0, lease.claimed_ms - lease.enqueued_ms) / 1000
    return found


def _shown(head: bytes) -> bytes:
    """The first line of a job's orders without what is no node's business (see `orders`)."""
    header = orjson.loads(head)
    if len(header) > 5:
        more = {name: value for name, value in header[5].items() if name in _SEEN_BY_NODES}
        header[5:] = [more] if more else []
    return orjson.dumps(header)


def _refused(pointer: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"{pointer[1:]}: {detail}", errors=[FieldError(pointer, detail)])

"""
Takes deliveries from the webhook queue and has them sent by a few threads.

The webhook queue is a `JobQueue` like any other, so a lost sender's deliveries are
claimed again, tenants get fair turns, and a dead receiver delays nobody's job.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import structlog

from jangada.clock import Clock, to_ms, utc_now
from jangada.errors import StoreUnavailableError
from jangada.ids import new_id
from jangada.jobs.claims import Claims
from jangada.jobs.queue import Finish, JobQueue, Lease, LeaseAction, LeaseState
from jangada.webhooks.delivery import DeliveryState
from jangada.webhooks.lanes import Held, Lanes
from jangada.webhooks.message import QUEUE, parse
from jangada.webhooks.sender import JobNotReadyError, WebhookSender

_log = structlog.get_logger()

LEASE_S = 30.0
_RENEW_EVERY_S = 8.0
_LOOK_AGAIN_S = 1.0


class WebhookDispatcher:
    """One per process; `start` and `stop` it. Threads are made only when there is something to send."""

    def __init__(
        self,
        queue: JobQueue,
        sender: WebhookSender,
        *,
        senders: int = 16,
        per_endpoint: int = 2,
        hold: int = 128,
        idle_s: float = 5.0,
        clock: Clock = utc_now,
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._senders = senders
        self._hold = hold
        self._idle_s = idle_s
        self._clock = clock
        self._name = new_id("whk")
        self._claims = Claims(queue, QUEUE, self._name)
        self._lanes = Lanes(per_endpoint=per_endpoint, per_tenant=max(per_endpoint, senders // 2))
        self._held: dict[str, Held] = {}
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._pool: ThreadPoolExecutor | None = None
        self._thread: threading.Thread | None = None
        self._renewed = time.monotonic()

    def start(self) -> None:
        """Begin to claim and send; returns at once."""
        self._pool = ThreadPoolExecutor(self._senders, thread_name_prefix="webhook")
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 20.0) -> None:
        """Claim nothing more, let what is being sent end, hand back what waits."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        waiting = [held.lease for held in self._lanes.waiting()]
        if waiting:
            try:
                self._queue.release(QUEUE, waiting)
            except StoreUnavailableError as error:
                _log.warning("webhook.not_released", reason=error.detail)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._turn()
            except StoreUnavailableError as error:
                _log.warning("webhook.store_unavailable", reason=error.detail)
                self._stopping.wait(_LOOK_AGAIN_S)

    def _turn(self) -> None:
        self._renew()
        room = self._hold - len(self._held)
        if room <= 0:
            with self._changed:
                self._changed.wait_for(lambda: len(self._held) < self._hold or self._stopping.is_set(), _LOOK_AGAIN_S)
            return
        claimed = self._claims.claim(min(room, 32), settle=32, lease_s=LEASE_S)
        for lease in claimed.leases:
            self._take(lease)
        if not claimed.leases:
            self._queue.wait_for_bell(QUEUE, self._pause_s(claimed.next_due_ms))

    def _pause_s(self, next_due_ms: int | None) -> float:
        if next_due_ms is None:
            return self._idle_s
        return min(max((next_due_ms - to_ms(self._clock())) / 1000, 0.05), self._idle_s)

    def _take(self, lease: Lease) -> None:
        try:
            held = Held(lease, parse(lease.body))
        except (ValueError, KeyError) as error:
            _log.error("webhook.unreadable_entry", delivery_id=lease.job_id, reason=str(error))
            self._finish(lease, "failed")
            return
        if lease.action is not LeaseAction.RUN:
            self._sender.give_up(held.delivery, "given up: its senders vanished too often")
            self._finish(lease, "failed")
            return
        delay_s = self._lanes.add(held)
        if delay_s is not None:
            self._put_back(lease, delay_s)
            return
        with self._changed:
            self._held[lease.job_id] = held
        self._fill()

    def _fill(self) -> None:
        """Give every free sender something to send, as far as the lanes allow."""
        while not self._stopping.is_set() and (held := self._lanes.next()) is not None:
            assert self._pool is not None  # noqa: S101 - set by start, before anything can be claimed
            self._pool.submit(self._send, held)

    def _send(self, held: Held) -> None:
        try:
            self._attempt(held)
        except StoreUnavailableError as error:
            # The lease runs out and the delivery is claimed again; the attempt may be repeated, with the same id.
            _log.warning("webhook.store_unavailable", delivery_id=held.delivery.id, reason=error.detail)
        except Exception as error:  # noqa: BLE001 - the edge of a thread
            # The edge of this thread: a fault of ours must not end the sending of others.
            _log.error("webhook.sender_failed", delivery_id=held.delivery.id, exc_info=error)
            self._put_back_quietly(held.lease, 300.0)
        finally:
            self._lanes.done(held)
            with self._changed:
                self._held.pop(held.lease.job_id, None)
                self._changed.notify_all()
            if not self._stopping.is_set():
                self._fill()

    def _attempt(self, held: Held) -> None:
        try:
            after = self._sender.attempt(held.delivery)
        except JobNotReadyError:
            self._put_back(held.lease, _LOOK_AGAIN_S)
            return
        except StoreUnavailableError:
            self._put_back_quietly(held.lease, 5.0)
            raise
        if after.state is DeliveryState.PENDING and after.next_at is not None and after.epoch == held.delivery.epoch:
            delay_s = max(0.0, (after.next_at - self._clock()).total_seconds())
            self._put_back(held.lease, delay_s)
        else:
            self._finish(held.lease, after.state.value)

    def _finish(self, lease: Lease, status: str) -> None:
        self._queue.finish_and_claim(QUEUE, self._name, finished=[Finish(lease, status)], settle=0)

    def _put_back(self, lease: Lease, delay_s: float) -> None:
        # Short, since a delivery may be put back many times; what was answered is in the delivery's own record.
        attempt = {"number": lease.attempt, "outcome": "handed_back", "error": None, "executor_id": None}
        attempt["ended_ms"] = to_ms(self._clock())
        self._queue.retry(QUEUE, lease, delay_s=delay_s, attempt=attempt)

    def _put_back_quietly(self, lease: Lease, delay_s: float) -> None:
        try:
            self._put_back(lease, delay_s)
        except StoreUnavailableError as error:
            _log.warning("webhook.not_put_back", delivery_id=lease.job_id, reason=error.detail)

    def _renew(self) -> None:
        if time.monotonic() - self._renewed < _RENEW_EVERY_S:
            return
        self._renewed = time.monotonic()
        with self._changed:
            held = list(self._held.values())
        if not held:
            return
        states = self._queue.renew(QUEUE, self._name, [one.lease for one in held], LEASE_S)
        lost = {one.lease.job_id for one, state in zip(held, states, strict=True) if state is LeaseState.LOST}
        if lost:
            self._lanes.drop(lost)
            waiting = {one.lease.job_id for one in self._lanes.waiting()}
            with self._changed:
                for delivery_id in lost - waiting:
                    self._held.pop(delivery_id, None)

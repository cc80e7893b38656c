"""One attempt of one delivery: render, sign, POST, judge the answer, keep the record."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import structlog

from jangada.clock import Clock, utc_now
from jangada.jobs.job import Job
from jangada.jobs.store import JobStore
from jangada.webhooks.delivery import Delivery, DeliveryAttempt, DeliveryState
from jangada.webhooks.guard import OutboundError, OutboundGuard, Reply
from jangada.webhooks.message import WebhookRequest, render
from jangada.webhooks.secrets import secrets_of
from jangada.webhooks.store import WebhookStore

_log = structlog.get_logger()

TIMEOUT_S = 15.0
_GONE = 410
_HONOURED = frozenset({429, 503})
"""Statuses whose `Retry-After` counts."""


class JobNotReadyError(Exception):
    """The stored job is not final yet, though its end was announced; look again shortly."""


class WebhookSender:
    """Sends. Knows no queue."""

    def __init__(
        self,
        jobs: JobStore,
        store: WebhookStore,
        guard: OutboundGuard,
        *,
        base_url: str = "",
        timeout_s: float = TIMEOUT_S,
        clock: Clock = utc_now,
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._guard = guard
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._clock = clock

    def attempt(self, made: Delivery) -> Delivery:
        """
        Make one attempt of the delivery that was queued as *made*; return its stored record.

        Changes nothing when the record says that it was delivered, given up or begun
        anew. Raises `StoreUnavailableError`, or `JobNotReadyError`; nothing is counted then.
        """
        delivery = self._store.get(made.id) or made
        if delivery.state is not DeliveryState.PENDING or delivery.epoch > made.epoch:
            return delivery
        job = self._jobs.get(delivery.job_id, delivery.tenant_id)
        if job is not None and delivery.event == "completed" and not job.is_final:
            raise JobNotReadyError(delivery.job_id)
        attempt = self._send(delivery, job)
        after = delivery.after(attempt)
        self._store.save(after)
        _log.info(
            "webhook.attempted",
            delivery_id=after.id,
            tenant_id=after.tenant_id,
            job_id=after.job_id,
            attempt=len(after.attempts),
            status=attempt.status,
            error=attempt.error,
            state=after.state.value,
            duration_ms=attempt.duration_ms,
        )
        return after

    def give_up(self, made: Delivery, reason: str) -> Delivery:
        """Mark the delivery as failed without sending it."""
        delivery = self._store.get(made.id) or made
        after = delivery.after(DeliveryAttempt(self._clock(), 0, None, reason, permanent=True))
        self._store.save(after)
        return after

    def _send(self, delivery: Delivery, job: Job | None) -> DeliveryAttempt:
        if self._store.is_disabled(delivery.tenant_id, delivery.url):
            return DeliveryAttempt(
                self._clock(), 0, None, "not sent: the endpoint answered 410 before and is disabled", permanent=True
            )
        now = self._clock()
        secrets = secrets_of(self._store, delivery.tenant_id, now).in_force(now)
        request = render(delivery, job, secrets, now=now, base_url=self._base_url)
        attempt = self._post(delivery.url, request, now)
        if attempt.status == _GONE:
            self._store.disable(delivery.tenant_id, delivery.url, now)
        return attempt

    def _post(self, url: str, request: WebhookRequest, now: datetime) -> DeliveryAttempt:
        began = time.monotonic()

        def after(
            status: int | None, error: str | None, retry_after_s: float | None, permanent: bool
        ) -> DeliveryAttempt:
            duration_ms = round((time.monotonic() - began) * 1000)
            return DeliveryAttempt(now, duration_ms, status, error, retry_after_s, permanent)

        try:
            reply = self._guard.request(
                "POST", url, headers=request.headers, body=request.body, timeout_s=self._timeout_s, max_bytes=1024
            )
        except OutboundError as error:
            return after(None, f"{error.reason}: {error}", None, error.reason == "refused")
        return after(reply.status, _why_not(reply), _retry_after_s(reply, now), reply.status == _GONE)


def _why_not(reply: Reply) -> str | None:
    if 200 <= reply.status < 300:
        return None
    if 300 <= reply.status < 400:
        return f"redirect: {reply.status} to {reply.headers.get('location', '?')[:200]}; redirects are not followed"
    return f"status: {reply.status}"


def _retry_after_s(reply: Reply, now: datetime) -> float | None:
    """`Retry-After` of a 429 or 503, in seconds; RFC 9110 §10.2.3 allows a number and a date."""
    text = reply.headers.get("retry-after")
    if reply.status not in _HONOURED or not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds())

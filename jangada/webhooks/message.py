"""
A delivery in its two written forms: the entry in the webhook queue, and the HTTP request.

The request is rendered anew at each attempt from the stored job, which is final by
then; the `webhook-id` stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from jangada.clock import from_ms, rfc3339, to_ms
from jangada.jobs.job import Job, JobStatus
from jangada.jobs.queue import QueueEntry
from jangada.jobs.view import job_object, thin_job_object
from jangada.webhooks.delivery import Delivery
from jangada.webhooks.signing import signed_headers

QUEUE = "_webhooks"
"""The queue of deliveries; an algorithm's name, and so its queue, begins with a letter or a digit."""
THIN_OVER_BYTES = 20_000
SENDER_ATTEMPTS = 1000
"""The queue's own attempts (also of senders that vanished); the retry schedule is in `delivery`."""


def entry(delivery: Delivery, *, weight: float = 1.0, not_before: datetime | None = None) -> QueueEntry:
    """*delivery* as the webhook queue takes it."""
    body = {
        "id": delivery.id,
        "tenant": delivery.tenant_id,
        "job": delivery.job_id,
        "event": delivery.event,
        "type": delivery.type,
        "url": delivery.url,
        "format": delivery.format,
        "created_ms": to_ms(delivery.created_at),
        "data": delivery.data,
        "epoch": delivery.epoch,
    }
    return QueueEntry(
        job_id=delivery.id,
        tenant_id=delivery.tenant_id,
        body=orjson.dumps(body),
        weight=weight,
        epoch=delivery.epoch,
        max_attempts=SENDER_ATTEMPTS,
        not_before_ms=None if not_before is None else to_ms(not_before),
    )


def parse(body: bytes) -> Delivery:
    """Read what `entry` wrote: the delivery as it was made, without attempts."""
    read = orjson.loads(body)
    return Delivery(
        id=read["id"],
        tenant_id=read["tenant"],
        job_id=read["job"],
        event=read["event"],
        type=read["type"],
        url=read["url"],
        format=read["format"],
        created_at=from_ms(read["created_ms"]),
        data=read["data"],
        epoch=read["epoch"],
    )


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """What is POSTed."""

    headers: dict[str, str]
    body: bytes


def render(
    delivery: Delivery, job: Job | None, secrets_in_force: list[str], *, now: datetime, base_url: str = ""
) -> WebhookRequest:
    """
    The request for *delivery*; *job* is None when retention has removed it meanwhile.

    The body is thin (id, status and links) over 20 kB. Source: api-conventions §6.
    """
    happened_at = delivery.created_at
    if delivery.event == "completed" and job is not None and job.completed_at is not None:
        happened_at = job.completed_at
    data = _data(delivery, job, base_url)
    body = _body(delivery, data, happened_at)
    if len(body) > THIN_OVER_BYTES and job is not None:
        body = _body(delivery, thin_job_object(job, base_url), happened_at)
    headers = {"content-type": "application/json", "user-agent": "jangada-webhooks/1"}
    headers |= signed_headers(secrets_in_force, delivery.id, int(now.timestamp()), body)
    if delivery.format == "cloudevents":
        headers |= _cloudevent_headers(delivery, job, happened_at)
    if job is not None:
        headers |= _job_headers(delivery, job)
    return WebhookRequest(headers, body)


def _data(delivery: Delivery, job: Job | None, base_url: str) -> dict[str, Any]:
    if job is None:
        return {"id": delivery.job_id, "object": "job", "status": delivery.type.removeprefix("job.")}
    if delivery.event == "completed":
        return job_object(job, base_url)
    if delivery.event == "started":
        live = job.with_(status=JobStatus.RUNNING, **(delivery.data or {}), output=None, error=None, completed_at=None)
        return job_object(live, base_url)
    return thin_job_object(job, base_url)


def _body(delivery: Delivery, data: dict[str, Any], happened_at: datetime) -> bytes:
    if delivery.format == "cloudevents":
        return orjson.dumps(data)
    return orjson.dumps({"type": delivery.type, "timestamp": rfc3339(happened_at), "data": data})


def _cloudevent_headers(delivery: Delivery, job: Job | None, happened_at: datetime) -> dict[str, str]:
    """CloudEvents 1.0.2, HTTP binding, binary mode."""
    return {
        "ce-specversion": "1.0",
        "ce-id": delivery.id,
        "ce-type": f"io.jangada.{delivery.type}",
        "ce-source": f"/v1/deployments/{job.deployment}" if job is not None else "/v1/jobs",
        "ce-subject": delivery.job_id,
        "ce-time": rfc3339(happened_at),
    }


def _job_headers(delivery: Delivery, job: Job) -> dict[str, str]:
    headers: dict[str, str] = {}
    if job.traceparent is not None:
        headers["traceparent"] = job.traceparent
    # The job came through an OpenFaaS gateway: also speak as its queue worker does when it calls back.
    if job.call_id is not None and delivery.event == "completed":
        headers["X-Call-Id"] = job.call_id
        headers["X-Function-Name"] = job.deployment
        headers["X-Function-Status"] = "200" if job.status is JobStatus.SUCCEEDED else "500"
        if job.completed_at is not None:
            headers["X-Duration-Seconds"] = f"{(job.completed_at - job.created_at).total_seconds():.6f}"
    return headers

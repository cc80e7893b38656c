"""
What an executor has to know of a job: the opaque `body` of a `QueueEntry`.

Two lines: a JSON header, then the input as JSON. Whoever only needs the header
(webhook, deadline) never parses the input, and the executor can hand the input
to its child as the bytes they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from jangada.clock import to_ms
from jangada.jobs.job import EPOCH_SHIFT, JSON, Attempt, Job, Webhook
from jangada.jobs.queue import QueueEntry


@dataclass(frozen=True, slots=True)
class Orders:
    """
    One job as its executor sees it. Times in ms since 1970, durations in seconds.

    `input_json` is the input when it is inline (`input_file` is None), else ``b"null"``.
    """

    job_id: str
    tenant_id: str
    algorithm: str
    algorithm_version: str
    deployment: str
    created_ms: int
    execution_timeout_s: float
    max_attempts: int
    input_json: bytes = b"null"
    input_file: str | None = None
    file_ids: tuple[str, ...] = ()
    deadline_ms: int | None = None
    webhook: Webhook | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    traceparent: str | None = None
    request_id: str | None = None
    history: tuple[dict[str, Any], ...] = ()
    """Attempts of earlier epochs, before the queue was lost; `Lease.history` has those of this one."""

    @property
    def input(self) -> JSON:
        """The inline input, parsed anew on each call."""
        return orjson.loads(self.input_json)


def orders(job: Job) -> bytes:
    """The body for *job*."""
    header: dict[str, Any] = {
        "id": job.id,
        "tenant": job.tenant_id,
        "algorithm": job.algorithm,
        "version": job.algorithm_version,
        "deployment": job.deployment,
        "created_ms": to_ms(job.created_at),
        "timeout_s": job.policy.execution_timeout_s,
        "max_attempts": job.policy.max_attempts,
    }
    if job.input_file is not None:
        header["input_file"] = job.input_file
    if job.file_ids:
        header["file_ids"] = job.file_ids
    if job.deadline_at is not None:
        header["deadline_ms"] = to_ms(job.deadline_at)
    if job.webhook is not None:
        hook = job.webhook
        header["webhook"] = {"url": hook.url, "events": hook.events, "format": hook.format}
    if job.metadata:
        header["metadata"] = job.metadata
    if job.traceparent is not None:
        header["traceparent"] = job.traceparent
    if job.request_id is not None:
        header["request_id"] = job.request_id
    if job.attempts:
        header["history"] = history_of(job.attempts)
    return orjson.dumps(header) + b"\n" + (b"null" if job.input_file is not None else orjson.dumps(job.input))


def parse(body: bytes) -> Orders:
    """Read what `orders` wrote. Raises `ValueError` when it is not that."""
    head, newline, input_json = body.partition(b"\n")
    if not newline:
        raise ValueError("orders have no input line")
    header = orjson.loads(head)
    hook = header.get("webhook")
    return Orders(
        job_id=header["id"],
        tenant_id=header["tenant"],
        algorithm=header["algorithm"],
        algorithm_version=header["version"],
        deployment=header["deployment"],
        created_ms=header["created_ms"],
        execution_timeout_s=header["timeout_s"],
        max_attempts=header["max_attempts"],
        input_json=input_json,
        input_file=header.get("input_file"),
        file_ids=tuple(header.get("file_ids", ())),
        deadline_ms=header.get("deadline_ms"),
        webhook=Webhook(hook["url"], tuple(hook["events"]), hook["format"]) if hook else None,
        metadata=header.get("metadata", {}),
        traceparent=header.get("traceparent"),
        request_id=header.get("request_id"),
        history=tuple(header.get("history", ())),
    )


def entry(job: Job) -> QueueEntry:
    """*job* as the queue takes it. Attempts used up in earlier epochs count against `max_attempts`."""
    return QueueEntry(
        job_id=job.id,
        tenant_id=job.tenant_id,
        body=orders(job),
        priority=job.priority,
        weight=job.weight,
        epoch=job.fence >> EPOCH_SHIFT,
        max_attempts=max(1, job.policy.max_attempts - counted(job.attempts)),
        expires_ms=None if job.expires_at is None else to_ms(job.expires_at),
        deadline_ms=None if job.deadline_at is None else to_ms(job.deadline_at),
    )


def counted(attempts: Iterable[Attempt]) -> int:
    """How many of *attempts* count against `max_attempts`: all but those that a deploy handed back."""
    return sum(1 for attempt in attempts if attempt.outcome != "handed_back")


def history_of(attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
    """*attempts* in the form that `Lease.history` has."""
    return [
        {
            "number": attempt.number,
            "outcome": attempt.outcome,
            "error": attempt.error,
            "executor_id": attempt.executor_id,
            "ended_ms": None if attempt.ended_at is None else to_ms(attempt.ended_at),
        }
        for attempt in attempts
    ]

"""
A job as a MongoDB document, and back.

What clients wrote (input, metadata) and algorithms said (output, errors) is kept as
JSON text: any key is allowed in it (`$`, `.`, ""), and nothing walks through it.

Three fields exist for their index alone, each one text with everything a query
ranges over. One-field indexes are what every server behind MongoDB's protocol
really uses; the embedded one scans for a compound.

    by_tenant   "<tenant> <id>"            pages of a tenant
    by_status   "<tenant> <status> <id>"   pages by status, counting
    open        "<id>" until final         what sweep walks

`unique` has a unique index: one job of a tenant and algorithm for each key. It goes
with the final status, or, of a job with `unique_until_ms`, when somebody asks later.

Instants are numbers, ms since 1970: the embedded server gives dates that an update
set back as text.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from jangada.clock import from_ms, to_ms
from jangada.jobs.job import (
    FINAL_FENCE,
    JSON,
    Attempt,
    Job,
    JobStatus,
    Policy,
    Priority,
    RanBy,
    Unique,
    Webhook,
)
from jangada.jobs.orders import history_of, ran_by_entry
from jangada.jobs.store import Outcome

Document = dict[str, Any]

_OPTIONAL = (
    "input_file",
    "status_detail",
    "retry_of",
    "request_id",
    "traceparent",
    "call_id",
)


def by_tenant(tenant_id: str, job_id: str = "") -> str:
    """Sorts a tenant's jobs by id."""
    return f"{tenant_id} {job_id}"


def by_status(tenant_id: str, status: str, job_id: str = "") -> str:
    """Sorts a tenant's jobs of one status by id."""
    return f"{tenant_id} {status} {job_id}"


def unique_mark(job: Job) -> str | None:
    """What at most one document may have as `unique`."""
    if job.unique is None:
        return None
    return hashlib.sha256(f"{job.tenant_id}\0{job.algorithm}\0{job.unique.key}".encode()).hexdigest()[:40]


def to_document(job: Job) -> Document:
    """What is inserted for *job*. Absent stands for None, empty or the default."""
    policy = job.policy
    document: Document = {
        "_id": job.id,
        "by_tenant": by_tenant(job.tenant_id, job.id),
        "by_status": by_status(job.tenant_id, job.status.value, job.id),
        "tenant_id": job.tenant_id,
        "algorithm": job.algorithm,
        "algorithm_version": job.algorithm_version,
        "deployment": job.deployment,
        "queue": job.queue,
        "status": job.status.value,
        "fence": job.fence,
        "created_ms": to_ms(job.created_at),
        "policy": [policy.queue_ttl_s, policy.execution_timeout_s, policy.deadline_s, policy.max_attempts],
    }
    if not job.is_final:
        document["open"] = job.id
    if job.input is not None:
        document["input"] = _text(job.input)
    if job.priority is not Priority.NORMAL:
        document["priority"] = job.priority.value
    if job.webhook is not None:
        document["webhook"] = {
            "url": job.webhook.url,
            "events": list(job.webhook.events),
            "format": job.webhook.format,
        }
    if job.metadata:
        document["metadata"] = _text(job.metadata)
    if job.file_ids:
        document["file_ids"] = list(job.file_ids)
    if job.weight != 1.0:
        document["weight"] = job.weight
    return document | _instants(job) | _unique_fields(job) | _optional(job)


def _optional(job: Job) -> Document:
    fields = {name: getattr(job, name) for name in _OPTIONAL}
    return {name: value for name, value in fields.items() if value is not None}


def _instants(job: Job) -> Document:
    instants = {"expires_ms": job.expires_at, "deadline_ms": job.deadline_at, "run_ms": job.run_at}
    return {name: to_ms(instant) for name, instant in instants.items() if instant is not None}


def mark_of(executor_id: str) -> int:
    """Enough of an executor's id to tell it from another that has the same attempt of the same job."""
    return zlib.crc32(executor_id.encode())


def outcome_changes(outcome: Outcome) -> Document:
    """The update that makes *outcome* the job's. `won` and `by` remember which attempt, and whose, wrote it."""
    changes: Document = {
        "status": outcome.status.value,
        "by_status": by_status(outcome.tenant_id, outcome.status.value, outcome.job_id),
        "fence": FINAL_FENCE,
        "won": outcome.fence,
        "by": mark_of(outcome.executor_id),
        "attempt": outcome.attempt,
        "completed_ms": to_ms(outcome.completed_at),
    }
    if outcome.output is not None:
        changes["output"] = _text(outcome.output)
    if outcome.output_file is not None:
        changes["output_file"] = outcome.output_file
    if outcome.error is not None:
        changes["error"] = _text(outcome.error)
    if outcome.attempts:
        changes["attempts"] = attempts_text(outcome.attempts)
    if outcome.claimed_at is not None:
        changes["claimed_ms"] = to_ms(outcome.claimed_at)
    if outcome.started_at is not None:
        changes["started_ms"] = to_ms(outcome.started_at)
    if outcome.metrics:
        changes["metrics"] = outcome.metrics
    if outcome.webhook_due:
        changes["webhook_due"] = 1
    changes |= ran_by_entry(outcome.ran_by)
    gone = {"open": 1, "unique": 1} if outcome.frees_unique else {"open": 1}
    return {"$set": changes, "$unset": gone}


def from_document(document: Document) -> Job:
    """The job in *document*."""
    fence = document["fence"]
    hook = document.get("webhook")
    ttl_s, timeout_s, deadline_s, max_attempts = document["policy"]
    return Job(
        id=document["_id"],
        tenant_id=document["tenant_id"],
        algorithm=document["algorithm"],
        algorithm_version=document["algorithm_version"],
        deployment=document["deployment"],
        queue=document["queue"],
        input=_json(document.get("input")),
        created_at=from_ms(document["created_ms"]),
        status=JobStatus(document["status"]),
        priority=Priority(document.get("priority", "normal")),
        policy=Policy(ttl_s, timeout_s, deadline_s, max_attempts),
        webhook=Webhook(hook["url"], tuple(hook["events"]), hook["format"]) if hook else None,
        metadata=_json(document.get("metadata")) or {},
        file_ids=tuple(document.get("file_ids", ())),
        fence=fence,
        attempt=document.get("attempt", 0),
        attempts=_attempts(document.get("attempts")),
        output=_json(document.get("output")),
        error=_json(document.get("error")),
        metrics=document.get("metrics") or {},
        weight=document.get("weight", 1.0),
        input_file=document.get("input_file"),
        output_file=document.get("output_file"),
        status_detail=document.get("status_detail"),
        retry_of=document.get("retry_of"),
        request_id=document.get("request_id"),
        traceparent=document.get("traceparent"),
        call_id=document.get("call_id"),
        claimed_at=_instant(document.get("claimed_ms")),
        started_at=_instant(document.get("started_ms")),
        completed_at=_instant(document.get("completed_ms")),
        expires_at=_instant(document.get("expires_ms")),
        deadline_at=_instant(document.get("deadline_ms")),
        run_at=_instant(document.get("run_ms")),
        unique=_unique(document),
        ran_by=_ran_by(document),
    )


def _unique_fields(job: Job) -> Document:
    unique = job.unique
    if unique is None:
        return {}
    fields: Document = {"unique": unique_mark(job), "unique_key": unique.key}
    if unique.until is not None:
        fields["unique_until_ms"] = to_ms(unique.until)
    return fields


def _unique(document: Document) -> Unique | None:
    key = document.get("unique_key")
    return None if key is None else Unique(key, _instant(document.get("unique_until_ms")))


def attempts_text(attempts: tuple[Attempt, ...]) -> str:
    """The history as it is stored."""
    return _text(history_of(attempts))


def attempts_of(history: list[dict[str, Any]] | tuple[dict[str, Any], ...]) -> tuple[Attempt, ...]:
    """The history as records; the reverse of `history_of`."""
    return tuple(
        Attempt(
            number=entry["number"],
            outcome=entry["outcome"],
            error=entry.get("error"),
            executor_id=entry.get("executor_id"),
            ended_at=None if entry.get("ended_ms") is None else from_ms(int(entry["ended_ms"])),
            ran_by=_ran_by(entry),
        )
        for entry in history
    )


def _ran_by(entry: Mapping[str, Any]) -> RanBy | None:
    told = entry.get("ran_by")
    return RanBy(*told) if told else None


def _attempts(text: str | None) -> tuple[Attempt, ...]:
    return () if text is None else attempts_of(orjson.loads(text))


def _text(value: JSON) -> str:
    return orjson.dumps(value).decode()


def _json(text: str | None) -> JSON:
    return None if text is None else orjson.loads(text)


def _instant(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_ms(milliseconds)

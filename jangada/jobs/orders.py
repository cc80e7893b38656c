"""
What an executor has to know of a job: the opaque `body` of a `QueueEntry`.

Two lines of JSON. The first is a list: algorithm, version, deployment (0: named
like the algorithm), seconds per attempt, most attempts, and, when there are any, an
object with what few jobs have. The second is the input. Whoever only needs the
first (webhook, deadline) never parses the input, and the executor can hand the
input to its child as the bytes they are.

A million of them lie in Redis, so what the lease says anyway (job, tenant, instants)
is not in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from jangada.clock import to_ms
from jangada.jobs.job import EPOCH_SHIFT, JSON, Attempt, Job, RanBy, Webhook
from jangada.jobs.queue import QueueEntry

_HOOK = b'"hook":'


@dataclass(slots=True)  # not frozen: as Lease
class Orders:
    """
    One job as its executor sees it, beside what the lease says. Times in ms since 1970, durations in seconds.

    `input_json` is the input when it is inline (`input_file` is None), else ``b"null"``.
    """

    algorithm: str
    algorithm_version: str
    deployment: str
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
    frees_unique: bool = False
    """The job's unique key is free when it has ended."""
    history: tuple[dict[str, Any], ...] = ()
    """Attempts of earlier epochs, before the queue was lost; `Lease.history` has those of this one."""

    @property
    def input(self) -> JSON:
        """The inline input, parsed anew on each call."""
        return orjson.loads(self.input_json)


def orders(job: Job) -> bytes:
    """The body for *job*."""
    timeout_s = job.policy.execution_timeout_s
    header: list[Any] = [
        job.algorithm,
        job.algorithm_version,
        0 if job.deployment == job.algorithm else job.deployment,
        int(timeout_s) if timeout_s == int(timeout_s) else timeout_s,
        job.policy.max_attempts,
    ]
    more = _more(job)
    if more:
        header.append(more)
    return orjson.dumps(header) + b"\n" + (b"null" if job.input_file is not None else orjson.dumps(job.input))


def _more(job: Job) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if job.input_file is not None:
        more["input"] = job.input_file
    if job.file_ids:
        more["files"] = job.file_ids
    if job.deadline_at is not None:
        more["deadline"] = to_ms(job.deadline_at)
    if job.webhook is not None:
        more["hook"] = [job.webhook.url, job.webhook.events, job.webhook.format]
    if job.metadata:
        more["meta"] = job.metadata
    if job.traceparent is not None:
        more["trace"] = job.traceparent
    if job.request_id is not None:
        more["req"] = job.request_id
    if job.unique is not None and job.unique.until is None:
        more["uniq"] = 1
    if job.attempts:
        more["past"] = history_of(job.attempts)
    return more


def parse(body: bytes) -> Orders:
    """Read what `orders` wrote. Raises `ValueError` when it is not that."""
    head, newline, input_json = body.partition(b"\n")
    if not newline:
        raise ValueError("orders have no input line")
    header = orjson.loads(head)
    if not isinstance(header, list):
        raise ValueError("orders begin with a list")
    algorithm, version, deployment, timeout_s, max_attempts, *rest = header
    if not rest:
        return Orders(algorithm, version, deployment or algorithm, timeout_s, max_attempts, input_json)
    more = rest[0]
    hook = more.get("hook")
    return Orders(
        algorithm=algorithm,
        algorithm_version=version,
        deployment=deployment or algorithm,
        execution_timeout_s=timeout_s,
        max_attempts=max_attempts,
        input_json=input_json,
        input_file=more.get("input"),
        file_ids=tuple(more.get("files", ())),
        deadline_ms=more.get("deadline"),
        webhook=Webhook(hook[0], tuple(hook[1]), hook[2]) if hook else None,
        metadata=more.get("meta", {}),
        traceparent=more.get("trace"),
        request_id=more.get("req"),
        frees_unique="uniq" in more,
        history=tuple(more.get("past", ())),
    )


def may_have_webhook(body: bytes) -> bool:
    """A quick look that spares most bodies being parsed: False is certain."""
    return _HOOK in body


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
        not_before_ms=None if job.run_at is None else to_ms(job.run_at),
        expires_ms=None if job.expires_at is None else to_ms(job.expires_at),
        deadline_ms=None if job.deadline_at is None else to_ms(job.deadline_at),
    )


def counted(attempts: Iterable[Attempt]) -> int:
    """How many of *attempts* count against `max_attempts`: all but those that a deploy handed back."""
    return sum(1 for attempt in attempts if attempt.outcome != "handed_back")


def ran_by_entry(ran_by: RanBy | None) -> dict[str, Any]:
    """*ran_by* as a history entry or a document has it: absent, or ``{"ran_by": [version, digest, model]}``."""
    if ran_by is None:
        return {}
    model = [] if ran_by.model is None else [ran_by.model]
    return {"ran_by": [ran_by.algorithm_version, ran_by.image_digest, *model]}


def history_of(attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
    """*attempts* in the form that `Lease.history` has."""
    return [
        {
            "number": attempt.number,
            "outcome": attempt.outcome,
            "error": attempt.error,
            "executor_id": attempt.executor_id,
            "ended_ms": None if attempt.ended_at is None else to_ms(attempt.ended_at),
            **ran_by_entry(attempt.ran_by),
        }
        for attempt in attempts
    ]

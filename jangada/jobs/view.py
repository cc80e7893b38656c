"""A job as the API shows it (api-conventions §3). Pure; links are relative to *base*."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from jangada.clock import rfc3339
from jangada.jobs.job import Attempt, Job, RanBy

METRICS = ("queue_s", "setup_s", "run_s", "cpu_s", "gpu_s", "peak_rss_bytes")


def job_object(job: Job, base: str = "") -> dict[str, Any]:
    """
    The job object: what submit, get, list, events and webhooks carry.

    *base* comes before `/v1`: empty, a prefix like `/function/router`, or a whole
    `https://host`.
    """
    return {
        "id": job.id,
        "object": "job",
        "algorithm": job.algorithm,
        "algorithm_version": job.algorithm_version,
        "deployment": job.deployment,
        "model": None,
        "status": job.status.value,
        "status_detail": job.status_detail,
        "progress": job.progress,
        "priority": job.priority.value,
        "attempt": job.attempt,
        "attempts": [_attempt(attempt) for attempt in job.attempts] if job.attempts else [],
        "policy": _policy(job),
        "input": job.input,
        "input_file": _file(job.input_file),
        "output": job.output,
        "output_file": _file(job.output_file),
        "error": job.error,
        "metadata": job.metadata,
        "unique_key": None if job.unique is None else job.unique.key,
        "retry_of": job.retry_of,
        "created_at": rfc3339(job.created_at),
        "run_at": _when(job.run_at),
        "claimed_at": _when(job.claimed_at),
        "started_at": _when(job.started_at),
        "completed_at": _when(job.completed_at),
        "expires_at": _when(job.expires_at),
        "deadline_at": _when(job.deadline_at),
        "ran_by": _ran_by(job.ran_by),
        "metrics": {name: job.metrics.get(name) for name in METRICS} | job.metrics,
        "urls": job_urls(job.id, base),
    }


def thin_job_object(job: Job, base: str = "") -> dict[str, Any]:
    """Id, status and links: what stands for a job whose object is too big for the occasion."""
    return {
        "id": job.id,
        "object": "job",
        "algorithm": job.algorithm,
        "status": job.status.value,
        "thin": True,
        "urls": job_urls(job.id, base),
    }


def job_urls(job_id: str, base: str = "") -> dict[str, str]:
    """Where the job and what belongs to it are found."""
    own = f"{base}/v1/jobs/{job_id}"
    return {"self": own, "events": f"{own}/events", "logs": f"{own}/logs", "cancel": f"{own}/cancel"}


def _when(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)


def _file(file_id: str | None) -> dict[str, str] | None:
    return None if file_id is None else {"file": file_id}


def _policy(job: Job) -> dict[str, Any]:
    policy = job.policy
    return {
        "queue_ttl_s": policy.queue_ttl_s,
        "execution_timeout_s": policy.execution_timeout_s,
        "deadline_s": policy.deadline_s,
        "max_attempts": policy.max_attempts,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "outcome": attempt.outcome,
        "error": attempt.error,
        "ended_at": _when(attempt.ended_at),
        "ran_by": _ran_by(attempt.ran_by),
    }


def _ran_by(ran_by: RanBy | None) -> dict[str, str | None] | None:
    if ran_by is None:
        return None
    return {
        "algorithm_version": ran_by.algorithm_version,
        "image_digest": ran_by.image_digest,
        "model": ran_by.model,
    }

"""Why a job is not taken, as the error that its submitter gets. Pure."""

from __future__ import annotations

from jangada.errors import DuplicateJobError, JangadaError, QueueDrainingError, QueueFullError, QuotaExceededError
from jangada.jobs.job import Job
from jangada.jobs.queue import Admission, QueueLimits


def duplicate(job: Job, holder: Job) -> Job | JangadaError:
    """What *job* gets when *holder* has its unique key: that one, or a refusal if it asked for it."""
    if job.unique is None or not job.unique.refuses:
        return holder
    return DuplicateJobError(f"{holder.id} has the unique key {job.unique.key!r}", extra={"job_id": holder.id})


def refusal(job: Job, admission: Admission, limits: QueueLimits) -> JangadaError:
    """For a queue that did not accept."""
    if admission is Admission.TENANT_FULL:
        return QuotaExceededError(
            f"tenant {job.tenant_id} holds as many unfinished jobs in queue {job.queue} as it may "
            f"(at most {limits.tenant_jobs} jobs, {limits.tenant_bytes} bytes)",
            retry_after_s=5.0,
            extra={"limit": {"name": "unfinished_jobs", "value": limits.tenant_jobs}} if limits.tenant_jobs else None,
        )
    if admission is Admission.DRAINING:
        return QueueDrainingError(f"queue {job.queue} takes no new jobs: it is being drained", retry_after_s=30.0)
    return QueueFullError(f"queue {job.queue} is full (at most {limits.queue_jobs} jobs)", retry_after_s=5.0)

"""What the routes of jobs work with, made once per process."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jangada.artifacts.store import ArtifactStore
from jangada.clock import Clock
from jangada.errors import UnknownJobError
from jangada.http.auth import caller
from jangada.http.holding import Holding
from jangada.http.trace import current_trace
from jangada.jobs.feedback import FeedbackStore
from jangada.jobs.job import Job
from jangada.jobs.queue import QueueLimits
from jangada.jobs.service import JobService
from jangada.settings import Settings
from jangada.tenants import Caller
from jangada.tenants.quota import quota_of

from .directory import Directory
from .replay import Replay
from .submission import Origin, Submission

_JOB_ID = re.compile(r"job_[0-9A-HJKMNP-TV-Z]{26}\Z")


@dataclass(frozen=True, slots=True)
class Parts:
    """Services, and the few objects that all routes share."""

    settings: Settings
    jobs: JobService
    artifacts: ArtifactStore
    feedback: FeedbackStore
    directory: Directory
    submission: Submission
    replay: Replay
    holding: Holding
    clock: Clock

    def job(self, job_id: str, scope: str) -> Job:
        """The caller's job. Raises `UnknownJobError` also for another tenant's and for what is no id at all."""
        tenant_id = caller(scope).tenant_id
        if not _JOB_ID.match(job_id):
            raise UnknownJobError(f"no job {job_id[:80]!r}")
        return self.jobs.get(job_id, tenant_id)

    def limits(self, who: Caller) -> QueueLimits:
        """The queue's caps, with the tenant's own."""
        quota = quota_of(who.tenant, default_jobs=self.settings.tenant_max_jobs)
        return QueueLimits(
            queue_jobs=self.settings.queue_max_jobs,
            queue_bytes=self.settings.queue_max_bytes,
            tenant_jobs=quota.jobs,
            tenant_bytes=quota.job_bytes,
        )


def origin(who: Caller) -> Origin:
    """Who makes the current request."""
    return Origin(who, current_trace())

"""The store in one process' memory: for tests and for trying things out; dies with the process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime

from jangada.jobs.document import unique_mark
from jangada.jobs.job import EPOCH_SHIFT, FINAL_FENCE, Job
from jangada.jobs.store import FenceRaise, JobFilter, LogLine, OpenJob, Outcome


class MemoryJobStore:
    """`JobStore` in memory, thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._won: dict[str, tuple[int, str]] = {}
        self._unique: dict[str, str] = {}
        self._lines: dict[str, dict[int, LogLine]] = {}
        self._webhooks: dict[str, None] = {}
        self._tombstones: dict[str, str] = {}

    def create_indexes(self) -> None:
        """Nothing to make: everything is a dictionary."""

    def insert_many(self, jobs: Sequence[Job]) -> list[bool]:
        with self._lock:
            inserted = []
            for job in jobs:
                mark = unique_mark(job)
                inserted.append(job.id not in self._jobs and self._unique.get(mark or "", "") not in self._jobs)
                if inserted[-1]:
                    self._jobs[job.id] = job
                    if mark is not None:
                        self._unique[mark] = job.id
            return inserted

    def unique_holder(self, job: Job) -> Job | None:
        with self._lock:
            return self._jobs.get(self._unique.get(unique_mark(job) or "", ""))

    def free_unique(self, job_id: str) -> None:
        with self._lock:
            self._unique = {mark: holder for mark, holder in self._unique.items() if holder != job_id}

    def delete_unfinished(self, job_ids: Sequence[str]) -> None:
        with self._lock:
            for job_id in job_ids:
                if job_id in self._jobs and not self._jobs[job_id].is_final:
                    del self._jobs[job_id]
                    self.free_unique(job_id)

    def write_outcomes(self, outcomes: Sequence[Outcome]) -> list[bool]:
        with self._lock:
            return [self._write(outcome) for outcome in outcomes]

    def _write(self, outcome: Outcome) -> bool:
        job = self._jobs.get(outcome.job_id)
        if job is None:
            return False
        if job.fence > outcome.fence:
            return self._won.get(job.id) == (outcome.fence, outcome.executor_id)
        self._won[job.id] = (outcome.fence, outcome.executor_id)
        if outcome.frees_unique:
            self.free_unique(job.id)
        self._jobs[job.id] = job.with_(
            status=outcome.status,
            fence=FINAL_FENCE,
            attempt=outcome.attempt,
            attempts=outcome.attempts or job.attempts,
            output=outcome.output,
            output_file=outcome.output_file,
            error=outcome.error,
            claimed_at=outcome.claimed_at,
            started_at=outcome.started_at,
            completed_at=outcome.completed_at,
            metrics=dict(outcome.metrics),
            ran_by=outcome.ran_by,
        )
        if outcome.webhook_due:
            self._webhooks[job.id] = None
        return True

    def raise_fences(self, raises: Sequence[FenceRaise]) -> list[bool]:
        with self._lock:
            answer = []
            for item in raises:
                job = self._jobs.get(item.job_id)
                allowed = job is not None and job.fence <= item.fence
                if job is not None and allowed:
                    self._jobs[job.id] = job.with_(fence=item.fence, attempts=item.attempts or job.attempts)
                answer.append(allowed)
            return answer

    def raise_epochs(self, jobs: Sequence[Job]) -> list[Job]:
        with self._lock:
            raised = []
            for job in jobs:
                stored = self._jobs.get(job.id)
                if stored is not None and stored.fence == job.fence and not stored.is_final:
                    fence = ((job.fence >> EPOCH_SHIFT) + 1) << EPOCH_SHIFT
                    self._jobs[job.id] = stored.with_(fence=fence)
                    raised.append(self._jobs[job.id])
            return raised

    def get(self, job_id: str, tenant_id: str | None = None) -> Job | None:
        with self._lock:
            job = self._jobs.get(job_id)
            return None if job is None or (tenant_id is not None and job.tenant_id != tenant_id) else job

    def get_many(self, job_ids: Sequence[str]) -> dict[str, Job]:
        with self._lock:
            return {job_id: self._jobs[job_id] for job_id in job_ids if job_id in self._jobs}

    def page(self, where: JobFilter, limit: int) -> list[Job]:
        with self._lock:
            found = [
                job
                for job in self._jobs.values()
                if job.tenant_id == where.tenant_id
                and (where.status is None or job.status == where.status)
                and (where.algorithm is None or job.algorithm == where.algorithm)
                and (where.deployment is None or job.deployment == where.deployment)
                and (where.before_id is None or job.id < where.before_id)
            ]
        return sorted(found, key=lambda job: job.id, reverse=True)[:limit]

    def unfinished(self, *, created_before: datetime, after_id: str | None, limit: int) -> list[Job]:
        with self._lock:
            found = [
                job
                for job in self._jobs.values()
                if not job.is_final and job.created_at < created_before and job.id > (after_id or "")
            ]
        return sorted(found, key=lambda job: job.id)[:limit]

    def open_jobs(self, *, created_before: datetime, after_id: str | None, limit: int) -> list[OpenJob]:
        jobs = self.unfinished(created_before=created_before, after_id=after_id, limit=limit)
        return [OpenJob(job.id, job.queue) for job in jobs]

    def count_unfinished(self, tenant_id: str) -> int:
        with self._lock:
            return sum(1 for job in self._jobs.values() if job.tenant_id == tenant_id and not job.is_final)

    def append_logs(self, job_id: str, lines: Sequence[LogLine]) -> None:
        self.append_logs_many({job_id: lines})

    def append_logs_many(self, logs: Mapping[str, Sequence[LogLine]]) -> None:
        with self._lock:
            for job_id, lines in logs.items():
                kept = self._lines.setdefault(job_id, {})
                for line in lines:
                    kept.setdefault(line.number, line)

    def logs(self, job_id: str, *, after: int = 0, stream: str | None = None, limit: int = 1000) -> list[LogLine]:
        with self._lock:
            lines = sorted(self._lines.get(job_id, {}).values(), key=lambda line: line.number)
        return [line for line in lines if line.number > after and stream in (None, line.stream)][:limit]

    def webhooks_due(self, limit: int) -> list[Job]:
        with self._lock:
            return [self._jobs[job_id] for job_id in list(self._webhooks)[:limit]]

    def webhooks_sent(self, job_ids: Sequence[str]) -> None:
        with self._lock:
            for job_id in job_ids:
                self._webhooks.pop(job_id, None)

    def purge(self, *, completed_before: datetime, limit: int) -> int:
        with self._lock:
            old = [
                job
                for job in self._jobs.values()
                if job.is_final and job.completed_at is not None and job.completed_at < completed_before
            ][:limit]
            for job in old:
                self._tombstones[job.id] = job.tenant_id
                del self._jobs[job.id]
                for place in (self._lines, self._webhooks, self._won):
                    place.pop(job.id, None)
            return len(old)

    def was_purged(self, job_id: str, tenant_id: str) -> bool:
        with self._lock:
            return self._tombstones.get(job_id) == tenant_id

"""The client's side of a job: submit, look, wait, cancel. The only code that makes a job exist."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from jangada.clock import Clock, from_ms, to_ms, utc_now
from jangada.errors import (
    ConflictError,
    JangadaError,
    PurgedError,
    StoreUnavailableError,
    UnknownJobError,
)
from jangada.jobs.execution import JobExecution
from jangada.jobs.job import Job, JobStatus
from jangada.jobs.orders import entry
from jangada.jobs.outcome import LINES_PER_ATTEMPT
from jangada.jobs.queue import Admission, CancelResult, JobEvent, JobQueue, LiveJob, QueueEntry, QueueLimits
from jangada.jobs.refusal import duplicate, refusal
from jangada.jobs.store import JobFilter, JobStore, LogLine
from jangada.jobs.submission import Grouped
from jangada.jobs.sweep import requeue

FINAL_EVENTS = frozenset({f"job.{status.value}" for status in JobStatus if status.is_final})

LOOK_AGAIN_S = 2.0
"""How long `wait` trusts the events alone: one that got lost costs no more than this."""

PRESSED_S = 5.0
"""How long after a refusal the queue is asked before the store is written."""

_SETTLER = "platform"
_BATCH = 500
_ADMITTED = (Admission.ACCEPTED, Admission.DUPLICATE)


class JobService:
    """Jobs as clients see them. Thread-safe; one per process."""

    def __init__(
        self, queue: JobQueue, store: JobStore, *, clock: Clock = utc_now, limits: QueueLimits | None = None
    ) -> None:
        self._queue = queue
        self._store = store
        self._clock = clock
        self._limits = limits or QueueLimits()
        self._accept = Grouped(self._accept_group)
        self._pressed_until = 0.0

    def submit(self, job: Job, *, limits: QueueLimits | None = None) -> Job:
        """
        Make *job* durable and queue it; when this returns it will not be lost.

        Callers at the same moment share one grouped write. *limits* are the caps
        for its tenant, else the service's. Submitting an id again changes nothing.
        When another job has its unique key, that one is returned, or `DuplicateJobError` raised.
        Raises `QuotaExceededError`, `QueueFullError` or `StoreUnavailableError`;
        nothing is accepted then.
        """
        answer = self._accept((job, limits or self._limits))
        if isinstance(answer, JangadaError):
            raise answer
        return answer

    def submit_many(self, jobs: Sequence[Job], *, limits: QueueLimits | None = None) -> list[Job | JangadaError]:
        """
        As `submit`, each job with an outcome of its own, in order.

        A store that is away makes `StoreUnavailableError` the outcome of the jobs it
        was away for; those before them are accepted.
        """
        answers: list[Job | JangadaError] = []
        for start in range(0, len(jobs), _BATCH):
            group = [(job, limits or self._limits) for job in jobs[start : start + _BATCH]]
            try:
                answers += self._accept_group(group)
            except StoreUnavailableError as error:
                answers += [error] * len(group)
        return answers

    def _accept_group(self, group: Sequence[tuple[Job, QueueLimits]]) -> list[Job | JangadaError]:
        """
        Insert, then enqueue: one call each (per queue).

        The store comes before the queue: dying in between leaves a job that no
        executor knows yet, and the sweep finds it. The other order could run a job
        without a record.
        """
        entries = [entry(job) for job, _ in group]
        answers: list[Job | JangadaError] = [job for job, _ in group]
        if time.monotonic() < self._pressed_until:
            self._refuse_early(group, entries, answers)
        admitted = [at for at, answer in enumerate(answers) if not isinstance(answer, JangadaError)]
        inserted = self._store.insert_many([group[at][0] for at in admitted])
        known = [group[at][0].id for at, new in zip(admitted, inserted, strict=True) if not new]
        stored = self._store.get_many(known) if known else {}
        self._queue_again([job for job in stored.values() if not job.is_final])
        for at in admitted:
            job = group[at][0]
            answers[at] = stored.get(job.id, job)
        for at, new in zip(admitted, inserted, strict=True):
            if not new and group[at][0].id not in stored:
                answers[at] = self._taken(*group[at])
        fresh = {at for at, new in zip(admitted, inserted, strict=True) if new}
        self._enqueue_group(group, entries, answers, fresh)
        return answers

    def _taken(self, job: Job, limits: QueueLimits) -> Job | JangadaError:
        """The job that has *job*'s unique key, or *job* itself, accepted, when the key has become free."""
        holder = self._store.unique_holder(job)
        if holder is not None and holder.unique is not None:
            until = holder.unique.until
            if until is None or until > self._clock():
                return duplicate(job, holder)
            self._store.free_unique(holder.id)
        if not self._store.insert_many([job])[0]:
            # Somebody was quicker. Whose job it is now is known the next time.
            return ConflictError(f"another job with the unique key of {job.id} is just being submitted")
        answers: list[Job | JangadaError] = [job]
        self._enqueue_group([(job, limits)], [entry(job)], answers, {0})
        return answers[0]

    def _queue_again(self, jobs: Sequence[Job]) -> None:
        """
        Of jobs that were there before, queue those that the queue does not hold: a lost answer may have left them out.

        At their next epoch, as the sweep does: an executor from before a loss of
        the queue may still hold an attempt with the number that would come next.
        """
        for name in {job.queue for job in jobs}:
            ids = [job.id for job in jobs if job.queue == name]
            held = self._queue.holds(name, ids)
            requeue(self._queue, self._store, [job_id for job_id, known in zip(ids, held, strict=True) if not known])

    def _refuse_early(
        self, group: Sequence[tuple[Job, QueueLimits]], entries: list[QueueEntry], answers: list[Job | JangadaError]
    ) -> None:
        """Under pressure, ask the queue first: overload then costs the store nothing."""
        for places, limits in _by_queue(group):
            name = group[places[0]][0].queue
            said = self._queue.admit(name, [entries[at] for at in places], limits)
            for at, admission in zip(places, said, strict=True):
                if admission not in _ADMITTED:
                    answers[at] = self._refusal(group[at][0], admission, limits)

    def _refusal(self, job: Job, admission: Admission, limits: QueueLimits) -> JangadaError:
        self._pressed_until = time.monotonic() + PRESSED_S
        return refusal(job, admission, limits)

    def _enqueue_group(
        self,
        group: Sequence[tuple[Job, QueueLimits]],
        entries: list[QueueEntry],
        answers: list[Job | JangadaError],
        fresh: set[int],
    ) -> None:
        for places, limits in _by_queue(group):
            waiting = [at for at in places if at in fresh]
            if not waiting:
                continue
            name = group[waiting[0]][0].queue
            try:
                said = self._queue.enqueue_many(name, [entries[at] for at in waiting], limits)
            except StoreUnavailableError as error:
                self._take_back(waiting, answers, error)
                continue
            refused = [at for at, admission in zip(waiting, said, strict=True) if admission not in _ADMITTED]
            if refused:
                self._store.delete_unfinished([group[at][0].id for at in refused])
                verdicts = dict(zip(waiting, said, strict=True))
                for at in refused:
                    answers[at] = self._refusal(group[at][0], verdicts[at], limits)

    def _take_back(self, places: list[int], answers: list[Job | JangadaError], error: StoreUnavailableError) -> None:
        """
        The queue is away after the insert: remove the records, answer 503.

        If even that fails the jobs stay and the sweep queues them. Their clients
        were told 503 and may submit again, safely with an idempotency key.
        """
        ids = [answer.id for at in places if isinstance(answer := answers[at], Job)]
        with suppress(StoreUnavailableError):
            self._store.delete_unfinished(ids)
        for at in places:
            answers[at] = error

    def get(self, job_id: str, tenant_id: str) -> Job:
        """The job, with what is live laid over the record. Raises `UnknownJobError` or `PurgedError`."""
        job = self._stored(job_id, tenant_id)
        if job.is_final:
            return job
        return overlay(job, self._live(job.queue, [job.id])[0])

    def page(self, where: JobFilter, limit: int) -> list[Job]:
        """
        Newest first, live overlay on the unfinished ones.

        `queued`, `starting` and `running` are told apart by the overlay alone: asked
        for one of them, the tenant's unfinished jobs are looked through.
        """
        if where.status in (JobStatus.QUEUED, JobStatus.STARTING, JobStatus.RUNNING):
            return self._page_of_live(where, limit)
        return self._overlaid(self._store.page(where, limit))

    def _page_of_live(self, where: JobFilter, limit: int) -> list[Job]:
        found: list[Job] = []
        before = where.before_id
        while len(found) < limit:
            asked = JobFilter(where.tenant_id, JobStatus.QUEUED, where.algorithm, where.deployment, before)
            jobs = self._store.page(asked, _BATCH)
            found += [job for job in self._overlaid(jobs) if job.status is where.status]
            if len(jobs) < _BATCH:
                break
            before = jobs[-1].id
        return found[:limit]

    def _overlaid(self, jobs: list[Job]) -> list[Job]:
        by_queue: dict[str, list[str]] = {}
        for job in jobs:
            if not job.is_final:
                by_queue.setdefault(job.queue, []).append(job.id)
        live: dict[str, LiveJob | None] = {}
        for name, ids in by_queue.items():
            live.update(zip(ids, self._live(name, ids), strict=True))
        return [overlay(job, live.get(job.id)) for job in jobs]

    def _held(self, job: Job) -> bool:
        with suppress(StoreUnavailableError):
            return self._queue.holds(job.queue, [job.id])[0]
        return False

    def _live(self, queue: str, ids: list[str]) -> list[LiveJob | None]:
        try:
            return self._queue.live(queue, ids)
        except StoreUnavailableError:
            # Without Redis the record still answers; it says `queued`.
            return [None] * len(ids)

    def cancel(self, job_id: str, tenant_id: str) -> Job:
        """
        Queued: canceled when this returns. Running: flagged, ends soon. Final: returned unchanged.

        Raises `UnknownJobError`, `PurgedError`, `StoreUnavailableError`.
        """
        job = self._stored(job_id, tenant_id)
        if job.is_final:
            return job
        result, lease = self._queue.cancel(job.queue, job_id, executor_id=_SETTLER)
        if result is CancelResult.UNKNOWN:
            # Between the record's insert and the queue, just finished, or lost with Redis: queue it, then cancel it.
            job = self._stored(job_id, tenant_id)
            if job.is_final:
                return job
            requeue(self._queue, self._store, [job_id])
            result, lease = self._queue.cancel(job.queue, job_id, executor_id=_SETTLER)
        if lease is not None:
            execution = JobExecution(
                self._queue, self._store, queue_name=job.queue, executor_id=_SETTLER, clock=self._clock
            )
            execution.settle([lease])
            return self._stored(job_id, tenant_id)
        return self.get(job_id, tenant_id)

    def wait(self, job_id: str, tenant_id: str, timeout_s: float, *, known: Job | None = None) -> Job:
        """The job, as soon as it is final or *timeout_s* has passed. *known*, just submitted, saves the first look."""
        deadline = time.monotonic() + timeout_s
        job = known if known is not None else self._stored(job_id, tenant_id)
        after = 1
        while not job.is_final:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return overlay(job, self._live(job.queue, [job.id])[0])
            try:
                pause_s = min(left_s, LOOK_AGAIN_S)
                events = self._queue.events(job.queue, job_id, after=after, block_s=pause_s, only_end=True)
            except StoreUnavailableError:
                time.sleep(min(left_s, 0.5))
                events = []
            if events:
                after = events[-1].number
                if events[-1].type not in FINAL_EVENTS:
                    continue
            job = self._stored(job_id, tenant_id)
            if not events and not job.is_final and not self._held(job):
                # On its way into the queue, or lost with it until the next sweep.
                time.sleep(min(max(deadline - time.monotonic(), 0.0), 0.05))
        return job

    def events(self, job: Job, after: int = 0, block_s: float = 0.0) -> list[JobEvent]:
        """
        Events of *job* numbered above *after*, waiting up to *block_s* for the first.

        For a final job whose events are gone: one event with its final status.
        """
        if not job.is_final:
            began = time.monotonic()
            events = self._queue.events(job.queue, job.id, after=after, block_s=block_s)
            if events or time.monotonic() - began >= block_s:
                return events
            # The queue does not hold it: it has ended since *job* was read, or is not there yet.
            job = self._store.get(job.id) or job
            if not job.is_final:
                time.sleep(min(block_s, 0.05))
                return []
        try:
            events = self._queue.events(job.queue, job.id, after=after)
        except StoreUnavailableError:
            events = []
        if events:
            return events
        data = {"status": job.status.value, "attempt": job.attempt}
        at_ms = to_ms(job.completed_at or job.created_at)
        return [JobEvent(max(after, 1) + 1, f"job.{job.status.value}", data, at_ms)]

    def logs(self, job: Job, after: int = 0, stream: str | None = None, limit: int = 1000) -> list[LogLine]:
        """
        Captured lines numbered above *after*: from the store once kept there, else from the live events.

        Numbers grow along the job but have gaps: each attempt starts at a round million.
        """
        kept = self._store.logs(job.id, after=after, stream=stream, limit=limit)
        if job.is_final or len(kept) >= limit:
            return kept
        known = kept[-1].number if kept else after
        live: list[LogLine] = []
        attempt, line = 1, 0
        for event in self._queue.events(job.queue, job.id, after=0, limit=2000):
            if event.type in ("job.starting", "job.running"):
                if event.data.get("attempt", 1) != attempt:
                    line = 0
                attempt = event.data.get("attempt", 1)
            elif event.type == "job.log":
                line = int(event.data.get("number", line + 1))
                number = line if line >= LINES_PER_ATTEMPT else line + (attempt - 1) * LINES_PER_ATTEMPT
                told = str(event.data.get("stream", "log"))
                if number > known and stream in (None, told):
                    at_ms = int(event.data.get("at_ms", event.at_ms))
                    live.append(LogLine(number, attempt, told, str(event.data.get("text", "")), at_ms))
        return [*kept, *live][:limit]

    def _stored(self, job_id: str, tenant_id: str) -> Job:
        job = self._store.get(job_id, tenant_id)
        if job is not None:
            return job
        if self._store.was_purged(job_id, tenant_id):
            raise PurgedError(f"job {job_id} was removed by retention")
        raise UnknownJobError(f"there is no job {job_id}")


def _by_queue(group: Sequence[tuple[Job, QueueLimits]]) -> list[tuple[list[int], QueueLimits]]:
    """The places in *group* that can share one call: same queue, same caps."""
    places: dict[tuple[str, QueueLimits], list[int]] = {}
    for at, (job, limits) in enumerate(group):
        places.setdefault((job.queue, limits), []).append(at)
    return [(ats, limits) for (_, limits), ats in places.items()]


def overlay(job: Job, live: LiveJob | None) -> Job:
    """*job* as stored, with what the queue knows of it laid over; a final job stays as it is."""
    if live is None or job.is_final:
        return job
    return job.with_(
        status=JobStatus(live.status),
        attempt=live.attempt,
        progress=live.progress,
        status_detail=live.status_detail or (f"executor {live.executor_id}" if live.executor_id else None),
        claimed_at=None if live.claimed_ms is None else from_ms(live.claimed_ms),
        started_at=None if live.started_ms is None else from_ms(live.started_ms),
    )

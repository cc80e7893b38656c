"""The store on MongoDB, or on a server that speaks its protocol; `document.py` says what a job looks like in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from bson.errors import InvalidDocument
from pymongo import ASCENDING, DESCENDING, InsertOne, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from jangada.clock import Clock, to_ms, utc_now
from jangada.jobs.document import (
    Document,
    attempts_text,
    by_status,
    by_tenant,
    from_document,
    mark_of,
    outcome_changes,
    to_document,
    unique_mark,
)
from jangada.jobs.group_commit import GroupCommit
from jangada.jobs.job import EPOCH_SHIFT, FINAL_FENCE, Job, JobStatus
from jangada.jobs.store import FenceRaise, JobFilter, LogLine, OpenJob, Outcome, UnstorableError
from jangada.mongo_client import translated

DUPLICATE_KEY = 11000
TOO_LARGE = {10334, 17419, 17420}
TOMBSTONE_DAYS = 30


class MongoJobStore:
    """`JobStore` in the collections `jobs`, `job_logs` and `job_tombstones`."""

    def __init__(self, database: Database[Document], *, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._jobs = database["jobs"]
        self._group = GroupCommit(self._jobs)
        self._logs = database["job_logs"]
        self._tombstones = database["job_tombstones"]

    def create_indexes(self) -> None:
        """Make what is missing; quick when all are there. One field each, see `document.py`."""
        with translated():
            for field in ("by_tenant", "by_status", "open", "completed_ms", "webhook_due"):
                self._jobs.create_index([(field, ASCENDING)])
            self._jobs.create_index([("unique", ASCENDING)], unique=True, sparse=True)
            self._logs.create_index([("job_id", ASCENDING)])
            self._tombstones.create_index([("purged_ms", ASCENDING)])

    def insert_many(self, jobs: Sequence[Job]) -> list[bool]:
        inserted = [True] * len(jobs)
        if not jobs:
            return inserted
        with translated():
            try:
                with self._group.writing(len(jobs)) as collection:
                    collection.insert_many([to_document(job) for job in jobs], ordered=False)
            except BulkWriteError as error:
                for failure in _only_duplicates(error):
                    inserted[failure["index"]] = False
        return inserted

    def unique_holder(self, job: Job) -> Job | None:
        with translated():
            found = self._jobs.find_one({"unique": unique_mark(job)})
        return None if found is None else from_document(found)

    def free_unique(self, job_id: str) -> None:
        with translated():
            self._jobs.update_one({"_id": job_id}, {"$unset": {"unique": 1}})

    def delete_unfinished(self, job_ids: Sequence[str]) -> None:
        if job_ids:
            with translated():
                self._jobs.delete_many({"_id": {"$in": list(job_ids)}, "fence": {"$lt": FINAL_FENCE}})

    def write_outcomes(self, outcomes: Sequence[Outcome]) -> list[bool]:
        try:
            changes = [(outcome.job_id, outcome.fence, outcome_changes(outcome)) for outcome in outcomes]
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise UnstorableError(f"it cannot be written down: {error}") from error
        rows = self._write_fenced(changes, {"won": 1, "by": 1})
        if rows is None:
            return [True] * len(outcomes)
        wrote = {job_id: (row.get("won"), row.get("by")) for job_id, row in rows.items()}
        # A job that was written by an earlier version says nothing of whose attempt it was.
        return [
            wrote.get(outcome.job_id) in ((outcome.fence, mark_of(outcome.executor_id)), (outcome.fence, None))
            for outcome in outcomes
        ]

    def raise_fences(self, raises: Sequence[FenceRaise]) -> list[bool]:
        changes: list[tuple[str, int, Document]] = []
        for item in raises:
            fields: Document = {"fence": item.fence}
            if item.attempts:
                fields["attempts"] = attempts_text(item.attempts)
            changes.append((item.job_id, item.fence, {"$set": fields}))
        rows = self._write_fenced(changes, {"fence": 1})
        if rows is None:
            return [True] * len(changes)
        return [rows.get(job_id, {}).get("fence") == fence for job_id, fence, _ in changes]

    def _write_fenced(
        self, changes: list[tuple[str, int, Document]], fields: dict[str, int]
    ) -> dict[str, Document] | None:
        """Apply each change where the stored fence is not above its own; None, or *fields* of all when not all were."""
        if not changes:
            return None
        writes = [UpdateOne({"_id": job_id, "fence": {"$lte": fence}}, change) for job_id, fence, change in changes]
        with translated():
            with self._group.writing(len(writes)) as collection:
                matched = _bulk(collection, writes)
            if matched == len(changes):
                return None
            # The answer of a bulk says how many matched, not which: ask, which is rare.
            ids = [job_id for job_id, _, _ in changes]
            return {row["_id"]: row for row in self._jobs.find({"_id": {"$in": ids}}, fields)}

    def raise_epochs(self, jobs: Sequence[Job]) -> list[Job]:
        if not jobs:
            return []
        raised = {job.id: job.with_(fence=((job.fence >> EPOCH_SHIFT) + 1) << EPOCH_SHIFT) for job in jobs}
        # Equality, not "at most": whoever moved the fence since *jobs* were read takes care of the job.
        writes = [
            UpdateOne({"_id": job.id, "fence": job.fence}, {"$set": {"fence": raised[job.id].fence}}) for job in jobs
        ]
        with translated():
            if self._jobs.bulk_write(writes, ordered=False).matched_count == len(jobs):
                return list(raised.values())
            rows = self._jobs.find({"_id": {"$in": list(raised)}}, {"fence": 1})
            return [raised[row["_id"]] for row in rows if row["fence"] == raised[row["_id"]].fence]

    def get(self, job_id: str, tenant_id: str | None = None) -> Job | None:
        with translated():
            found = self._jobs.find_one({"_id": job_id})
        if found is None or (tenant_id is not None and found["tenant_id"] != tenant_id):
            return None
        return from_document(found)

    def get_many(self, job_ids: Sequence[str]) -> dict[str, Job]:
        if not job_ids:
            return {}
        with translated():
            return {row["_id"]: from_document(row) for row in self._jobs.find({"_id": {"$in": list(job_ids)}})}

    def page(self, where: JobFilter, limit: int) -> list[Job]:
        if where.status is None:
            field, start = "by_tenant", by_tenant(where.tenant_id)
        else:
            field, start = "by_status", by_status(where.tenant_id, where.status.value)
        # "~" sorts after everything an id begins with.
        wanted: Document = {field: {"$gt": start, "$lt": start + (where.before_id or "~")}}
        if where.algorithm is not None:
            wanted["algorithm"] = where.algorithm
        if where.deployment is not None:
            wanted["deployment"] = where.deployment
        with translated():
            return [from_document(row) for row in self._jobs.find(wanted).sort(field, DESCENDING).limit(limit)]

    def unfinished(self, *, created_before: datetime, after_id: str | None, limit: int) -> list[Job]:
        wanted: Document = {"open": {"$gt": after_id or ""}, "created_ms": {"$lt": to_ms(created_before)}}
        with translated():
            return [from_document(row) for row in self._jobs.find(wanted).sort("open", ASCENDING).limit(limit)]

    def open_jobs(self, *, created_before: datetime, after_id: str | None, limit: int) -> list[OpenJob]:
        wanted: Document = {"open": {"$gt": after_id or ""}, "created_ms": {"$lt": to_ms(created_before)}}
        with translated():
            rows = self._jobs.find(wanted, {"queue": 1}).sort("open", ASCENDING).limit(limit)
            return [OpenJob(row["_id"], row["queue"]) for row in rows]

    def count_unfinished(self, tenant_id: str) -> int:
        start = by_status(tenant_id, JobStatus.QUEUED.value)
        with translated():
            # Not count_documents: the embedded server walks the whole collection for it.
            rows = self._jobs.find({"by_status": {"$gt": start, "$lt": f"{start}~"}}, {"_id": 1})
            return sum(1 for _ in rows)

    def append_logs(self, job_id: str, lines: Sequence[LogLine]) -> None:
        self.append_logs_many({job_id: lines})

    def append_logs_many(self, logs: Mapping[str, Sequence[LogLine]]) -> None:
        # One document per call and job. Its id is made of the job and the first line, so a repeated call is refused.
        rows = [
            InsertOne(
                {
                    "_id": f"{job_id} {lines[0].attempt} {lines[0].number}",
                    "job_id": job_id,
                    "lines": orjson.dumps(
                        [[line.number, line.attempt, line.stream, line.text, line.at_ms] for line in lines]
                    ).decode(),
                }
            )
            for job_id, lines in logs.items()
            if lines
        ]
        if rows:
            with translated():
                try:
                    self._logs.bulk_write(rows, ordered=False)
                except BulkWriteError as error:
                    _only_duplicates(error)

    def logs(self, job_id: str, *, after: int = 0, stream: str | None = None, limit: int = 1000) -> list[LogLine]:
        with translated():
            rows = list(self._logs.find({"job_id": job_id}))
        lines = [LogLine(*fields) for row in rows for fields in orjson.loads(row["lines"])]
        lines.sort(key=lambda line: line.number)
        return [line for line in lines if line.number > after and stream in (None, line.stream)][:limit]

    def webhooks_due(self, limit: int) -> list[Job]:
        with translated():
            return [from_document(row) for row in self._jobs.find({"webhook_due": 1}).limit(limit)]

    def webhooks_sent(self, job_ids: Sequence[str]) -> None:
        if job_ids:
            with translated():
                self._jobs.bulk_write(
                    [UpdateOne({"_id": job_id}, {"$unset": {"webhook_due": 1}}) for job_id in job_ids], ordered=False
                )

    def purge(self, *, completed_before: datetime, limit: int) -> int:
        now = self._clock()
        with translated():
            rows = list(
                self._jobs.find({"completed_ms": {"$lt": to_ms(completed_before)}}, {"tenant_id": 1, "fence": 1}).limit(
                    limit
                )
            )
            self._tombstones.delete_many({"purged_ms": {"$lt": to_ms(now - timedelta(days=TOMBSTONE_DAYS))}})
            if not rows:
                return 0
            ids = [row["_id"] for row in rows]
            # The tombstone first: dying in between must leave a 410, not a 404.
            self._bury([{"_id": row["_id"], "tenant_id": row["tenant_id"], "purged_ms": to_ms(now)} for row in rows])
            self._logs.delete_many({"job_id": {"$in": ids}})
            self._jobs.delete_many({"_id": {"$in": ids}})
        return len(ids)

    def _bury(self, rows: list[dict[str, Any]]) -> None:
        try:
            self._tombstones.insert_many(rows, ordered=False)
        except BulkWriteError as error:
            _only_duplicates(error)

    def was_purged(self, job_id: str, tenant_id: str) -> bool:
        with translated():
            found = self._tombstones.find_one({"_id": job_id})
        return found is not None and found["tenant_id"] == tenant_id


def _only_duplicates(error: BulkWriteError) -> list[dict[str, Any]]:
    """The failures in *error*, all of them duplicate keys; anything else is raised on."""
    failures: list[dict[str, Any]] = error.details.get("writeErrors", [])
    if error.details.get("writeConcernErrors") or any(item.get("code") != DUPLICATE_KEY for item in failures):
        raise error
    return failures


def _bulk(collection: Collection[Document], writes: list[UpdateOne]) -> int:
    """How many of *writes* matched. Raises `UnstorableError` when one is larger than a document may be."""
    try:
        return collection.bulk_write(writes, ordered=False).matched_count
    except InvalidDocument as error:
        raise UnstorableError(str(error)) from error
    except BulkWriteError as error:
        refused = [each for each in error.details.get("writeErrors", []) if each.get("code") in TOO_LARGE]
        if refused:
            raise UnstorableError(str(refused[0].get("errmsg", error))) from error
        raise

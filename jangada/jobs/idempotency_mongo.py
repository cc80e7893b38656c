"""Idempotency records in MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bson.binary import Binary
from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.errors import BulkWriteError
from pymongo.write_concern import WriteConcern

from jangada.clock import Clock, to_ms, utc_now
from jangada.errors import IdempotencyInProgressError
from jangada.jobs.idempotency import KEPT_S, Remembered, again, dead_since, judge, record_id
from jangada.jobs.submission import Grouped
from jangada.mongo_client import translated

Document = dict[str, Any]

DUPLICATE_KEY = 11000


class MongoIdempotencyStore:
    """`IdempotencyStore` in the collection `idempotency`; jobs made are looked for in `jobs`."""

    def __init__(self, database: Database[Document], *, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._records = database["idempotency"]
        self._jobs = database["jobs"]
        # Concurrent requests share a write, as their jobs do a moment later. One server's journal keeps the order of
        # writes, so the job's synced write, before which nobody is answered, syncs this record too.
        concern = self._records.write_concern.document
        alone = concern.get("w", 1) == 1 and bool(concern.get("j"))
        unsynced = self._records.with_options(write_concern=WriteConcern(w=1, j=False))
        self._inserting = unsynced if alone else self._records
        self._insert = Grouped(self._insert_many)

    def create_indexes(self) -> None:
        """Make what is missing."""
        with translated():
            self._records.create_index([("began_ms", ASCENDING)])

    def begin(
        self, tenant_id: str, route: str, key: str, fingerprint: str, *, job_id: str | None = None
    ) -> bytes | None:
        now_ms = to_ms(self._clock())
        row: Document = {
            "_id": record_id(tenant_id, route, key),
            "fingerprint": fingerprint,
            "began_ms": now_ms,
            "job_id": job_id,
        }
        with translated():
            if self._insert(row):
                return None
            found = self._records.find_one({"_id": row["_id"]})
            if found is None:
                # Forgotten between the two: its owner failed just now, as good as still busy.
                raise IdempotencyInProgressError("the first request is still being handled", retry_after_s=1.0)
            if now_ms - found["began_ms"] < KEPT_S * 1000:
                memo = judge(_remembered(found), fingerprint, now_ms, self._exists)
                if memo is not None:
                    return memo
                row["job_id"] = found.get("job_id") or job_id
            # Expired or orphaned: whoever still finds it as it was takes it over.
            taken = self._records.replace_one({"_id": row["_id"], "began_ms": found["began_ms"]}, row)
            if taken.matched_count == 0:
                raise IdempotencyInProgressError("another request took this key over", retry_after_s=1.0)
        return None if row["job_id"] == job_id else again(row["job_id"])

    def remember(self, tenant_id: str, route: str, key: str, fingerprint: str, memo: bytes) -> None:
        row_id = record_id(tenant_id, route, key)
        with translated():
            self._records.update_one({"_id": row_id, "fingerprint": fingerprint}, {"$set": {"memo": Binary(memo)}})

    def forget(self, tenant_id: str, route: str, key: str) -> None:
        with translated():
            self._records.delete_one({"_id": record_id(tenant_id, route, key)})

    def release(self, tenant_id: str, route: str, key: str) -> None:
        dead_ms = dead_since(to_ms(self._clock()))
        with translated():
            self._records.update_one({"_id": record_id(tenant_id, route, key)}, {"$set": {"began_ms": dead_ms}})

    def _insert_many(self, rows: Sequence[Document]) -> list[bool]:
        inserted = [True] * len(rows)
        try:
            self._inserting.insert_many([dict(row) for row in rows], ordered=False)
        except BulkWriteError as error:
            failures = error.details.get("writeErrors", [])
            if error.details.get("writeConcernErrors") or any(item.get("code") != DUPLICATE_KEY for item in failures):
                raise
            for failure in failures:
                inserted[failure["index"]] = False
        return inserted

    def purge(self) -> int:
        """See `IdempotencyStore.purge`."""
        oldest_ms = to_ms(self._clock()) - round(KEPT_S * 1000)
        with translated():
            return self._records.delete_many({"began_ms": {"$lt": oldest_ms}}).deleted_count

    def _exists(self, job_id: str) -> bool:
        return self._jobs.find_one({"_id": job_id}, {"_id": 1}) is not None


def _remembered(row: Document) -> Remembered:
    memo = row.get("memo")
    return Remembered(row["fingerprint"], row["began_ms"], row.get("job_id"), None if memo is None else bytes(memo))

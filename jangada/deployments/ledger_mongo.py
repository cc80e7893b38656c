"""
`UsageLedger` in MongoDB.

    usage          _id entry, day, tenant_id, deployment, algorithm, gpu_type, …, and the amounts
    usage_pulses   _id queue, attempts (a count that only grows), runs_s (the latest)

Only `usage` is the ledger: a pulse may be a little off after a crash, and is for the scaler.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from jangada.clock import to_ms
from jangada.deployments.ledger import SAMPLES, Entry, Pulse, UsageKey, Used, first_kept_day, sum_up
from jangada.mongo_client import translated

Document = dict[str, Any]


class MongoUsageLedger:
    """A `UsageLedger` on a MongoDB database. *keep_s* None: it forgets nothing."""

    def __init__(self, database: Database[Document], *, keep_s: float | None = None) -> None:
        self._keep_s = keep_s
        self._first_day = ""
        self._usage = database["usage"]
        self._pulses = database["usage_pulses"]

    def create_indexes(self) -> None:
        """See `UsageLedger`."""
        with translated():
            self._usage.create_index([("day", ASCENDING)])

    def append(self, entries: Sequence[Entry]) -> None:
        """See `UsageLedger`."""
        with translated():
            for entry in entries:
                if self._insert(entry) and entry.used.attempts:
                    self._beat(entry)
            if entries and self._keep_s is not None:
                self._forget_before(first_kept_day(entries[-1].at, self._keep_s))

    def _forget_before(self, day: str) -> None:
        """Not by an index with an expiry, which not all servers have that we serve: once a day, by each that writes."""
        if day > self._first_day:
            self._usage.delete_many({"day": {"$lt": day}})
            self._first_day = day

    def _insert(self, entry: Entry) -> bool:
        document = {
            "_id": entry.id,
            "at_ms": to_ms(entry.at),
            "day": entry.day,
            "tenant_id": entry.tenant_id,
            "deployment": entry.deployment,
            "queue": entry.queue,
            "algorithm": entry.algorithm,
            "algorithm_version": entry.algorithm_version,
            "executor_id": entry.executor_id,
            "gpu_type": entry.gpu_type,
        }
        try:
            self._usage.insert_one(document | asdict(entry.used))
        except DuplicateKeyError:
            return False
        return True

    def _beat(self, entry: Entry) -> None:
        where = {"_id": entry.queue}
        # Read and written back: of two executors at once the samples of one are lost, which a median does not mind.
        known = self._pulses.find_one(where) or {}
        runs = [*known.get("runs_s", ()), *entry.runs_s][-SAMPLES:]
        self._pulses.update_one(
            where, {"$inc": {"attempts": entry.used.attempts}, "$set": {"runs_s": runs}}, upsert=True
        )

    def usage(
        self, first_day: str, last_day: str, *, tenant_id: str | None = None, deployment: str | None = None
    ) -> dict[UsageKey, Used]:
        """See `UsageLedger`."""
        where: Document = {"day": {"$gte": first_day, "$lte": last_day}}
        if tenant_id is not None:
            where["tenant_id"] = tenant_id
        if deployment is not None:
            where["deployment"] = deployment
        with translated():
            return sum_up((_key(one), _used(one)) for one in self._usage.find(where))

    def pulse(self, queue: str) -> Pulse:
        """See `UsageLedger`."""
        with translated():
            found = self._pulses.find_one({"_id": queue})
        return Pulse(int(found["attempts"]), tuple(found["runs_s"])) if found else Pulse()


def owner_of(database: Database[Document], deployment: str) -> str | None:
    """
    The tenant that the deployment is the own one of, or None.

    Read by itself, since executors do without all that a deployment's record takes.
    """
    with translated():
        found = database["deployments"].find_one({"_id": deployment})
    owner: str | None = json.loads(found["record"])["tenant_id"] if found else None
    return owner


def _key(found: Document) -> UsageKey:
    return UsageKey(found["day"], found["tenant_id"], found["deployment"], found["algorithm"], found["gpu_type"])


def _used(found: Document) -> Used:
    return Used(**{one.name: found[one.name] for one in fields(Used)})

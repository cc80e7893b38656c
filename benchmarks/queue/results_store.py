"""
The store of the rows that measure the queue alone: the memory store, with outcomes in Redis.

The other systems keep results in Redis for an hour, so ours are kept there as well:
one SET with an expiry for each job, all of a group in one round trip. The records
themselves stay in the submitter's memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from jangada.jobs.job import Job, JobStatus
from jangada.jobs.store import Outcome
from jangada.jobs.store_memory import MemoryJobStore

KEPT_S = 3600


class RedisResultStore(MemoryJobStore):
    """`JobStore` whose records are in memory and whose outcomes are in Redis, seen by every process."""

    def __init__(self, client: Any) -> None:
        super().__init__()
        self._client = client

    def write_outcomes(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """Keep each outcome's status, output and error."""
        commands = [
            (
                "SET",
                b"result:" + outcome.job_id.encode(),
                orjson.dumps((outcome.status.value, outcome.output, outcome.error)),
                "EX",
                KEPT_S,
            )
            for outcome in outcomes
        ]
        if len(commands) == 1:
            self._client.execute_command(*commands[0])
        elif commands:
            with self._client.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                pipe.execute()
        return [True] * len(outcomes)

    def get(self, job_id: str, tenant_id: str | None = None) -> Job | None:
        """The record, with its outcome when there is one."""
        job = super().get(job_id, tenant_id)
        if job is None:
            return None
        kept = self._client.get(b"result:" + job_id.encode())
        if kept is None:
            return job
        status, output, error = orjson.loads(kept)
        return job.with_(status=JobStatus(status), output=output, error=error)

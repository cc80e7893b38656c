"""
The store of the rows that measure the queue alone: the memory store, with outcomes in Redis.

The other systems keep results in Redis for an hour, so ours are kept there as well:
one SET with an expiry for each job, those of a group in one call of a script. The records
themselves stay in the submitter's memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
from redis.exceptions import NoScriptError

from jangada.jobs.job import Job, JobStatus
from jangada.jobs.quick_commands import quick
from jangada.jobs.store import Outcome
from jangada.jobs.store_memory import MemoryJobStore

KEPT_S = 3600
_KEEP = f"""
for at = 1, #ARGV, 2 do
  redis.call('SET', ARGV[at], ARGV[at + 1], 'EX', {KEPT_S})
end
"""
_KEEP_SHA = hashlib.sha1(_KEEP.encode()).hexdigest()


class RedisResultStore(MemoryJobStore):
    """`JobStore` whose records are in memory and whose outcomes are in Redis, seen by every process."""

    def __init__(self, client: Any) -> None:
        super().__init__()
        self._client = quick(client)

    def write_outcomes(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """Keep each outcome's status, output and error."""
        if not outcomes:
            return []
        arguments: list[Any] = []
        for outcome in outcomes:
            arguments.append(f"result:{outcome.job_id}")
            arguments.append(orjson.dumps((outcome.status.value, outcome.output, outcome.error)))
        try:
            self._client.execute_command("EVALSHA", _KEEP_SHA, 0, *arguments)
        except NoScriptError:
            self._client.execute_command("EVAL", _KEEP, 0, *arguments)
        return [True] * len(outcomes)

    def get(self, job_id: str, tenant_id: str | None = None) -> Job | None:
        """The record, with its outcome when there is one."""
        job = super().get(job_id, tenant_id)
        if job is None:
            return None
        kept = self._client.execute_command("GET", b"result:" + job_id.encode())
        if kept is None:
            return job
        status, output, error = orjson.loads(kept)
        return job.with_(status=JobStatus(status), output=output, error=error)

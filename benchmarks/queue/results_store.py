"""
The store of the rows that measure the queue alone: the memory store, with outcomes in Redis.

The other systems keep results in Redis for an hour, so ours are kept there as well:
one SET with an expiry for each job, those of a group in one call of a script. As the
results' server is the queue's, that call travels with the one that closes the jobs,
just before it, and the look at a result with the wait for its job's end, just behind
it: no other system waits for the one before it sends the other. The records themselves
stay in the submitter's memory.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import Any

import orjson

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


class Together:
    """Commands to the queue's server, each sent with what the same thread has put in front of it."""

    def __init__(self, client: Any) -> None:
        self._commands = quick(client)
        self._waiting = threading.local()

    def put_in_front(self, *arguments: Any) -> None:
        """Send this with this thread's next command, which fails when this does."""
        self._waiting.command = arguments

    def execute_command(self, *arguments: Any, keys: Sequence[bytes] = ()) -> Any:
        """The answer to the command, after that to what was put in front of it."""
        first = self._waiting.__dict__.pop("command", None)
        if first is None:
            return self._commands.execute_command(*arguments, keys=keys)
        return self._commands.execute_commands(first, arguments)[1]


class WaitAndLook:
    """Commands that wait for a job's events, each sent with the look at its result."""

    def __init__(self, client: Any) -> None:
        self._commands = quick(client)
        self.seen: dict[str, bytes] = {}

    def execute_command(self, *arguments: Any, keys: Sequence[bytes] = ()) -> Any:
        """The answer to the command; what the look behind it saw is in `seen`."""
        if arguments[0] != "XREAD" or len(keys) != 1:
            return self._commands.execute_command(*arguments, keys=keys)
        job_id = keys[0].rpartition(b":")[2]
        events, kept = self._commands.execute_commands(arguments, ("GET", b"result:" + job_id))
        if kept is not None:
            self.seen[job_id.decode()] = kept
        return events


class RedisResultStore(MemoryJobStore):
    """`JobStore` whose records are in memory and whose outcomes are in Redis, seen by every process."""

    def __init__(self, client: Any, blocking: Any = None) -> None:
        super().__init__()
        self.commands = Together(client)
        self.waits = None if blocking is None else WaitAndLook(blocking)
        self.commands.execute_command("SCRIPT", "LOAD", _KEEP)

    def write_outcomes(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """Keep each outcome's status, output and error, by the time that the queue closes its job."""
        if not outcomes:
            return []
        arguments: list[Any] = []
        for outcome in outcomes:
            arguments.append(f"result:{outcome.job_id}")
            arguments.append(orjson.dumps((outcome.status, outcome.output, outcome.error)))
        self.commands.put_in_front("EVALSHA", _KEEP_SHA, 0, *arguments)
        return [True] * len(outcomes)

    def get(self, job_id: str, tenant_id: str | None = None) -> Job | None:
        """The record, with its outcome when there is one."""
        job = super().get(job_id, tenant_id)
        if job is None:
            return None
        kept = self.waits.seen.pop(job_id, None) if self.waits is not None else None
        if kept is None:
            kept = self.commands.execute_command("GET", b"result:" + job_id.encode())
        if kept is None:
            return job
        status, output, error = orjson.loads(kept)
        return job.with_(status=JobStatus(status), output=output, error=error)

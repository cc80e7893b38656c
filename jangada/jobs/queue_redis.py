"""The queue on Redis: sorted sets, hashes and Lua, see `lua/lib.lua` for the keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import orjson
from redis.exceptions import RedisError

from jangada.jobs.bell_line import BellLine, ClaimCommand, bell_line
from jangada.jobs.job import Priority
from jangada.jobs.keys import PREFIX, QueueKeys, lock_key
from jangada.jobs.queue import (
    Admission,
    BellClaim,
    CancelResult,
    Claimed,
    Finish,
    JobEvent,
    Lease,
    LeaseState,
    LiveJob,
    QueueControl,
    QueueEntry,
    QueueLimits,
    QueueStats,
    WaitingJob,
)
from jangada.jobs.queue_view import checked_rate
from jangada.jobs.quick_commands import quick
from jangada.jobs.record import packed
from jangada.jobs.redis_answers import claimed_of, event_of, events_of, lease_of, live_of, stats_of
from jangada.jobs.scripts import Argument, Script, script
from jangada.redis_client import MAX_BLOCK_S, RedisConnections, translate, translated

_ADMISSIONS = (
    Admission.ACCEPTED,
    Admission.ACCEPTED,
    Admission.DUPLICATE,
    Admission.QUEUE_FULL,
    Admission.TENANT_FULL,
    Admission.DRAINING,
)
_LEASE_STATES = (LeaseState.LOST, LeaseState.HELD, LeaseState.CANCEL)

CHUNK_JOBS = 500
CHUNK_BYTES = 4 * 1024 * 1024
DEAD_CAP = 10_000
SETTLE_LEASE_S = 15.0
SETTLE_AT_BELL = 32
MOST_LEASES = 2000
"""What one call hands out at most: Lua cannot pass more arguments to one command than its stack holds."""


class RedisJobQueue:
    """
    `JobQueue` on one Redis or a Redis Cluster.

    *age_s*: how long a job waits in a band before it may rise into the next.
    *skew_ms*: added to the server's clock, for tests that turn it by hand. *scripts_by*:
    what runs scripts, instead of the client of *connections* for commands; *waits_by*: what
    runs commands that wait, instead of the one for those.
    """

    def __init__(
        self,
        connections: RedisConnections,
        *,
        prefix: str = PREFIX,
        age_s: float = 60.0,
        skew_ms: Callable[[], int] | None = None,
        scripts_by: Any = None,
        waits_by: Any = None,
    ) -> None:
        self._client = connections.commands
        self._blocking = connections.blocking
        self._scripts = scripts_by or quick(connections.commands)
        self._bells = waits_by or quick(connections.blocking)
        self._prefix = prefix
        self._age_ms = round(age_s * 1000)
        self._skew_ms = skew_ms
        self._keys = lru_cache(maxsize=1024)(lambda queue: QueueKeys(queue, prefix))

    def _skew(self) -> int:
        return self._skew_ms() if self._skew_ms is not None else 0

    def _run(self, loaded: Script, queue: str, arguments: list[Argument]) -> Any:
        arguments.insert(0, self._skew())
        try:
            return loaded.run(self._scripts, self._keys(queue).all, arguments)
        except RedisError as error:
            raise translate(error) from error

    def admit(self, queue: str, entries: Sequence[QueueEntry], limits: QueueLimits) -> list[Admission]:
        arguments = [*_caps(limits), 1]
        for entry in entries:
            arguments += (entry.job_id, entry.tenant_id, entry.epoch, len(entry.body))
        return [_ADMISSIONS[verdict] for verdict in self._run(script("admit"), queue, arguments)]

    def enqueue_many(
        self, queue: str, entries: Sequence[QueueEntry], limits: QueueLimits | None = None
    ) -> list[Admission]:
        """Atomic for up to 500 jobs and 4 MiB; more than that is several such calls, so that none holds Redis up."""
        answer: list[Admission] = []
        for chunk in _chunks(entries):
            arguments = [*_caps(limits), 0 if limits is None else 1]
            for entry in chunk:
                arguments += (
                    entry.job_id,
                    entry.tenant_id,
                    entry.priority.value,
                    "" if entry.not_before_ms is None else entry.not_before_ms,
                    packed(entry),
                )
            answer += [_ADMISSIONS[verdict] for verdict in self._run(script("enqueue"), queue, arguments)]
        return answer

    def finish_and_claim(
        self,
        queue: str,
        executor_id: str,
        *,
        finished: Sequence[Finish] = (),
        want: int = 0,
        settle: int = 32,
        lease_s: float = 15.0,
        running: bool = True,
        token: str | None = None,
        again: bool = False,
    ) -> Claimed:
        counts = (min(want, MOST_LEASES), min(settle, MOST_LEASES), round(lease_s * 1000), 1 if running else 0)
        arguments: list[Argument] = [executor_id, *counts, self._age_ms, token or "", 1 if again else 0]
        for finish in finished:
            lease = finish.lease
            event = orjson.dumps(finish.event) if finish.event else b"{}"
            arguments += (lease.job_id, lease.epoch, lease.attempt, finish.status, event)
        return claimed_of(queue, self._run(script("exchange"), queue, arguments))

    def start(self, queue: str, leases: Sequence[Lease]) -> None:
        self._run(script("start"), queue, _held(leases))

    def renew(
        self,
        queue: str,
        executor_id: str,  # noqa: ARG002 - the lease alone says who holds it
        leases: Sequence[Lease],
        lease_s: float = 15.0,
    ) -> list[LeaseState]:
        if not leases:
            return []
        answer = self._run(script("renew"), queue, [round(lease_s * 1000), *_held(leases)])
        return [_LEASE_STATES[state] for state in answer]

    def retry(self, queue: str, lease: Lease, *, delay_s: float, attempt: dict[str, Any]) -> bool:
        arguments = [*_held([lease]), max(0, round(delay_s * 1000)), orjson.dumps(attempt)]
        return bool(self._run(script("requeue"), queue, arguments)[0])

    def release(self, queue: str, leases: Sequence[Lease]) -> list[bool]:
        if not leases:
            return []
        arguments: list[Argument] = []
        for lease in leases:
            arguments += (lease.job_id, lease.epoch, lease.attempt, -1, "")
        return [flag == 1 for flag in self._run(script("requeue"), queue, arguments)]

    def cancel(self, queue: str, job_id: str, *, executor_id: str) -> tuple[CancelResult, Lease | None]:
        answer = self._run(script("cancel"), queue, [job_id, executor_id, round(SETTLE_LEASE_S * 1000)])
        if answer[0] == 0:
            return CancelResult.UNKNOWN, None
        if answer[0] == 1:
            return CancelResult.SIGNALED, None
        return CancelResult.TAKEN, lease_of(queue, answer[1])

    def emit(self, queue: str, lease: Lease, events: Sequence[tuple[str, dict[str, Any]]]) -> bool:
        if not events:
            return True
        arguments: list[Argument] = [lease.job_id, lease.epoch, lease.attempt]
        for kind, data in events:
            progress = data.get("progress") if kind == "job.progress" else None
            detail = data.get("message") if kind == "job.progress" else None
            arguments += (kind, orjson.dumps(data), "" if progress is None else repr(float(progress)), detail or "")
        return bool(self._run(script("emit"), queue, arguments))

    def events(
        self,
        queue: str,
        job_id: str,
        *,
        after: int = 0,
        block_s: float = 0.0,
        limit: int = 500,
        only_end: bool = False,
    ) -> list[JobEvent]:
        stream = self._keys(queue).events(job_id)
        enqueued_ms = self._run(script("listen"), queue, [job_id, 1 if only_end else 0])
        last = max(after, 1)
        # A blocking read also gives what is there already; only job.queued has to be put in front by hand.
        reads_ahead = after < 1 or block_s <= 0 or enqueued_ms < 0
        with translated():
            found: list[JobEvent] = []
            if reads_ahead:
                rows = self._client.xrange(stream, min=f"{last}-1", count=limit)
                found = [event_of(row) for row in rows]
            if after < 1 and (found or enqueued_ms >= 0):
                at_ms = enqueued_ms if enqueued_ms >= 0 else found[0].at_ms
                found.insert(0, JobEvent(1, "job.queued", {}, at_ms))
            # Nothing more will come for a job that is not here: its last event is in the stream, or nowhere.
            if found or block_s <= 0 or enqueued_ms < 0:
                return found[:limit]
            block_ms = max(1, round(min(block_s, MAX_BLOCK_S) * 1000))
            asked = ("XREAD", "COUNT", limit, "BLOCK", block_ms, "STREAMS", stream, f"{last}-0")
            # The keys, for a cluster's client; where they stand in this command is not known to it otherwise.
            answer = self._bells.execute_command(*asked, keys=[stream])
        return events_of(answer) if answer else []

    def live(self, queue: str, job_ids: Sequence[str]) -> list[LiveJob | None]:
        if not job_ids:
            return []
        return [live_of(row) for row in self._run(script("live"), queue, list(job_ids))]

    def wait_for_bell(self, queue: str, timeout_s: float) -> bool:
        bounded = min(max(timeout_s, 0.001), MAX_BLOCK_S)
        with translated():
            return self._bells.execute_command("BLPOP", self._keys(queue).bell, bounded) is not None

    def bell_line(self, queue: str) -> BellLine | None:
        keys = self._keys(queue)

        def command(claim: BellClaim) -> tuple[Any, ...]:
            counts = (1, SETTLE_AT_BELL, round(claim.lease_s * 1000), 1)
            arguments = (self._skew(), claim.executor_id, *counts, self._age_ms, claim.token, 0)
            return script("exchange").command(keys.all, arguments)

        return bell_line(self._blocking, keys.bell, ClaimCommand(command, partial(claimed_of, queue)))

    def ring(self, queue: str) -> None:
        with translated():
            self._client.lpush(self._keys(queue).bell, 1)

    def bury(self, queue: str, job_ids: Sequence[str]) -> None:
        if job_ids:
            self._run(script("bury"), queue, [DEAD_CAP, *job_ids])

    def dead(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[tuple[str, int]]:
        with translated():
            rows = self._client.zrevrange(self._keys(queue).dead, offset, offset + limit - 1, withscores=True)
        return [(member.decode(), int(score)) for member, score in rows]

    def exhume(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        key = self._keys(queue).dead
        with translated():
            return [bool(self._client.zrem(key, job_id)) for job_id in job_ids]

    def drop(self, queue: str, job_ids: Sequence[str]) -> None:
        if job_ids:
            self._run(script("drop"), queue, list(job_ids))

    def holds(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        if not job_ids:
            return []
        return [flag == 1 for flag in self._run(script("holds"), queue, list(job_ids))]

    def stats(self, queue: str) -> QueueStats:
        return stats_of(queue, self._run(script("stats"), queue, []), self.control(queue))

    def peek(self, queue: str, *, limit: int = 20) -> list[WaitingJob]:
        return [
            WaitingJob(job_id.decode(), tenant.decode(), Priority(band.decode()), waited_ms / 1000, attempts)
            for job_id, tenant, band, waited_ms, attempts in self._run(script("peek"), queue, [limit])
        ]

    def control(self, queue: str) -> QueueControl:
        return self._control(queue)

    def pause(self, queue: str) -> QueueControl:
        return self._control(queue, paused="1")

    def drain(self, queue: str) -> QueueControl:
        return self._control(queue, draining="1")

    def resume(self, queue: str) -> QueueControl:
        return self._control(queue, paused="0", draining="0")

    def limit_rate(self, queue: str, per_s: float | None, *, burst: int | None = None) -> QueueControl:
        rate, size = checked_rate(per_s, burst)
        return self._control(queue, rate="0" if rate is None else repr(rate), burst=size)

    def _control(
        self, queue: str, *, paused: str = "", draining: str = "", rate: str = "", burst: int = 0
    ) -> QueueControl:
        is_paused, is_draining, per_s, size = self._run(script("control"), queue, [paused, draining, rate, burst])
        return QueueControl(bool(is_paused), bool(is_draining), float(per_s) if per_s else None, size)

    def lock(self, name: str, ttl_s: float) -> bool:
        with translated():
            return bool(self._client.set(lock_key(name, self._prefix), b"1", nx=True, px=max(1, round(ttl_s * 1000))))

    def now_ms(self) -> int:
        with translated():
            # By a script, because a cluster's client asks every node for a bare TIME.
            seconds, microseconds = self._client.eval("return redis.call('TIME')", 1, lock_key("clock", self._prefix))
            return int(seconds) * 1000 + int(microseconds) // 1000


def _caps(limits: QueueLimits | None) -> list[Argument]:
    if limits is None:
        return [-1, -1, -1, -1]
    caps = (limits.queue_jobs, limits.queue_bytes, limits.tenant_jobs, limits.tenant_bytes)
    return [-1 if cap is None else cap for cap in caps]


def _chunks(entries: Sequence[QueueEntry]) -> Iterator[list[QueueEntry]]:
    chunk: list[QueueEntry] = []
    size = 0
    for entry in entries:
        if chunk and (len(chunk) >= CHUNK_JOBS or size + len(entry.body) > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += len(entry.body)
    if chunk:
        yield chunk


def _held(leases: Sequence[Lease]) -> list[Argument]:
    arguments: list[Argument] = []
    for lease in leases:
        arguments += (lease.job_id, lease.epoch, lease.attempt)
    return arguments

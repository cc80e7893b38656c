"""
Checks on untrusted nodes: some of the jobs that they did are done again elsewhere, and the outputs compared.

A job that is picked has no outcome yet: what the node made of it is put aside, the job
goes back to its queue, and no untrusted node gets it again. What somebody else makes of
it is its outcome. When that differs, the node is suspended.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson

from jangada.artifacts.store import ArtifactStore
from jangada.clock import Clock, utc_now
from jangada.jobs.job import Job, JobStatus
from jangada.jobs.outcome import Completion
from jangada.jobs.queue import JobQueue, Lease
from jangada.jobs.store import JobStore
from jangada.logs import get_logger
from jangada.nodes.node import Check, JoinedNode
from jangada.nodes.seal import Seal
from jangada.nodes.store import NodeStore

PATIENCE = timedelta(seconds=60)
"""So long a picked job waits for a node that is trusted; where there is none, anybody does it again, unchecked."""
COMPARE_S = 2.0
TOLERANCE = 1e-6
"""Relative: the same sum on another processor may differ in its last digits."""
_PICK = "pick"
_PARTS = 2**32

_log = get_logger()


class NodeChecks:
    """Everything here raises `StoreUnavailableError` when a store is away."""

    def __init__(
        self,
        nodes: NodeStore,
        store: JobStore,
        queue: JobQueue,
        artifacts: ArtifactStore,
        seal: Seal,
        suspend: Callable[[JoinedNode, str], None],
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._nodes = nodes
        self._store = store
        self._queue = queue
        self._artifacts = artifacts
        self._seal = seal
        self._suspend = suspend
        self._clock = clock

    def put_aside(self, node: JoinedNode, ended: Sequence[Completion]) -> list[Completion]:
        """*ended* with the picked ones handed back; repeated, it is the same."""
        if node.is_trusted or not node.verify_share:
            return list(ended)
        return [self._aside(node, done) if self._is_picked(node, done) else done for done in ended]

    def are_not_for(self, node: JoinedNode, leases: Sequence[Lease]) -> list[Lease]:
        """Those of *leases* that somebody else is to do: picked jobs, while there is hope that one comes."""
        if node.is_trusted or not leases:
            return []
        pending = {one.job_id: one for one in self._nodes.checks([lease.job_id for lease in leases])}
        now = self._clock()
        return [lease for lease in leases if lease.job_id in pending and now - pending[lease.job_id].at < PATIENCE]

    def compare(self) -> None:
        """Look at picked jobs that have their outcome by now, if nobody else did so lately."""
        if not self._queue.lock("node-checks", COMPARE_S):
            return
        pending = self._nodes.checks(None)
        jobs = self._store.get_many([one.job_id for one in pending]) if pending else {}
        for check in pending:
            job = jobs.get(check.job_id)
            if job is None or job.is_final:
                self._settle(check, job)

    def _settle(self, check: Check, job: Job | None) -> None:
        if job is not None and job.status is JobStatus.SUCCEEDED:
            theirs, ours = orjson.loads(check.output), self._plain(job.output, job.output_file, job.tenant_id)
            node = self._nodes.get(check.node_id)
            if node is not None and node.suspended_for is None and not alike(theirs, ours):
                self._suspend(node, f"what it made of {check.job_id} is not what another node made of it")
            elif alike(theirs, ours):
                _log.info("node.checked", node_id=check.node_id, job_id=check.job_id)
        self._nodes.delete_check(check.job_id)

    def _is_picked(self, node: JoinedNode, done: Completion) -> bool:
        if done.failure is not None or done.canceled or done.handed_back:
            return False
        job_id = done.lease.job_id
        pending = self._nodes.checks([job_id])
        if pending:
            # Again the same attempt, whose answer got lost; or it was done again, by whoever was there.
            return pending[0].node_id == node.id and self._clock() - pending[0].at < PATIENCE
        # Nobody can tell beforehand which it will be; asked again, it is the same.
        drawn = hashlib.sha256(self._seal.close(job_id, _PICK, node.id).encode()).digest()[:4]
        return int.from_bytes(drawn) < node.verify_share * _PARTS

    def _aside(self, node: JoinedNode, done: Completion) -> Completion:
        lease = done.lease
        output = orjson.dumps(self._plain(done.output, done.output_file, lease.tenant_id)).decode()
        self._nodes.insert_check(Check(lease.job_id, lease.tenant_id, node.id, output, self._clock()))
        return replace(done, output=None, output_file=None, handed_back=True)

    def _plain(self, output: Any, output_file: str | None, tenant_id: str) -> Any:
        """An output as it can be compared: read where it is a file, files in it by their digests."""
        if output_file is not None:
            artifact = self._artifacts.get(output_file, tenant_id)
            if artifact is None:
                return None
            with self._artifacts.open(artifact) as stream:
                output = orjson.loads(stream.read())
        return self._by_digest(output, tenant_id)

    def _by_digest(self, value: Any, tenant_id: str) -> Any:
        if isinstance(value, list):
            return [self._by_digest(member, tenant_id) for member in value]
        if not isinstance(value, dict):
            return value
        file_id = value.get("file")
        if len(value) == 1 and isinstance(file_id, str):
            artifact = self._artifacts.get(file_id, tenant_id)
            return {"file": file_id if artifact is None else artifact.sha256}
        return {name: self._by_digest(member, tenant_id) for name, member in value.items()}


def alike(one: Any, other: Any) -> bool:
    """Whether two outputs say the same: numbers within `TOLERANCE`, all else exactly."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(one, list) and isinstance(other, list):
        return _all_alike(zip(one, other, strict=False)) and len(one) == len(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and _all_alike((one[name], other[name]) for name in one)
    return type(one) is type(other) and bool(one == other)


def _all_alike(pairs: Iterable[tuple[Any, Any]]) -> bool:
    return all(alike(one, other) for one, other in pairs)

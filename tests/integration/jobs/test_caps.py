"""Caps hold however many submit at once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from jangada.jobs.queue import Admission, QueueEntry, QueueLimits
from jangada.jobs.queue_redis import RedisJobQueue

Q = "toy"
BODY = b"x" * 100


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [
        (QueueLimits(queue_jobs=90, queue_bytes=None), Admission.QUEUE_FULL),
        (QueueLimits(queue_jobs=None, queue_bytes=9000), Admission.QUEUE_FULL),
        (QueueLimits(None, None, tenant_jobs=90), Admission.TENANT_FULL),
        (QueueLimits(None, None, tenant_bytes=9000), Admission.TENANT_FULL),
    ],
    ids=["jobs", "bytes", "a tenant's jobs", "a tenant's bytes"],
)
def test_not_one_too_many_is_let_in(
    redis_connections: Any, key_prefix: str, limits: QueueLimits, verdict: Admission
) -> None:
    queue = RedisJobQueue(redis_connections, prefix=key_prefix)
    said: list[Admission] = []

    def submit(who: int) -> None:
        for number in range(40):
            entries = [QueueEntry(f"job_{who}_{number}_{part}", "acme", BODY) for part in range(2)]
            said.extend(queue.enqueue_many(Q, entries, limits))

    threads = [threading.Thread(target=submit, args=(who,)) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (said.count(Admission.ACCEPTED), said.count(verdict)) == (90, 6 * 80 - 90)
    stats = queue.stats(Q)
    assert (stats.jobs, stats.bytes, stats.tenant_bytes) == (90, 9000, {"acme": 9000})

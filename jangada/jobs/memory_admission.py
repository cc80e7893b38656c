"""Who may enter a queue in memory: caps, duplicates, drains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from jangada.jobs.memory_state import QueueState
from jangada.jobs.queue import Admission, QueueEntry, QueueLimits


def judge(state: QueueState, entries: Sequence[QueueEntry], limits: QueueLimits | None) -> list[Admission]:
    """What the queue says to each of *entries*, one after the other; changes nothing."""
    caps = limits or QueueLimits(None, None)
    drains = state.control.draining and limits is not None
    jobs, size = len(state.jobs), state.bytes
    more_jobs: Counter[str] = Counter()
    more_bytes: Counter[str] = Counter()
    answer: list[Admission] = []
    epochs: dict[str, int] = {}
    for entry in entries:
        old = state.jobs.get(entry.job_id)
        tenant, bytes_ = entry.tenant_id, len(entry.body)
        if epochs.get(entry.job_id, -1 if old is None else old.entry.epoch) >= entry.epoch:
            answer.append(Admission.DUPLICATE)
            continue
        if old is None:
            if drains:
                answer.append(Admission.DRAINING)
                continue
            if _over(jobs, caps.queue_jobs, 1) or _over(size, caps.queue_bytes, bytes_):
                answer.append(Admission.QUEUE_FULL)
                continue
            if _over(state.tenant_jobs[tenant] + more_jobs[tenant], caps.tenant_jobs, 1) or _over(
                state.tenant_bytes[tenant] + more_bytes[tenant], caps.tenant_bytes, bytes_
            ):
                answer.append(Admission.TENANT_FULL)
                continue
            jobs, size = jobs + 1, size + bytes_
            more_jobs[tenant] += 1
            more_bytes[tenant] += bytes_
        epochs[entry.job_id] = entry.epoch
        answer.append(Admission.ACCEPTED)
    return answer


def _over(held: int, cap: int | None, more: int) -> bool:
    return cap is not None and held + more > cap

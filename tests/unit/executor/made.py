"""Jobs in a slot, made by hand."""

from __future__ import annotations

from typing import Any

from jangada.executor.running import SlotJob
from jangada.jobs.orders import Orders
from jangada.jobs.queue import Lease, LeaseAction


def slot_job(job_id: str = "job_1", **orders: Any) -> SlotJob:
    lease = Lease("q", job_id, 0, 1, "ten_1", b"", LeaseAction.RUN, claimed_ms=1500, enqueued_ms=1000)
    values: dict[str, Any] = {
        "algorithm": "a",
        "algorithm_version": "1.0.0",
        "deployment": "a",
        "execution_timeout_s": 60.0,
        "max_attempts": 3,
        **orders,
    }
    return SlotJob(lease, Orders(**values), "/nowhere")

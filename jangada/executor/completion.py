"""From a job that has left its slot to what the store and the queue are told."""

from __future__ import annotations

import time

from jangada.executor.running import Ending, SlotJob, StopReason
from jangada.jobs.execution import Completion
from jangada.jobs.job import AttemptFailure


def completion_of(job: SlotJob, ending: Ending, output_file: str | None) -> Completion:
    """What to store of *job*. *output_file* is where a large output lies."""
    logs = job.log.lines() if job.log else []
    metrics = _metrics(job)
    if isinstance(ending, AttemptFailure):
        return Completion(
            job.lease, failure=ending, started_ms=job.started_ms, metrics=metrics, logs=logs, orders=job.orders
        )
    if isinstance(ending, StopReason):
        return Completion(
            job.lease, canceled=True, started_ms=job.started_ms, metrics=metrics, logs=logs, orders=job.orders
        )
    return Completion(
        job.lease,
        output=ending.output if output_file is None else None,
        output_file=output_file,
        started_ms=job.started_ms,
        metrics=metrics,
        logs=logs,
        orders=job.orders,
    )


def outcome_word(completion: Completion) -> str:
    """How the attempt ended, in one word for the log: an error code, ``canceled``, ``handed_back`` or ``succeeded``."""
    if completion.handed_back:
        return "handed_back"
    if completion.canceled:
        return "canceled"
    return completion.failure.code.value if completion.failure else "succeeded"


def _metrics(job: SlotJob) -> dict[str, float | None]:
    metrics: dict[str, float | None] = {
        "queue_s": max(0, job.lease.claimed_ms - job.lease.enqueued_ms) / 1000,
        "setup_s": 0.0,
        "run_s": None,
        "cpu_s": None,
        "gpu_s": None,
        "peak_rss_bytes": None,
    }
    if job.started is not None:
        metrics["run_s"] = round(time.monotonic() - job.started, 6)
    metrics.update(job.metrics)
    return metrics

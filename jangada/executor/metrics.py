"""
What an executor counts of itself, under the names of docs/monitoring.md.

Labels are bounded sets: words of ours, and the names of algorithms and queues.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from jangada.deployments.gpu import Gpu
from jangada.errors import ConfigurationError
from jangada.executor.completion import outcome_word
from jangada.executor.devices import MIB, DeviceLayer
from jangada.executor.messages import Hello
from jangada.executor.metrics_text import Counter, Family, Gauge, Histogram, Labels
from jangada.executor.running import Ending, SlotJob, SlotObserver, StopReason
from jangada.jobs.execution import Completion, Notify
from jangada.jobs.job import ErrorCode, JobStatus
from jangada.jobs.queue import Lease

WAIT_S = (0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21_600)
RUN_S = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
SETUP_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
STORE_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
BATCH = (1, 2, 4, 8, 16, 32, 64, 128)
PHASES = ("environment", "import", "setup")
STARTS = ("first", "recycled", "died", "setup_failed")
SLOT_STATES = ("busy", "idle", "starting", "cold", "unavailable")

_FINAL = ("succeeded", "failed", "canceled", "expired")
_REASONS = frozenset(code.value for code in ErrorCode)


class ExecutorMetrics(SlotObserver):
    """
    The counters of one executor.

    As a `SlotObserver` it hears of children and lost leases; `exchanged`, `stored`
    and `notifying` are called by what stands around `JobExecution`.
    """

    def __init__(self) -> None:
        self.jobs = Counter(
            "jangada_executor_jobs_total", "Jobs that got their final status here.", ("status",), _FINAL
        )
        self.swept = Counter(
            "jangada_executor_swept_jobs_total",
            "Jobs of any queue that got their final status from the sweep of this executor.",
            ("status",),
            _FINAL,
        )
        self.attempts = Counter("jangada_executor_attempts_total", "Attempts that ended here, by how.", ("outcome",))
        self.retries = Counter(
            "jangada_executor_retries_total", "Second and later attempts that began here, by why.", ("reason",)
        )
        self.lease_losses = Counter(
            "jangada_executor_lease_losses_total", "Attempts stopped because their lease had gone to somebody else."
        )
        self.child_starts = Counter(
            "jangada_executor_child_starts_total",
            "Children started: the first of a slot, or after what.",
            ("reason",),
            STARTS,
        )
        self.wait = Histogram("jangada_executor_job_wait_seconds", "From the queue to an executor.", WAIT_S)
        self.run = Histogram("jangada_executor_job_run_seconds", "What user code took.", RUN_S)
        self.setup = Histogram(
            "jangada_executor_setup_seconds", "What a child took to become ready, by phase.", SETUP_S, ("phase",)
        )
        self.batches = Histogram(
            "jangada_executor_batch_jobs", "Jobs claimed, and outcomes stored, at once.", BATCH, ("direction",)
        )
        self.store = Histogram(
            "jangada_executor_store_seconds", "What calls of Redis and MongoDB took.", STORE_S, ("store", "operation")
        )
        self.store_errors = Counter(
            "jangada_executor_store_errors_total", "Calls of Redis and MongoDB that failed.", ("store", "operation")
        )
        self.run_batches = Histogram("jangada_executor_run_batch_jobs", "Jobs given to run_batch together.", BATCH)
        self.broken_batches = Counter(
            "jangada_executor_broken_batches_total", "Batches that came to no good, whose jobs ran again one by one."
        )
        self._started: set[int] = set()
        self._restart_reason: dict[int, str] = {}

    @property
    def families(self) -> tuple[Family, ...]:
        """All of it, for a page."""
        return (
            self.jobs, self.swept, self.attempts, self.retries, self.lease_losses, self.child_starts, self.wait,
            self.run, self.setup, self.batches, self.run_batches, self.broken_batches, self.store, self.store_errors,
        )  # fmt: skip

    # --- jobs (on the loop's thread) ----------------------------------------------

    def exchanged(self, completions: Sequence[Completion], leases: Sequence[Lease]) -> None:
        """*completions* are stored, *leases* are claimed."""
        if completions:
            self.batches.observe(len(completions), "stored")
            for completion in completions:
                self.attempts.add(outcome_word(completion))
                metrics = completion.metrics
                if (run_s := metrics.get("run_s")) is not None:
                    self.run.observe(run_s)
                if (queue_s := metrics.get("queue_s")) is not None:
                    self.wait.observe(queue_s)
        if leases:
            self.batches.observe(len(leases), "claimed")
            for lease in leases:
                if lease.attempt > 1:
                    self.retries.add(retry_reason(lease))

    def notifying(self, notify: Notify) -> Notify:
        """*notify*, counting final statuses on the way."""
        add = self.jobs.add

        def told(event: str, lease: Lease, status: JobStatus | None) -> None:
            if event == "completed" and status is not None:
                add(status.value)
            notify(event, lease, status)

        return told

    def settled(self, event: str, lease: Lease, status: JobStatus | None) -> None:  # noqa: ARG002 - a `Notify`
        """The sweep gave a job its final status."""
        if event == "completed" and status is not None:
            self.swept.add(status.value)

    # --- children (by whoever serves the slots) ------------------------------------------

    def starting(self, slot: int) -> None:
        if slot not in self._started:
            self._started.add(slot)
            self.child_starts.add("first")
        else:
            self.child_starts.add(self._restart_reason.pop(slot, "died"))

    def recycled(self, slot: int, reason: str) -> None:  # noqa: ARG002 - its text is for people
        self._restart_reason[slot] = "recycled"

    def unavailable(self, slot: int, reason: str, said: list[str]) -> None:  # noqa: ARG002 - as above
        self._restart_reason[slot] = "setup_failed"

    def ready(self, slot: int, hello: Hello, cold: bool) -> None:  # noqa: ARG002 - each start counts
        # User code may reach the channel: only the phases that we know.
        for phase in PHASES:
            took_s = hello.phases.get(phase)
            if isinstance(took_s, int | float):
                self.setup.observe(float(took_s), phase)

    def batch_began(self, slot: int, jobs: int) -> None:  # noqa: ARG002 - their size is all there is
        self.run_batches.observe(jobs)

    def batch_broken_up(self, slot: int, jobs: int, reason: str) -> None:  # noqa: ARG002 - as above
        self.broken_batches.add()

    def ended(self, job: SlotJob, ending: Ending) -> None:  # noqa: ARG002 - the count is all there is
        if ending is StopReason.LOST:
            self.lease_losses.add()


def retry_reason(lease: Lease) -> str:
    """Why there is an attempt after the first: the error code of the one before, or ``handed_back``."""
    last = lease.history[-1] if lease.history else None
    if last is None or last.get("number") != lease.attempt - 1:
        return "handed_back"
    code = str((last.get("error") or {}).get("code") or "")
    if not code and last.get("outcome") == "lost":
        return ErrorCode.EXECUTOR_LOST.value
    return code if code in _REASONS else "other"


def executor_gauges(
    slots: Callable[[], dict[str, int]], unstored: Callable[[], int], folder: Path, version: str
) -> tuple[Gauge, ...]:
    """What is asked for when the page is read: slots, waiting outcomes, the disk under *folder*, the process."""

    def by_state() -> Iterable[tuple[Labels, float]]:
        now = slots()
        return [((state,), now.get(state, 0)) for state in SLOT_STATES]

    def disk() -> Iterable[tuple[Labels, float]]:
        there = os.statvfs(folder)
        return [(("free",), there.f_bavail * there.f_frsize), (("size",), there.f_blocks * there.f_frsize)]

    started = time.time()
    return (
        Gauge("jangada_executor_slots", "Slots by what they are doing.", by_state, ("state",)),
        Gauge("jangada_executor_unstored_jobs", "Outcomes that wait for the store.", lambda: [((), float(unstored()))]),
        Gauge("jangada_executor_disk_bytes", "The disk that the executor works on.", disk, ("measure",)),
        Gauge("jangada_build_info", "Always 1; the version is a label.", lambda: [((version,), 1)], ("version",)),
        Gauge("process_start_time_seconds", "When the executor started, seconds since 1970.", lambda: [((), started)]),
        Gauge("process_resident_memory_bytes", "Memory of the executor's parent process.", lambda: [((), _resident())]),
        Gauge(
            "process_cpu_seconds_total",
            "CPU time of the executor's parent process.",
            lambda: [((), time.process_time())],
            kind="counter",
        ),
    )


def deployment_gauge(deployment: str, model: str | None) -> Gauge:
    """Whose jobs the executor runs and with which model, as labels to join with."""
    labels = (deployment, model or "")
    return Gauge(
        "jangada_executor_deployment_info",
        "Always 1; the deployment and its model are labels.",
        lambda: [(labels, 1)],
        ("deployment", "model"),
    )


def gpu_gauge(gpus: Sequence[Gpu], layer: DeviceLayer) -> Gauge:
    """The memory of the executor's *gpus*, asked of the driver when the page is read."""

    def memory() -> Iterable[tuple[Labels, float]]:
        try:
            used = layer.used_mib() if gpus else {}
        except ConfigurationError:
            # A driver that does not answer now is no reason to show nothing else.
            return []
        sizes = [((gpu.uuid, "size"), gpu.memory_mib * float(MIB)) for gpu in gpus]
        return sizes + [((gpu.uuid, "used"), used[gpu.uuid] * float(MIB)) for gpu in gpus if gpu.uuid in used]

    return Gauge(
        "jangada_executor_gpu_memory_bytes",
        "Memory of the executor's GPUs: its size, and what is in use, by whomever.",
        memory,
        ("gpu", "measure"),
    )


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return float(pages * resource.getpagesize())

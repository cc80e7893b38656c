from __future__ import annotations

from collections.abc import Callable

import pytest

from jangada.algorithms.store_memory import MemoryAlgorithmStore
from jangada.deployments.gpu import Gpu
from jangada.errors import ConfigurationError, StoreUnavailableError
from jangada.executor.devices import FixedDevices
from jangada.executor.heartbeat import Reports
from jangada.executor.inbox import Inbox
from jangada.executor.journal import Journal
from jangada.executor.messages import PROTOCOL, Hello
from jangada.executor.metrics import ExecutorMetrics, gpu_gauge, retry_reason
from jangada.executor.metrics_queues import TURN_S, QueueGauges
from jangada.executor.metrics_stores import measured
from jangada.executor.metrics_text import Counter, Gauge, Histogram, Page
from jangada.executor.running import StopReason
from jangada.jobs.execution import Completion
from jangada.jobs.job import AttemptFailure, ErrorCode, JobStatus
from jangada.jobs.queue import Lease, LeaseAction, QueueEntry
from jangada.jobs.queue_memory import MemoryJobQueue


class Quiet(Journal):
    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        pass


def lease(attempt: int = 1, *history: dict[str, object]) -> Lease:
    return Lease("q", "job_1", 0, attempt, "acme", b"{}", LeaseAction.RUN, 0, 0, tuple(history))


def sample(page: Page, start: str) -> str:
    """The value of the one sample that begins so."""
    (line,) = [line for line in page.text().splitlines() if line.startswith(start)]
    return line.rpartition(" ")[2]


def test_a_histogram_counts_what_lies_at_or_below_each_bound() -> None:
    seconds = Histogram("took_seconds", "What it took.", (0.1, 1), ("phase",))
    for value in (0.05, 0.1, 0.5, 30):
        seconds.observe(value, "setup")
    assert Page([seconds]).text().splitlines() == [
        "# HELP took_seconds What it took.",
        "# TYPE took_seconds histogram",
        'took_seconds_bucket{phase="setup",le="0.1"} 2',
        'took_seconds_bucket{phase="setup",le="1"} 3',
        'took_seconds_bucket{phase="setup",le="+Inf"} 4',
        'took_seconds_sum{phase="setup"} 30.65',
        'took_seconds_count{phase="setup"} 4',
    ]


def test_series_that_are_known_beforehand_begin_at_0() -> None:
    assert "plain_total 0" in Page([Counter("plain_total", "Plain.")]).text().splitlines()
    assert 'split_total{why="a"} 0' in Page([Counter("split_total", "Split.", ("why",), "a")]).text().splitlines()
    assert Page([Counter("open_total", "Open.", ("why",))]).text() == ""


def test_label_values_cannot_leave_their_quotes() -> None:
    page = Page([Gauge("one", "One.", lambda: [(('a"b\\c\nd',), 1)], ("name",))], queue='q"')
    assert page.text().splitlines()[-1] == 'one{queue="q\\"",name="a\\"b\\\\c\\nd"} 1'


def test_an_exchange_is_counted_by_outcome_time_and_size() -> None:
    metrics = ExecutorMetrics()
    failed = Completion(lease(), failure=AttemptFailure(ErrorCode.OOM, "too big"), metrics={"run_s": 2.0})
    metrics.exchanged([Completion(lease(), metrics={"queue_s": 0.3, "run_s": 0.2}), failed], [lease(), lease()])
    page = Page(metrics.families)
    assert sample(page, 'jangada_executor_attempts_total{outcome="succeeded"}') == "1"
    assert sample(page, 'jangada_executor_attempts_total{outcome="oom"}') == "1"
    assert sample(page, "jangada_executor_job_run_seconds_sum") == "2.2"
    assert sample(page, "jangada_executor_job_wait_seconds_count") == "1"
    assert sample(page, 'jangada_executor_batch_jobs_bucket{direction="claimed",le="2"}') == "1"


def test_what_the_sweep_settled_counts_apart() -> None:
    metrics = ExecutorMetrics()
    metrics.settled("completed", lease(), JobStatus.EXPIRED)
    page = Page(metrics.families)
    assert sample(page, 'jangada_executor_swept_jobs_total{status="expired"}') == "1"
    assert sample(page, 'jangada_executor_jobs_total{status="expired"}') == "0"


def test_the_memory_of_gpus_is_asked_for_when_the_page_is_read() -> None:
    gpu = Gpu("GPU-a", "NVIDIA H200", 1000)
    page = Page([gpu_gauge([gpu], FixedDevices((gpu,), {"GPU-a": 250, "GPU-b": 7}))])
    assert sample(page, 'jangada_executor_gpu_memory_bytes{gpu="GPU-a",measure="size"}') == str(1000 * 2**20)
    assert sample(page, 'jangada_executor_gpu_memory_bytes{gpu="GPU-a",measure="used"}') == str(250 * 2**20)
    assert "GPU-b" not in page.text()
    assert Page([gpu_gauge([], FixedDevices())]).text() == ""


def test_a_driver_that_does_not_answer_takes_no_other_metric_along() -> None:
    class Broken(FixedDevices):
        def used_mib(self) -> dict[str, int]:
            raise ConfigurationError("nvidia-smi does not answer")

    gpu = Gpu("GPU-a", "NVIDIA H200", 1000)
    assert Page([gpu_gauge([gpu], Broken((gpu,)))]).text() == ""


def test_final_statuses_are_counted_on_their_way_to_the_webhooks() -> None:
    metrics, told = ExecutorMetrics(), []
    notify = metrics.notifying(lambda event, _lease, status: told.append((event, status)))
    notify("started", lease(), None)
    notify("completed", lease(), JobStatus.FAILED)
    assert told == [("started", None), ("completed", JobStatus.FAILED)]
    assert sample(Page(metrics.families), 'jangada_executor_jobs_total{status="failed"}') == "1"


@pytest.mark.parametrize(
    ("again", "reason"),
    [
        (lease(2, {"number": 1, "outcome": "failed", "error": {"code": "algorithm_error"}}), "algorithm_error"),
        (lease(2, {"number": 1, "outcome": "lost", "error": None}), "executor_lost"),
        (lease(3, {"number": 1, "outcome": "failed", "error": {"code": "timeout"}}), "handed_back"),
        (lease(2), "handed_back"),
        (lease(2, {"number": 1, "outcome": "failed", "error": {"code": "user text"}}), "other"),
    ],
)
def test_an_attempt_after_the_first_has_a_reason_out_of_a_bounded_set(again: Lease, reason: str) -> None:
    assert retry_reason(again) == reason


def test_children_are_counted_by_why_they_were_started() -> None:
    metrics = ExecutorMetrics()
    metrics.starting(0)
    metrics.starting(0)
    metrics.recycled(0, "ran 100 jobs")
    metrics.starting(0)
    metrics.unavailable(1, "no module", [])
    metrics.starting(1)
    page = Page([metrics.child_starts])
    for reason, count in {"first": "2", "died": "1", "recycled": "1"}.items():
        assert sample(page, f'jangada_executor_child_starts_total{{reason="{reason}"}}') == count


def test_of_what_a_child_says_only_known_phases_become_labels() -> None:
    metrics = ExecutorMetrics()
    metrics.ready(0, Hello(PROTOCOL, {}, {}, {"setup": 1.5, "job_01ABC": 2.0}), True)
    text = Page([metrics.setup]).text()
    assert 'phase="setup"' in text
    assert "job_01ABC" not in text


def test_only_a_lost_attempt_counts_as_a_lost_lease() -> None:
    metrics = ExecutorMetrics()
    metrics.ended(None, StopReason.CANCEL)  # type: ignore[arg-type]
    metrics.ended(None, StopReason.LOST)  # type: ignore[arg-type]
    assert sample(Page([metrics.lease_losses]), "jangada_executor_lease_losses_total") == "1"


def test_the_slots_news_reach_the_loop_and_the_counters() -> None:
    class Loop:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_: called.append(name)

    called: list[str] = []
    metrics = ExecutorMetrics()
    inbox = Inbox(Loop(), Reports(), Quiet(), live=False, observer=metrics)  # type: ignore[arg-type]
    inbox.starting(0)
    inbox.ready(0, Hello(PROTOCOL, {}, {}, {"setup": 1.0}), True)
    inbox.ended(None, StopReason.LOST)  # type: ignore[arg-type]
    inbox.recycled(0, "ran 100 jobs")
    inbox.starting(0)
    inbox.unavailable(0, "no module", [])
    inbox.starting(0)
    while inbox.calls:
        inbox.calls.popleft()()
    assert called == ["slot_starting", "slot_ready", "job_ended", "slot_starting", "slot_unavailable", "slot_starting"]
    page = Page(metrics.families)
    for reason in ("first", "recycled", "setup_failed"):
        assert sample(page, f'jangada_executor_child_starts_total{{reason="{reason}"}}') == "1"
    assert sample(page, "jangada_executor_lease_losses_total") == "1"
    assert sample(page, 'jangada_executor_setup_seconds_count{phase="setup"}') == "1"


def test_calls_of_a_store_are_timed_and_its_absences_counted() -> None:
    class Store:
        here = True

        def write(self, value: int) -> int:
            if not self.here:
                raise StoreUnavailableError("away")
            return value

    inner, metrics = Store(), ExecutorMetrics()
    store = measured(inner, "mongo", ["write"], metrics)
    assert store.write(3) == 3
    inner.here = False
    with pytest.raises(StoreUnavailableError):
        store.write(3)
    assert store.here is False
    page = Page(metrics.families)
    assert sample(page, 'jangada_executor_store_seconds_count{store="mongo",operation="write"}') == "1"
    assert sample(page, 'jangada_executor_store_errors_total{store="mongo",operation="write"}') == "1"


def test_one_executor_at_a_time_tells_of_the_queues() -> None:
    queue, now = MemoryJobQueue(), [100.0]
    queue.enqueue_many("ocr", [QueueEntry("job_1", "acme", b"{}")])
    queue.pause("ocr")
    first, second = (QueueGauges(queue, MemoryAlgorithmStore(), ["ocr"], clock=lambda: now[0]) for _ in range(2))
    first.refresh()
    second.refresh()
    assert sample(Page(first.families), 'jangada_queue_ready_jobs{queue="ocr",priority="normal"}') == "1"
    assert sample(Page(first.families), 'jangada_queue_paused{queue="ocr"}') == "1"
    assert sample(Page(first.families), 'jangada_queue_draining{queue="ocr"}') == "0"
    assert Page(second.families).text() == ""
    now[0] += TURN_S - 1
    first.refresh()
    assert "jangada_queue_bytes" in Page(first.families).text()


def test_queues_go_untold_while_a_server_is_away() -> None:
    class Away(MemoryJobQueue):
        def lock(self, name: str, ttl_s: float) -> bool:
            raise StoreUnavailableError("away")

    gauges = QueueGauges(Away(), MemoryAlgorithmStore(), ["ocr"])
    gauges.refresh()
    assert Page(gauges.families).text() == ""

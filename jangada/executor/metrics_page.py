"""What ``/metrics`` of an executor shows: itself, and the queues when it is its turn to tell of them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jangada.deployments.gpu import Gpu
from jangada.executor.devices import DeviceLayer, FixedDevices
from jangada.executor.metrics import ExecutorMetrics, deployment_gauge, executor_gauges, gpu_gauge
from jangada.executor.metrics_queues import QueueGauges
from jangada.executor.metrics_text import Family, Page
from jangada.webhooks.message import QUEUE as WEBHOOKS

if TYPE_CHECKING:
    from jangada.algorithms.store import AlgorithmStore
    from jangada.executor.loop import ExecutorLoop
    from jangada.jobs.queue import JobQueue
    from jangada.remote.agency import RemoteAlgorithms

ASYNCHRONOUS = "_async"
"""The gateway's queue of asynchronous calls, by its name: executor and gateway do not know each other."""


NO_DEVICES = FixedDevices()


class MetricsPage:
    """The page of one executor."""

    def __init__(
        self,
        metrics: ExecutorMetrics,
        loop: ExecutorLoop,
        queue: JobQueue | None,
        algorithms: AlgorithmStore | RemoteAlgorithms,
        *,
        algorithm: str,
        queue_name: str,
        deployment: str,
        model: str | None,
        gpus: Sequence[Gpu] = (),
        devices: DeviceLayer = NO_DEVICES,
        folder: Path,
    ) -> None:
        gauges = (
            *executor_gauges(lambda: loop.slot_states, lambda: loop.unstored, folder, version("jangada")),
            deployment_gauge(deployment, model),
            gpu_gauge(gpus, devices),
        )
        self._executor = Page((*metrics.families, *gauges), algorithm=algorithm, queue=queue_name)
        # Where the queue is not seen from here, its depths are told by others.
        self._queues = (
            None
            if queue is None
            else QueueGauges(queue, cast("AlgorithmStore", algorithms), [queue_name, WEBHOOKS, ASYNCHRONOUS])
        )
        self._queue_page = Page(() if self._queues is None else self._queues.families)

    @property
    def families(self) -> tuple[Family, ...]:
        """Every metric that the page may show."""
        return (*self._executor.families, *self._queue_page.families)

    def text(self) -> str:
        """The page as it is now."""
        if self._queues is not None:
            self._queues.refresh()
        return self._executor.text() + self._queue_page.text()

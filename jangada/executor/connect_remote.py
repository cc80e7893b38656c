"""What an executor of a joined node talks to: the platform's function `nodes`, over HTTPS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from jangada.executor.connect import outbound_download
from jangada.executor.files import JobFiles
from jangada.jobs.execution import Notify
from jangada.jobs.job import JobStatus, RanBy
from jangada.jobs.outcome import Completion
from jangada.jobs.queue import Lease
from jangada.remote.agency import RemoteAlgorithms
from jangada.remote.execution import RemoteExecution
from jangada.remote.files import FilesOfLeases
from jangada.remote.identity import NodeIdentity
from jangada.remote.ledger import RemoteLedger
from jangada.remote.link import NodeLink
from jangada.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from jangada.deployments.ledger import UsageLedger
    from jangada.executor.journal import Journal
    from jangada.executor.meter import Meter
    from jangada.executor.metrics import ExecutorMetrics


def _silent(_event: str, _lease: Lease, _status: JobStatus | None) -> None:
    """Webhooks are told by the platform, which stores what they tell of."""


@dataclass(frozen=True, slots=True)
class RemoteConnections:
    """By the methods of `jangada.executor.connect.Connections`."""

    settings: Settings
    link: NodeLink
    algorithms: RemoteAlgorithms
    queue: None = None
    """Nothing of the queue is seen from here: the metrics page does without its depths."""

    @classmethod
    def open(cls, settings: Settings, identity: Path) -> RemoteConnections:
        """For the node whose *identity* lies there. Raises `ConfigurationError`; contacts nothing."""
        link = NodeLink(NodeIdentity.load(identity))
        return cls(settings, link, RemoteAlgorithms(link))

    def check(self, journal: Journal) -> None:
        """Nothing: what the platform's servers must be like is the platform's to check."""

    def sweeper(self, queue_name: str) -> None:
        """None: the platform sweeps."""

    def notifier(self) -> Notify:
        """Tells nobody."""
        return _silent

    def execution(
        self,
        queue_name: str,
        executor_id: str,
        notify: Notify,
        metrics: ExecutorMetrics,
        meter: Meter,
        ran_by: RanBy,
    ) -> RemoteExecution:
        """The dealings of one executor with one queue, measured."""

        def exchanged(completions: Sequence[Completion], leases: Sequence[Lease]) -> None:
            metrics.exchanged(completions, leases)
            meter.exchanged(completions)

        return RemoteExecution(
            self.link,
            queue_name=queue_name,
            executor_id=executor_id,
            ran_by=ran_by,
            lease_s=self.settings.lease_s,
            notify=notify,
            on_exchanged=exchanged,
        )

    def ledger(self, queue_name: str, executor_id: str) -> UsageLedger:
        """Where the executor says what it used; it only ever adds."""
        return cast("UsageLedger", RemoteLedger(self.link, queue_name, executor_id))

    def owner(self, _deployment: str) -> None:
        """None: the platform knows whom idle time is billed to."""

    def files(self, executor_id: str) -> JobFiles:
        """What handles jobs' files."""
        return JobFiles(
            None,
            partial(outbound_download, self.settings),
            max_file_bytes=self.settings.max_file_bytes,
            of_lease=FilesOfLeases(self.link, executor_id),
        )

    def close(self) -> None:
        """Close every connection."""
        self.link.close()

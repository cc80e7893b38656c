"""All that joined nodes meet, put together."""

from __future__ import annotations

from dataclasses import dataclass

from jangada.algorithms.store import AlgorithmStore
from jangada.artifacts.store import ArtifactStore
from jangada.clock import Clock
from jangada.deployments.ledger import UsageLedger
from jangada.deployments.scaler import Scaler
from jangada.deployments.store import DeploymentStore
from jangada.jobs.queue import JobQueue
from jangada.jobs.store import JobStore
from jangada.jobs.sweep import Sweeper
from jangada.nodes.agency import NodeAgency
from jangada.nodes.catalog import NodeCatalog
from jangada.nodes.checks import NodeChecks
from jangada.nodes.files import NodeFiles
from jangada.nodes.lanes import Lanes
from jangada.nodes.seal import Seal
from jangada.nodes.service import NodeService
from jangada.nodes.store import NodeStore
from jangada.nodes.usage import NodeUsage
from jangada.nodes.work import NodeWork
from jangada.settings import Settings
from jangada.webhooks.notifier import WebhookNotifier


@dataclass(frozen=True, slots=True)
class NodePlatform:
    """The services of the function `nodes`."""

    accounts: NodeService
    agency: NodeAgency
    work: NodeWork
    files: NodeFiles
    usage: NodeUsage
    catalog: NodeCatalog

    @classmethod
    def over(
        cls,
        nodes: NodeStore,
        *,
        queue: JobQueue,
        store: JobStore,
        deployments: DeploymentStore,
        algorithms: AlgorithmStore,
        artifacts: ArtifactStore,
        ledger: UsageLedger,
        settings: Settings,
        clock: Clock,
    ) -> NodePlatform:
        """The services over these stores."""
        seal = Seal(nodes.secret)
        lanes = Lanes(deployments, algorithms, clock=clock)
        accounts = NodeService(nodes, deployments, seal, clock=clock)
        checks = NodeChecks(nodes, store, queue, artifacts, seal, accounts.suspend, clock=clock)
        work = NodeWork(
            queue,
            store,
            lanes,
            seal,
            checks=checks,
            lease_s=settings.lease_s,
            notify=WebhookNotifier(queue, clock=clock),
            clock=clock,
        )
        return cls(
            accounts=accounts,
            agency=NodeAgency(
                deployments,
                lanes,
                Scaler(deployments, queue, ledger, clock=clock),
                queue,
                Sweeper(queue, store, retention_s=settings.retention_s),
                checks,
                clock=clock,
            ),
            work=work,
            files=NodeFiles(artifacts, work, seal, max_bytes=settings.max_file_bytes, clock=clock),
            usage=NodeUsage(ledger, work, lanes, clock=clock),
            catalog=NodeCatalog(algorithms, clock=clock),
        )

    def close(self) -> None:
        """End what runs beside."""
        self.agency.close()

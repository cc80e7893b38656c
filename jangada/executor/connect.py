"""
From settings to what an executor talks to.

Apart from `jangada.wiring`, which stands above this package and knows functions'
parts (tenants, keys) that an executor must not have and would pay memory for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jangada.algorithms.store_mongo import MongoAlgorithmStore
from jangada.errors import StoreUnavailableError
from jangada.executor.files import JobFiles
from jangada.executor.meter import Meter
from jangada.executor.metrics import ExecutorMetrics
from jangada.executor.metrics_stores import QUEUE_OPERATIONS, STORE_OPERATIONS, MeasuredExecution, measured
from jangada.jobs.execution import JobExecution, Notify
from jangada.jobs.job import RanBy
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.jobs.store_mongo import MongoJobStore
from jangada.mongo_client import connect_mongo
from jangada.redis_client import connect_redis
from jangada.settings import Settings

if TYPE_CHECKING:
    from pymongo import MongoClient

    from jangada.algorithms.store import AlgorithmStore
    from jangada.artifacts.store import ArtifactStore
    from jangada.deployments.ledger import UsageLedger
    from jangada.executor.connect_remote import RemoteConnections
    from jangada.executor.journal import Journal
    from jangada.jobs.queue import JobQueue
    from jangada.jobs.store import JobStore
    from jangada.jobs.sweep import Sweeper
    from jangada.redis_client import RedisConnections


@dataclass(frozen=True, slots=True)
class Connections:
    """An executor's servers. Nothing is contacted before it is needed."""

    settings: Settings
    redis: RedisConnections
    mongo: MongoClient[dict[str, Any]]
    queue: JobQueue
    store: JobStore
    algorithms: AlgorithmStore

    @classmethod
    def open(cls, settings: Settings) -> Connections:
        """Clients for the servers that *settings* name."""
        redis, mongo = connect_redis(settings), connect_mongo(settings)
        database = mongo[settings.mongo_database]
        return cls(settings, redis, mongo, RedisJobQueue(redis), MongoJobStore(database), MongoAlgorithmStore(database))

    def notifier(self) -> Notify:
        """Tells webhooks of what happens."""
        from jangada.webhooks.notifier import WebhookNotifier

        return WebhookNotifier(self.queue)

    def execution(
        self,
        queue_name: str,
        executor_id: str,
        notify: Notify,
        metrics: ExecutorMetrics,
        meter: Meter,
        ran_by: RanBy,
    ) -> JobExecution:
        """The dealings of one executor with one queue, measured."""
        return MeasuredExecution(
            metrics,
            measured(self.queue, "redis", QUEUE_OPERATIONS, metrics),
            measured(self.store, "mongo", STORE_OPERATIONS, metrics),
            on_stored=meter.exchanged,
            queue_name=queue_name,
            executor_id=executor_id,
            lease_s=self.settings.lease_s,
            notify=notify,
            ran_by=ran_by,
        )

    def ledger(self, _queue_name: str, _executor_id: str) -> UsageLedger:
        """Where the executor says what it used."""
        from jangada.deployments.ledger_mongo import MongoUsageLedger

        settings = self.settings
        return MongoUsageLedger(self.mongo[settings.mongo_database], keep_s=settings.usage_retention_s)

    def owner(self, deployment: str) -> str | None:
        """The tenant that the deployment is the own one of; None for shared ones."""
        from jangada.deployments.ledger_mongo import owner_of

        return owner_of(self.mongo[self.settings.mongo_database], deployment)

    def files(self, _executor_id: str) -> JobFiles:
        """What handles jobs' files; the stores behind it are made when the first job needs them."""
        download = partial(outbound_download, self.settings)
        return JobFiles(self._artifacts, download, max_file_bytes=self.settings.max_file_bytes)

    def sweeper(self, queue_name: str) -> Sweeper | None:
        """What keeps queue and store in agreement, not started; None where the platform sees to that."""
        from jangada.jobs.sweep import Sweeper

        return Sweeper(self.queue, self.store, [queue_name], retention_s=self.settings.retention_s)

    def check(self, journal: Journal) -> None:
        """Raises `ConfigurationError` for a Redis that may lose jobs."""
        from jangada.redis_client import check_redis

        try:
            check_redis(self.redis.commands, self.settings.allow_unsafe_redis)
        except StoreUnavailableError as error:
            # It may come later; the loop waits for it.
            journal.warning("redis.away", reason=error.detail)

    def close(self) -> None:
        """Close every connection."""
        self.redis.close()
        self.mongo.close()

    def _artifacts(self) -> ArtifactStore:
        from jangada.artifacts.base import ArtifactLimits
        from jangada.artifacts.records_mongo import MongoArtifactRecords

        database = self.mongo[self.settings.mongo_database]
        records = MongoArtifactRecords(database)
        limits = ArtifactLimits(max_bytes=self.settings.max_file_bytes, ttl_s=self.settings.file_ttl_s)
        kind, _, folder = self.settings.artifacts.partition(":")
        if kind == "folder":
            from jangada.artifacts.store_folder import FolderArtifactStore

            return FolderArtifactStore(Path(folder), records, limits=limits)
        from jangada.artifacts.store_gridfs import GridFSArtifactStore

        return GridFSArtifactStore(database, records, limits=limits)


def connect(settings: Settings) -> Connections | RemoteConnections:
    """The servers themselves, or for a joined node the platform. Nothing is contacted before it is needed."""
    if settings.node_identity is None:
        return Connections.open(settings)
    from jangada.executor.connect_remote import RemoteConnections

    return RemoteConnections.open(settings, settings.node_identity)


def outbound_download(settings: Settings) -> Any:
    """The only way to addresses that a client named."""
    from jangada.webhooks.guard import OutboundGuard

    guard = OutboundGuard(allow_http=settings.webhook_allow_http, allowed_hosts=settings.webhook_allowed_hosts)
    return guard.download

"""
From settings to what an executor talks to.

Apart from `jangada.wiring`, which stands above this package and knows functions'
parts (tenants, keys) that an executor must not have and would pay memory for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jangada.algorithms.store_mongo import MongoAlgorithmStore
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
    from jangada.jobs.queue import JobQueue
    from jangada.jobs.store import JobStore
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

    def ledger(self) -> UsageLedger:
        """Where the executor says what it used."""
        from jangada.deployments.ledger_mongo import MongoUsageLedger

        return MongoUsageLedger(self.mongo[self.settings.mongo_database])

    def owner(self, deployment: str) -> str | None:
        """The tenant that the deployment is the own one of; None for shared ones."""
        from jangada.deployments.ledger_mongo import owner_of

        return owner_of(self.mongo[self.settings.mongo_database], deployment)

    def files(self) -> JobFiles:
        """What handles jobs' files; the stores behind it are made when the first job needs them."""
        return JobFiles(self._artifacts, self._download, max_file_bytes=self.settings.max_file_bytes)

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

    def _download(self) -> Any:
        from jangada.webhooks.guard import OutboundGuard

        settings = self.settings
        guard = OutboundGuard(allow_http=settings.webhook_allow_http, allowed_hosts=settings.webhook_allowed_hosts)
        return guard.download

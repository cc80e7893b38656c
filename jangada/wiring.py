"""
Settings → the concrete queue, stores and services. The only place that picks an implementation.

    services = Services.from_settings(Settings.from_env(os.environ))
    services = Services.in_memory()        # tests, and one process that forgets

Each part is made when it is first asked for, once per process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jangada import errors
from jangada.clock import Clock, utc_now
from jangada.logs import get_logger
from jangada.settings import Settings
from jangada.tenants import Authenticator, TenantService, TenantStore, Tokens
from jangada.tenants.bootstrap import ensure_first_key

if TYPE_CHECKING:
    from pymongo.database import Database

    from jangada.algorithms.store import AlgorithmStore
    from jangada.algorithms.validation import InputValidator
    from jangada.artifacts import ArtifactStore
    from jangada.artifacts.uploads import Uploads, UploadStore
    from jangada.deployments.ledger import UsageLedger
    from jangada.deployments.store import DeploymentStore
    from jangada.jobs.feedback import FeedbackStore
    from jangada.jobs.idempotency import IdempotencyStore
    from jangada.jobs.queue import JobQueue
    from jangada.jobs.service import JobService
    from jangada.jobs.store import JobStore
    from jangada.nodes.platform import NodePlatform
    from jangada.nodes.store import NodeStore
    from jangada.redis_client import RedisConnections
    from jangada.webhooks.guard import OutboundGuard
    from jangada.webhooks.store import WebhookStore

T = TypeVar("T")

_log = get_logger()


class _Indexed(Protocol):
    def create_indexes(self) -> None: ...


Indexed = TypeVar("Indexed", bound=_Indexed)


class _once(cached_property[T]):  # noqa: N801  (used as a decorator)
    """A cached property that two threads cannot make twice (since Python 3.12 the plain one can be)."""

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        with instance.making:
            return super().__get__(instance, owner)


class Services:
    """Everything a process of the platform may need, over real servers."""

    def __init__(self, settings: Settings, *, clock: Clock = utc_now) -> None:
        self.settings = settings
        self.clock = clock
        self._closers: list[Callable[[], object]] = []
        self._unindexed: list[_Indexed] = []
        self.making = threading.RLock()

    @classmethod
    def from_settings(cls, settings: Settings, *, clock: Clock = utc_now) -> Services:
        """Services over the servers that *settings* name; nothing is contacted before it is needed."""
        return cls(settings, clock=clock)

    @classmethod
    def in_memory(cls, settings: Settings | None = None, *, clock: Clock = utc_now) -> Services:
        """Services of this process alone: no server, nothing kept."""
        return _MemoryServices(settings or Settings.from_env({}), clock=clock)

    def close(self) -> None:
        """Close every connection; the services are not to be used afterwards. Idempotent."""
        with self.making:
            closers, self._closers = self._closers, []
        for close in reversed(closers):
            with suppress(errors.JangadaError, OSError):
                close()

    def _indexed(self, store: Indexed) -> Indexed:
        """*store* with its indexes; when its server is away, `check_ready` makes them later."""
        try:
            store.create_indexes()
        except errors.StoreUnavailableError as error:
            _log.warning("store.indexes_not_yet", store=type(store).__name__, reason=error.detail)
            self._unindexed.append(store)
        return store

    # servers

    @_once
    def redis(self) -> RedisConnections:
        """Connections to Redis. Raises `ConfigurationError` for one that may lose jobs."""
        from jangada.redis_client import check_redis, connect_redis

        connections = connect_redis(self.settings)
        self._closers.append(connections.close)
        try:
            check_redis(connections.commands, self.settings.allow_unsafe_redis)
        except errors.StoreUnavailableError as error:
            # It may come later; who needs it waits for it, and an executor looks at it again.
            _log.warning("redis.away", reason=error.detail)
        return connections

    @_once
    def database(self) -> Database[dict[str, Any]]:
        """The MongoDB database."""
        from jangada.mongo_client import connect_mongo

        client = connect_mongo(self.settings)
        self._closers.append(client.close)
        return client[self.settings.mongo_database]

    # tenants

    @_once
    def tenants(self) -> TenantStore:
        """Tenants, keys, signing keys."""
        from jangada.tenants.store_mongo import MongoTenantStore

        return self._indexed(MongoTenantStore(self.database))

    @_once
    def tokens(self) -> Tokens:
        """Issues and verifies short-lived tokens."""
        return Tokens(self.tenants, secrets_dir=self.settings.secrets_dir, clock=self.clock)

    @_once
    def authenticator(self) -> Authenticator:
        """Turns credentials into callers."""
        return Authenticator(self.tenants, self.tokens, clock=self.clock)

    @_once
    def accounts(self) -> TenantService:
        """Makes and ends tenants and keys."""
        return TenantService(self.tenants, self.authenticator, clock=self.clock)

    def ensure_first_key(self) -> str | None:
        """Make the first tenant and admin key (the secret ``admin-key``, if there is one); see `ensure_first_key`."""
        given = self.settings.secrets_dir / "admin-key"
        text = given.read_text().strip() if given.is_file() else None
        return ensure_first_key(self.tenants, given=text, clock=self.clock)

    # algorithms

    @_once
    def algorithms(self) -> AlgorithmStore:
        """Registered algorithms and their schemas."""
        from jangada.algorithms.store_mongo import MongoAlgorithmStore

        return MongoAlgorithmStore(self.database)

    @_once
    def validator(self) -> InputValidator:
        """Checks a job's input before it is queued."""
        from jangada.algorithms.validation import InputValidator

        return InputValidator()

    # files

    @_once
    def artifacts(self) -> ArtifactStore:
        """Files: GridFS, or a folder with its records in MongoDB."""
        from jangada.artifacts.records_mongo import MongoArtifactRecords

        return _artifact_store(self, self._indexed(MongoArtifactRecords(self.database)))

    @_once
    def uploads(self) -> Uploads:
        """Large uploads, in steps."""
        from jangada.artifacts.uploads_mongo import MongoUploadStore

        return self._make_uploads(self._indexed(MongoUploadStore(self.database)))

    def _make_uploads(self, store: UploadStore) -> Uploads:
        from jangada.artifacts.uploads import Uploads

        return Uploads(self.artifacts, store, max_bytes=self.settings.max_file_bytes, clock=self.clock)

    # jobs

    @_once
    def queue(self) -> JobQueue:
        """What is live about jobs."""
        from jangada.jobs.queue_redis import RedisJobQueue

        return RedisJobQueue(self.redis)

    @_once
    def store(self) -> JobStore:
        """Jobs from acceptance on, and their outcomes."""
        from jangada.jobs.store_mongo import MongoJobStore

        return self._indexed(MongoJobStore(self.database, clock=self.clock))

    @_once
    def jobs(self) -> JobService:
        """Jobs as clients see them."""
        from jangada.jobs.queue import QueueLimits
        from jangada.jobs.service import JobService

        limits = QueueLimits(
            queue_jobs=self.settings.queue_max_jobs,
            queue_bytes=self.settings.queue_max_bytes,
            tenant_jobs=self.settings.tenant_max_jobs,
        )
        return JobService(self.queue, self.store, clock=self.clock, limits=limits)

    @_once
    def idempotency(self) -> IdempotencyStore:
        """What was answered to requests with an `Idempotency-Key`."""
        from jangada.jobs.idempotency_mongo import MongoIdempotencyStore

        return self._indexed(MongoIdempotencyStore(self.database, clock=self.clock))

    @_once
    def feedback(self) -> FeedbackStore:
        """What people say of outputs."""
        from jangada.jobs.feedback_mongo import MongoFeedbackStore

        return self._indexed(MongoFeedbackStore(self.database))

    # deployments

    @_once
    def deployments(self) -> DeploymentStore:
        """Wishes for capacity, nodes, and the replicas that there are."""
        from jangada.deployments.store_mongo import MongoDeploymentStore

        return self._indexed(MongoDeploymentStore(self.database))

    @_once
    def ledger(self) -> UsageLedger:
        """What was used, and by whom."""
        from jangada.deployments.ledger_mongo import MongoUsageLedger

        return self._indexed(MongoUsageLedger(self.database, keep_s=self.settings.usage_retention_s))

    # nodes that joined over HTTPS

    @_once
    def node_store(self) -> NodeStore:
        """Who joined, and by which tokens one may."""
        from jangada.nodes.store_mongo import MongoNodeStore

        return MongoNodeStore(self.database)

    @_once
    def nodes(self) -> NodePlatform:
        """All that such nodes meet."""
        from jangada.nodes.platform import NodePlatform

        made = NodePlatform.over(
            self.node_store,
            queue=self.queue,
            store=self.store,
            deployments=self.deployments,
            algorithms=self.algorithms,
            artifacts=self.artifacts,
            ledger=self.ledger,
            settings=self.settings,
            clock=self.clock,
        )
        self._closers.append(made.close)
        return made

    # webhooks

    @_once
    def webhooks(self) -> WebhookStore:
        """Deliveries, signing secrets, disabled endpoints."""
        from jangada.webhooks.store_mongo import MongoWebhookStore

        return self._indexed(MongoWebhookStore(self.database))

    @_once
    def guard(self) -> OutboundGuard:
        """The only way out to addresses that a client named."""
        from jangada.webhooks.guard import OutboundGuard

        return OutboundGuard(
            allow_http=self.settings.webhook_allow_http, allowed_hosts=self.settings.webhook_allowed_hosts
        )

    def check_ready(self) -> Mapping[str, str]:
        """Ask Redis and MongoDB whether they answer; ``ok`` or what is wrong, by name."""
        return {"redis": _state(self._ask_redis), "mongo": _state(self._ask_mongo)}

    def _ask_redis(self) -> None:
        self.redis.commands.ping()

    def _ask_mongo(self) -> None:
        self.database.command("ping")
        while self._unindexed:
            self._unindexed[-1].create_indexes()
            self._unindexed.pop()


class _MemoryServices(Services):
    """The same, without servers."""

    @_once
    def tenants(self) -> TenantStore:
        from jangada.tenants.store_memory import MemoryTenantStore

        return MemoryTenantStore()

    @_once
    def algorithms(self) -> AlgorithmStore:
        from jangada.algorithms.store_memory import MemoryAlgorithmStore

        return MemoryAlgorithmStore()

    @_once
    def artifacts(self) -> ArtifactStore:
        from jangada.artifacts.store_memory import MemoryArtifactStore

        return MemoryArtifactStore(clock=self.clock, limits=_artifact_limits(self.settings))

    @_once
    def uploads(self) -> Uploads:
        from jangada.artifacts.uploads import MemoryUploadStore

        return self._make_uploads(MemoryUploadStore())

    @_once
    def queue(self) -> JobQueue:
        from jangada.jobs.queue_memory import MemoryJobQueue

        return MemoryJobQueue()

    @_once
    def store(self) -> JobStore:
        from jangada.jobs.store_memory import MemoryJobStore

        return MemoryJobStore()

    @_once
    def idempotency(self) -> IdempotencyStore:
        from jangada.jobs.idempotency import MemoryIdempotencyStore

        return MemoryIdempotencyStore(clock=self.clock, exists=lambda job_id: self.store.get(job_id) is not None)

    @_once
    def feedback(self) -> FeedbackStore:
        from jangada.jobs.feedback import MemoryFeedbackStore

        return MemoryFeedbackStore()

    @_once
    def deployments(self) -> DeploymentStore:
        from jangada.deployments.store_memory import MemoryDeploymentStore

        return MemoryDeploymentStore()

    @_once
    def ledger(self) -> UsageLedger:
        from jangada.deployments.ledger_memory import MemoryUsageLedger

        return MemoryUsageLedger()

    @_once
    def node_store(self) -> NodeStore:
        from jangada.nodes.store_memory import MemoryNodeStore

        return MemoryNodeStore()

    @_once
    def webhooks(self) -> WebhookStore:
        from jangada.webhooks.store_memory import MemoryWebhookStore

        return MemoryWebhookStore()

    def check_ready(self) -> Mapping[str, str]:
        return {"memory": "ok"}


def _artifact_limits(settings: Settings) -> Any:
    from jangada.artifacts.base import ArtifactLimits

    return ArtifactLimits(max_bytes=settings.max_file_bytes, ttl_s=settings.file_ttl_s)


def _artifact_store(services: Services, records: Any) -> ArtifactStore:
    from pathlib import Path

    from jangada.artifacts.store_folder import FolderArtifactStore
    from jangada.artifacts.store_gridfs import GridFSArtifactStore

    limits = _artifact_limits(services.settings)
    kind, _, folder = services.settings.artifacts.partition(":")
    if kind == "folder":
        return FolderArtifactStore(Path(folder), records, clock=services.clock, limits=limits)
    return GridFSArtifactStore(services.database, records, clock=services.clock, limits=limits)


def _state(ask: Callable[[], object]) -> str:
    try:
        ask()
    except Exception as error:  # noqa: BLE001  (whatever is wrong with it, it is not ready)
        return f"does not answer ({type(error).__name__})"
    return "ok"

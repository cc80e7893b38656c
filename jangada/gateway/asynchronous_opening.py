"""Settings → asynchronous invocation over Redis, MongoDB and the artifact store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from jangada.artifacts import ArtifactStore
from jangada.artifacts.base import ArtifactLimits
from jangada.gateway.asynchronous import Asynchronous, AsyncLimits
from jangada.gateway.asynchronous_bodies import Bodies, Threads
from jangada.gateway.asynchronous_callbacks import CallbackGuard
from jangada.gateway.asynchronous_store_mongo import MongoAsyncCallStore
from jangada.jobs.queue_redis import RedisJobQueue
from jangada.mongo_client import connect_mongo
from jangada.redis_client import connect_redis
from jangada.settings import Settings

_THREADS = 32


def open_asynchronous(
    settings: Settings, annotations: Callable[[], Iterable[Mapping[str, str]]]
) -> tuple[Asynchronous, Callable[[], None]]:
    """
    The service, and what closes its connections once it has stopped.

    No server is asked before the first call, or the start. *annotations* are those
    of the functions deployed now.
    """
    from jangada.artifacts.records_mongo import MongoArtifactRecords

    client, redis = connect_mongo(settings), connect_redis(settings)
    database = client[settings.mongo_database]
    records = MongoArtifactRecords(database)
    store = MongoAsyncCallStore(database)
    limits = AsyncLimits(
        at_once=settings.async_at_once,
        keep_s=settings.file_ttl_s,
        inline_bytes=settings.inline_bytes,
        max_bytes=settings.max_file_bytes,
    )
    threads = Threads(_THREADS, "async")
    bodies = Bodies(
        _artifacts(settings, records, database),
        threads,
        inline_bytes=limits.inline_bytes,
        max_bytes=limits.max_bytes,
        # Longer than a call may wait: `drop` removes them, expiry is for what a crash left.
        keep_s=limits.keep_s + settings.retention_s,
    )

    def prepare() -> None:
        store.create_indexes()
        records.create_indexes()

    def close() -> None:
        redis.close()
        client.close()

    asynchronous = Asynchronous(
        RedisJobQueue(redis),
        store,
        bodies,
        CallbackGuard(settings.callback_allowed_hosts),
        threads,
        annotations=annotations,
        limits=limits,
        prepare=prepare,
    )
    return asynchronous, close


def _artifacts(settings: Settings, records: object, database: object) -> ArtifactStore:
    from jangada.artifacts.store_folder import FolderArtifactStore
    from jangada.artifacts.store_gridfs import GridFSArtifactStore

    limits = ArtifactLimits(max_bytes=settings.max_file_bytes, ttl_s=settings.file_ttl_s)
    kind, _, folder = settings.artifacts.partition(":")
    if kind == "folder":
        return FolderArtifactStore(Path(folder), records, limits=limits)  # type: ignore[arg-type]
    return GridFSArtifactStore(database, records, limits=limits)  # type: ignore[arg-type]

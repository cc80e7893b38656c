"""Connections to Redis: how they are made, what the server must promise, and its errors in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from jangada.errors import ConfigurationError, StoreUnavailableError
from jangada.redis_sentinel import is_sentinel, open_sentinel

if TYPE_CHECKING:
    from jangada.settings import Settings

REDIS_PORT = 6379
CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 5.0
MAX_BLOCK_S = 10.0
"""
Longest time one blocking command is given; its connection waits a little longer for the answer.

Bounds how long a waiter may hang on a server that is paused or cut off.
"""

RETRY_AFTER_S = 2.0

# redis-py has no types for it.
_ClusterNode: Any = ClusterNode

_SERVER_STATE_ERRORS = (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
_SERVER_STATE = re.compile(
    r"(^|: -)(OOM|MISCONF|NOREPLICAS|LOADING|READONLY|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|UNBLOCKED)\b"
)
"""How the answer begins, or, inside a script, what follows its position."""


@dataclass(frozen=True, slots=True)
class RedisConnections:
    """Two pools to one server: *commands* with a short time-out, *blocking* for BLPOP and XREAD BLOCK."""

    commands: Any
    blocking: Any

    def ping(self) -> bool:
        """True when the server answers. Raises `StoreUnavailableError`."""
        with translated():
            return bool(self.commands.ping())

    def close(self) -> None:
        """Close every connection; safe to call twice."""
        self.commands.close()
        self.blocking.close()


def connect_redis(settings: Settings) -> RedisConnections:
    """Connections to `settings.redis_url`."""
    return open_redis(settings.redis_url)


def open_redis(url: str) -> RedisConnections:
    """
    Prepare connections for *url*; none is made before the first command.

    ``redis://`` or ``rediss://`` (TLS) names one server, with ``?cluster=true`` any
    nodes of a Redis Cluster, ``host:port,host:port`` (which are asked at once, until
    one answers); ``redis+sentinel://`` or
    ``rediss+sentinel://`` names the sentinels and their service, see
    `jangada.redis_sentinel`. RESP2 on purpose: RESP3 is 7-10 % slower in redis-py.
    Raises `ConfigurationError` for a URL that cannot be understood, and
    `StoreUnavailableError` when no node of a cluster answers.
    """
    with translated():
        return RedisConnections(
            commands=_client(url, COMMAND_TIMEOUT_S), blocking=_client(url, MAX_BLOCK_S + COMMAND_TIMEOUT_S)
        )


class _ClusterClient(RedisCluster):
    """A cluster's client whose errors are all `RedisError`: "no node answers" is none of them in redis-py."""

    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().execute_command(*args, **kwargs)  # type: ignore[no-untyped-call]
        except RedisClusterException as error:
            raise RedisConnectionError(str(error)) from error


def _client(url: str, timeout_s: float) -> Any:
    options: dict[str, Any] = {
        "protocol": 2,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_keepalive": True,
        # No silent second try: a script that ran but whose answer was lost must not run twice unseen.
        # Every caller of the queue knows which of its calls may be repeated.
        "retry": Retry(NoBackoff(), 0),
    }
    try:
        if is_sentinel(url):
            return open_sentinel(url, options)
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        clustered = query.pop("cluster", "false").lower() in {"1", "true", "yes"}
        bare = urlunsplit(parts._replace(query=urlencode(query)))
        if not clustered:
            return redis.Redis.from_url(bare, **options)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"the URL of Redis (JANGADA_REDIS_URL) is not usable: {error}") from error
    try:
        return _open_cluster(bare, options)
    except RedisClusterException as error:
        raise RedisConnectionError(str(error)) from error


def _open_cluster(url: str, options: dict[str, Any]) -> RedisCluster:
    """A client of the cluster that one of the nodes in *url* belongs to."""
    parts = urlsplit(url)
    credentials, at, hosts = parts.netloc.rpartition("@")
    try:
        first, *others = [
            urlsplit(urlunsplit(parts._replace(netloc=f"{credentials}{at}{host}"))) for host in hosts.split(",")
        ]
        nodes = [_ClusterNode(one.hostname or "localhost", one.port or REDIS_PORT) for one in others]
    except ValueError as error:
        raise ConfigurationError(f"the URL of Redis (JANGADA_REDIS_URL) is not usable: {error}") from error
    return _ClusterClient.from_url(urlunsplit(first), startup_nodes=nodes, **options)


@contextmanager
def translated() -> Iterator[None]:
    """Turn "the server is away or cannot write" into `StoreUnavailableError`; our own mistakes stay what they are."""
    try:
        yield
    except RedisError as error:
        raise translate(error) from error


def translate(error: RedisError) -> Exception:
    """What to raise for *error*."""
    if isinstance(error, _SERVER_STATE_ERRORS):
        return _unavailable(error)
    if isinstance(error, ResponseError) and not _SERVER_STATE.search(str(error)):
        return error
    return _unavailable(error)


def _unavailable(error: RedisError) -> StoreUnavailableError:
    return StoreUnavailableError(f"Redis is not available: {error}", retry_after_s=RETRY_AFTER_S)


def check_redis(client: Any, allow_unsafe: bool = False) -> None:
    """
    Refuse a Redis that may lose or evict jobs: raises `ConfigurationError` that says how to mend it.

    Wanted: version ≥ 6.2, ``appendonly yes``, ``maxmemory-policy noeviction``. A
    server that does not let us read its configuration is believed. *allow_unsafe*
    passes over the settings, never over the version.
    """
    with translated():
        info = client.info("server")
    if "redis_version" not in info:
        # A cluster answers per node; they run one version.
        info = next(iter(info.values()))
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < (6, 2):
        raise ConfigurationError(f"Redis {version} is too old: 6.2 or later (or Valkey) is needed")
    if allow_unsafe:
        return
    for name, wanted in (("appendonly", "yes"), ("maxmemory-policy", "noeviction")):
        for found in _configured(client, name):
            if found != wanted:
                raise ConfigurationError(
                    f"Redis has {name} {found}, and could lose jobs: set `{name} {wanted}` in redis.conf, "
                    f"or run `redis-cli CONFIG SET {name} {wanted}`; "
                    "JANGADA_ALLOW_UNSAFE_REDIS=true starts all the same"
                )


def _configured(client: Any, name: str) -> set[str]:
    """What the servers behind *client* say of the setting *name*; empty when they do not let us ask."""
    try:
        if isinstance(client, RedisCluster):
            # Any of the nodes may hold jobs, the replicas after a failover.
            nodes: Any = client.config_get(name, target_nodes=RedisCluster.ALL_NODES)
            answers = list(nodes.values())
        else:
            answers = [client.config_get(name)]
    except ResponseError as error:
        if isinstance(translate(error), StoreUnavailableError):
            raise translate(error) from error
        return set()
    except RedisError as error:
        raise translate(error) from error
    return {answer[name] for answer in answers if name in answer}

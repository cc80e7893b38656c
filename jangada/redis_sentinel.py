"""
Redis behind Sentinel: the master of a service, wherever it is just now.

    redis+sentinel://[user:password@]host[:port][,host[:port]…]/service[/db][?option=…]

The form is the one of the PyPI package redis-sentinel-url and of Airflow. User and
password are the servers'; the sentinels' own come as ``sentinel_username`` and
``sentinel_password``. ``rediss+sentinel://`` speaks TLS to both; ``ssl_ca_certs`` and
redis-py's other URL options go to the servers as they do for ``rediss://``.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection

SCHEMES = ("redis+sentinel", "rediss+sentinel")
SENTINEL_PORT = 26379
SENTINEL_TIMEOUT_S = 1.0
"""Sentinels answer from memory; one that takes longer is passed over, so that the next is asked soon."""

# redis-py has no types for these.
_parse_url: Any = parse_url
_Sentinel: Any = Sentinel

_DEMOTED = re.compile(r"(^|: -)(READONLY|UNBLOCKED)\b")
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>\d{1,5}))?")


def is_sentinel(url: str) -> bool:
    """Whether *url* names sentinels."""
    return url.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def open_sentinel(url: str, options: dict[str, Any]) -> redis.Redis:
    """
    A client of the service's master; who that is, is asked each time it connects.

    *options* go to the connections. Raises `ValueError` for a URL that names no
    sentinel or no service.
    """
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("expected the name of the service after the sentinels, as in redis+sentinel://host:26379/name")
    query = dict(parse_qsl(parts.query))
    of_sentinels = {
        name: query.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in query
    }
    secure = parts.scheme == "rediss+sentinel"
    plain = f"{'rediss' if secure else 'redis'}://{credentials}@host/{database}?{urlencode(query)}"
    given = {name: value for name, value in _parse_url(plain).items() if name not in {"host", "connection_class"}}
    tls = {name: value for name, value in given.items() if name.startswith("ssl_")}
    sentinel: Any = _Sentinel(
        [_address(host) for host in hosts.split(",")],
        sentinel_kwargs={
            "socket_timeout": SENTINEL_TIMEOUT_S,
            "socket_connect_timeout": SENTINEL_TIMEOUT_S,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            **({"ssl": True, **tls} if secure else {}),
            **of_sentinels,
        },
    )
    client: redis.Redis = sentinel.master_for(
        unquote(service),
        redis_class=_SentinelClient,
        connection_class=_SecureConnection if secure else _Connection,
        **{**given, **options},
    )
    return client


def _address(text: str) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    if found is None:
        raise ValueError(f"expected host or host:port of a sentinel, found {text!r}")
    return found["six"] or found["name"], int(found["port"] or SENTINEL_PORT)


class _SentinelClient(redis.Redis):
    """Closes the connections to the sentinels with its own."""

    def close(self) -> None:
        super().close()
        pool: Any = self.connection_pool
        for sentinel in pool.sentinel_manager.sentinels:
            sentinel.close()


class _LeavesDemoted:
    """
    Leaves a server that is the master no more.

    redis-py does so at a plain READONLY; Redis 6.2 hides it inside a script's error,
    and the connection would stay with the replica for ever.
    """

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)  # type: ignore[misc]
        except ResponseError as error:
            if not _DEMOTED.search(str(error)):
                raise
            self.disconnect()  # type: ignore[attr-defined]
            raise RedisConnectionError(f"the previous master is a replica now: {error}") from error


class _Connection(_LeavesDemoted, SentinelManagedConnection):
    """To the master."""


class _SecureConnection(_LeavesDemoted, SentinelManagedSSLConnection):
    """To the master, with TLS."""

"""What a URL of Redis becomes; nothing is connected."""

from __future__ import annotations

from typing import Any

import pytest

from jangada.errors import ConfigurationError
from jangada.redis_client import open_redis
from jangada.settings import Settings


def opened(url: str) -> tuple[Any, dict[str, Any]]:
    connections = open_redis(url)
    connections.close()
    pool = connections.commands.connection_pool
    return pool, pool.connection_kwargs


def test_one_server() -> None:
    _, options = opened("redis://app:s%40fe@queue:6380/3")
    assert [options[name] for name in ("host", "port", "db", "username", "password")] == [
        "queue", 6380, 3, "app", "s@fe",
    ]  # fmt: skip


def test_sentinels_with_credentials_of_both_kinds() -> None:
    pool, options = opened(
        "redis+sentinel://app:s%40fe@one,two:26380,[::1]:26381/jobs/2?sentinel_username=watch&sentinel_password=w%26"
    )
    sentinels = [one.connection_pool.connection_kwargs for one in pool.sentinel_manager.sentinels]
    assert pool.service_name == "jobs"
    assert [(one["host"], one["port"]) for one in sentinels] == [("one", 26379), ("two", 26380), ("::1", 26381)]
    assert {(one["username"], one["password"]) for one in sentinels} == {("watch", "w&")}
    assert [options[name] for name in ("db", "username", "password")] == [2, "app", "s@fe"]
    assert "ssl" not in pool.connection_class.__name__.lower()


def test_tls_goes_to_servers_and_sentinels() -> None:
    pool, options = opened("rediss+sentinel://one/jobs?ssl_ca_certs=/ca.pem")
    assert pool.connection_class.__name__ == "_SecureConnection"
    assert options["ssl_ca_certs"] == "/ca.pem"
    one = pool.sentinel_manager.sentinels[0].connection_pool
    assert one.connection_class.__name__ == "SSLConnection"
    assert one.connection_kwargs["ssl_ca_certs"] == "/ca.pem"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis+sentinel://one,two", "name of the service"),
        ("redis+sentinel://one,,two/jobs", "expected host or host:port of a sentinel, found ''"),
        ("redis+sentinel://one:port/jobs", "found 'one:port'"),
        ("redis://one:port/0", "port"),
        ("rediss://:p@one:6379,two:port/0?cluster=true", "port"),
        ("redis://one/0?socket_timeout=soon", "socket_timeout"),
    ],
)
def test_a_url_that_cannot_be_understood_is_named(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="JANGADA_REDIS_URL") as refused:
        open_redis(url)
    assert said in refused.value.detail


def test_the_setting_takes_every_form() -> None:
    for url in ("redis://a/0", "rediss://a/0", "redis+sentinel://a/jobs", "rediss+sentinel://:p@a/jobs"):
        assert Settings.from_env({"JANGADA_REDIS_URL": url}).redis_url == url
    with pytest.raises(ConfigurationError, match="JANGADA_REDIS_URL"):
        Settings.from_env({"JANGADA_REDIS_URL": "sentinel://a"})
    assert "p@" not in Settings.from_env({"JANGADA_REDIS_URL": "rediss+sentinel://:p@a/jobs"}).describe()["redis_url"]

"""Fixtures that several floors share, and the clean start that every test gets."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests import servers


def pytest_configure(config: pytest.Config) -> None:
    """Nothing of the machine's settings may leak into a test; `servers` has read what is for it."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        # Tests run in processes that are started from here, and each reads what is for it.
        return
    for name in [name for name in os.environ if name.startswith("JANGADA_")]:
        del os.environ[name]


def pytest_report_header() -> str:
    return servers.describe()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis for the whole run: use a `prefix` of your own."""
    with servers.any_redis() as url:
        yield url


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    """A MongoDB for the whole run: use a database of your own."""
    with servers.any_mongo() as url:
        yield url


@pytest.fixture(scope="session")
def redis_connections(redis_url: str) -> Iterator[Any]:
    """`RedisConnections` to it."""
    from jangada.redis_client import open_redis

    connections = open_redis(redis_url)
    yield connections
    connections.close()


@pytest.fixture(scope="session")
def mongo_client(mongo_url: str) -> Iterator[Any]:
    """A `MongoClient` to it."""
    from jangada.mongo_client import open_mongo

    client = open_mongo(mongo_url)
    yield client
    client.close()


@pytest.fixture
def mongo_database(mongo_client: Any) -> Iterator[Any]:
    """An empty database, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield mongo_client[name]
    mongo_client.drop_database(name)


@pytest.fixture(scope="session")
def ferretdb_client() -> Iterator[Any]:
    """A `MongoClient` to a FerretDB of the run's own."""
    from jangada.mongo_client import open_mongo

    with servers.any_ferretdb() as url:
        client = open_mongo(url)
        yield client
        client.close()


@pytest.fixture
def ferretdb_database(ferretdb_client: Any) -> Iterator[Any]:
    """An empty database in it, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield ferretdb_client[name]
    ferretdb_client.drop_database(name)


@pytest.fixture
def key_prefix() -> str:
    """A prefix for keys in Redis that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}"

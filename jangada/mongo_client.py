"""The connection to MongoDB: how it is made, and its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pymongo import MongoClient
from pymongo.errors import ConfigurationError as MongoConfigurationError
from pymongo.errors import InvalidOperation, PyMongoError

from jangada.errors import ConfigurationError, StoreUnavailableError

if TYPE_CHECKING:
    from jangada.settings import Settings

RETRY_AFTER_S = 2.0


def connect_mongo(settings: Settings) -> MongoClient[dict[str, Any]]:
    """The process' one client for `settings.mongo_url`; it connects with its first command."""
    return open_mongo(settings.mongo_url)


def open_mongo(url: str) -> MongoClient[dict[str, Any]]:
    """
    A client for *url*, with journaled writes; on a replica set a majority of it has them.

    What the URL itself says of write concern and time-outs wins.
    """
    replicated = url.startswith("mongodb+srv") or "replicaSet=" in url
    options: dict[str, Any] = {
        "w": "majority" if replicated else 1,
        "journal": True,
        "tz_aware": True,
        "serverSelectionTimeoutMS": 2000,
        "connectTimeoutMS": 2000,
        "socketTimeoutMS": 20_000,
        "appname": "jangada",
    }
    lowered = url.lower()
    for name in list(options):
        if f"{name.lower()}=" in lowered.partition("?")[2]:
            del options[name]
    try:
        return MongoClient(url, **options)
    except (MongoConfigurationError, ValueError) as error:
        raise ConfigurationError(f"JANGADA_MONGO_URL is not usable: {error}") from error


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the server or the way to it did wrong into `StoreUnavailableError`; our own mistakes stay."""
    try:
        yield
    except (MongoConfigurationError, InvalidOperation):
        raise
    except PyMongoError as error:
        raise StoreUnavailableError(f"MongoDB is not available: {error}", retry_after_s=RETRY_AFTER_S) from error

"""The functions as Flask apps, over memory and over the real servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from jangada.settings import Settings
from jangada.tenants import Scope, Tenant
from jangada.tenants.keys import new_key
from jangada.wiring import Services


@pytest.fixture(params=["memory", "servers"])
def services(request: pytest.FixtureRequest, tmp_path) -> Iterator[Services]:
    settings = replace(Settings.from_env({}), secrets_dir=tmp_path, max_file_bytes=300_000)
    if request.param == "memory":
        made = Services.in_memory(settings)
    else:
        database = request.getfixturevalue("mongo_database")
        made = Services.from_settings(
            replace(
                settings,
                mongo_url=request.getfixturevalue("mongo_url"),
                mongo_database=database.name,
                redis_url=request.getfixturevalue("redis_url"),
                artifacts=f"folder:{tmp_path / 'files'}",
            )
        )
    for tenant_id in ("acme", "other"):
        made.tenants.insert_tenant(Tenant(tenant_id, tenant_id, made.clock()))
    yield made
    made.close()


def headers_of(services: Services, *scopes: str, tenant_id: str = "acme", **more: Any) -> dict[str, str]:
    """The header of a new key with *scopes* (all but admin unless given)."""
    wanted = frozenset(scopes) or frozenset(str(scope) for scope in Scope) - {"admin"}
    key, plain = new_key(tenant_id, "test", wanted, now=services.clock(), **more)
    services.tenants.insert_key(key)
    return {"Authorization": f"Bearer {plain.text}"}

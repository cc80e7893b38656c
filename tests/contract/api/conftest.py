"""The router over services in memory (or real servers), two tenants, a few algorithms, and an executor by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from functions.router.handler import create_app
from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.algorithms.authoring import File
from jangada.algorithms.manifest import Limits
from jangada.clock import to_ms, utc_now
from jangada.jobs.execution import Completion, JobExecution
from jangada.jobs.queue import Lease
from jangada.settings import Settings
from jangada.tenants.keys import new_key
from jangada.tenants.tenant import Tenant
from jangada.wiring import Services

ECHO_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "times": {"type": "integer", "minimum": 1}},
    "required": ["text"],
    "additionalProperties": False,
}
PAGE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"page": {"$ref": "#/$defs/File"}},
    "required": ["page"],
    "additionalProperties": False,
    "$defs": {"File": {**File.model_json_schema(), "x-jangada-file": True}},
}
ALL_SCOPES = frozenset({"jobs:read", "jobs:write", "webhooks:read", "webhooks:write", "files:read", "files:write"})


def algorithm(name: str, schema: dict[str, Any]) -> AlgorithmRecord:
    return AlgorithmRecord(
        name=name,
        version="1.4.2",
        description="for tests",
        device="cpu",
        limits=Limits(execution_timeout_s=600.0),
        max_attempts=3,
        input_schema=schema,
        output_schema={},
        queue=name,
        updated_at=utc_now(),
    )


@dataclass
class Api:
    """One platform, seen by its clients."""

    services: Services
    app: Flask
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def http(self) -> FlaskClient:
        return self.app.test_client()

    def add_tenant(self, tenant_id: str, **limits: Any) -> None:
        self.services.tenants.insert_tenant(Tenant(tenant_id, tenant_id, utc_now(), **limits))
        self.keys[tenant_id] = self.key(tenant_id)

    def key(self, tenant_id: str, scopes: frozenset[str] = ALL_SCOPES, **more: Any) -> str:
        key, plain = new_key(tenant_id, "test", scopes, now=utc_now(), **more)
        self.services.tenants.insert_key(key)
        return plain.text

    def as_(self, tenant_id: str = "acme", **headers: str) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return {"Authorization": f"Bearer {self.keys[tenant_id]}", **named}

    def call(self, method: str, path: str, body: Any = None, *, tenant: str = "acme", **headers: str) -> Any:
        return self.http.open(path, method=method, json=body, headers=self.as_(tenant, **headers))

    def get(self, path: str, **more: Any) -> Any:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.call("POST", path, body, **more)

    def submit(self, **fields: Any) -> dict[str, Any]:
        answer = self.post("/v1/jobs", {"algorithm": "echo", "input": {"text": "olá"}} | fields)
        assert answer.status_code == 202, answer.text
        return answer.json

    def execution(self, queue: str = "echo") -> JobExecution:
        return JobExecution(self.services.queue, self.services.store, queue_name=queue, executor_id="exec_test")

    def claim(self, queue: str = "echo") -> Lease:
        (lease,) = self.execution(queue).exchange(want=1)
        return lease

    def finish(self, lease: Lease, output: Any = None, **more: Any) -> None:
        done = Completion(lease, output=output, started_ms=to_ms(utc_now()), **more)
        self.execution(lease.queue).exchange([done])

    def run_one(self, output: Any = None, **more: Any) -> Lease:
        lease = self.claim()
        self.finish(lease, output, **more)
        return lease


def make_api(services: Services) -> Api:
    api = Api(services, create_app(services))
    api.add_tenant("acme")
    api.add_tenant("globex")
    services.algorithms.put(algorithm("echo", ECHO_SCHEMA))
    services.algorithms.put(algorithm("page", PAGE_SCHEMA))
    services.algorithms.put(algorithm("any", {}))
    return api


def settings_for(tmp_path: Path, **changes: Any) -> Settings:
    return dataclasses.replace(Settings.from_env({}), secrets_dir=tmp_path, **changes)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    made: list[Services] = []

    def build(**settings: Any) -> Api:
        services = Services.in_memory(settings_for(tmp_path, **settings))
        made.append(services)
        return make_api(services)

    yield build
    for services in made:
        services.close()


@pytest.fixture
def api(make: Any) -> Api:
    return make()

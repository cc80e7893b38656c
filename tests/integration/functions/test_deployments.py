"""The function `deployments`."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from functions.deployments.handler import create_app
from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.algorithms.manifest import Limits
from jangada.wiring import Services

from .conftest import headers_of

SCHEMA = {"type": "object", "$defs": {"File": {"type": "object"}}, "properties": {"page": {"$ref": "#/$defs/File"}}}


@pytest.fixture
def client(services: Services) -> FlaskClient:
    for name in ("text-embed", "doc-ocr", "doc-metadata"):
        services.algorithms.put(
            AlgorithmRecord(
                name=name,
                version="1.4.2",
                description="About it",
                device="cpu",
                limits=Limits(execution_timeout_s=60.0, memory_mib=512),
                max_attempts=2,
                input_schema=SCHEMA,
                output_schema={"type": "object"},
                queue=name,
                updated_at=services.clock(),
            )
        )
    return create_app(services).test_client()


def test_an_algorithm_is_described_with_its_schemas(client, services):
    found = client.get("/v1/algorithms/doc-ocr", headers=headers_of(services)).json
    assert (found["object"], found["name"], found["version"], found["device"]) == (
        "algorithm",
        "doc-ocr",
        "1.4.2",
        "cpu",
    )
    assert found["input_schema"] == SCHEMA
    assert found["limits"] == {"execution_timeout_s": 60.0, "memory_mib": 512, "grace_s": 5.0, "max_attempts": 2}
    assert found["default_deployment"] == "doc-ocr"


@pytest.mark.parametrize("kind", ["algorithms", "deployments"])
def test_they_are_listed_by_name_in_pages(client, services, kind):
    headers = headers_of(services)
    first = client.get(f"/v1/{kind}?limit=2", headers=headers).json
    assert [one["name"] for one in first["data"]] == ["doc-metadata", "doc-ocr"]
    second = client.get(f"/v1/{kind}?limit=2&cursor={first['next_cursor']}", headers=headers).json
    assert [one["name"] for one in second["data"]] == ["text-embed"]
    assert second["next_cursor"] is None


def test_each_algorithm_has_its_default_deployment(client, services):
    found = client.get("/v1/deployments/doc-ocr", headers=headers_of(services)).json
    assert (found["algorithm"], found["algorithm_version"], found["is_default"]) == ("doc-ocr", "1.4.2", True)


def test_an_unknown_one_is_404(client, services):
    headers = headers_of(services)
    assert client.get("/v1/algorithms/nothing", headers=headers).json["code"] == "unknown_algorithm"
    assert client.get("/v1/deployments/nothing", headers=headers).status_code == 404


def test_the_scope_is_needed(client, services):
    for path in ("/v1/algorithms", "/v1/algorithms/doc-ocr", "/v1/deployments"):
        assert client.get(path, headers=headers_of(services, "jobs:read")).status_code == 403
        assert client.get(path).status_code == 401

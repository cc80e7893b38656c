"""What was used, through the function `deployments`."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from functions.deployments.handler import create_app
from jangada.deployments.deployment import Deployment, Prices
from jangada.deployments.ledger import Entry, Used
from jangada.wiring import Services

from .conftest import headers_of

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
JANUARY = "/v1/usage?from=2026-01-01&to=2026-01-31"


def entry(number: int, used: Used, tenant_id: str | None = "acme", day: int = 2, **more: Any) -> Entry:
    facts: dict[str, Any] = {"deployment": "acme-ocr", "gpu_type": None} | more
    return Entry(
        id=f"exe/{number}",
        at=NOON.replace(day=day),
        tenant_id=tenant_id,
        queue="dep.acme-ocr",
        algorithm="doc-ocr",
        algorithm_version="1.0.0",
        executor_id="exe",
        used=used,
        **facts,
    )


@pytest.fixture
def http(services: Services) -> FlaskClient:
    prices = Prices(cpu_s=0.5, gpu_s=2.0)
    wish = Deployment("acme-ocr", "doc-ocr", "dep.acme-ocr", NOON, NOON, tenant_id="acme", prices=prices)
    assert services.deployments.insert(wish)
    services.ledger.append(
        [
            entry(1, Used(attempts=2, run_s=3.0, cpu_s=2.0, peak_rss_bytes=7.0)),
            entry(2, Used(attempts=1, run_s=1.0, cpu_s=1.0, peak_rss_bytes=9.0)),
            entry(3, Used(idle_s=10.0)),
            entry(4, Used(attempts=1, gpu_s=4.0, cpu_s=1.0, idle_gpu_s=1.0), gpu_type="NVIDIA A100", day=3),
            entry(5, Used(attempts=1, cpu_s=5.0), "globex", deployment="gone"),
        ]
    )
    return create_app(services).test_client()


def test_a_tenant_sees_its_own_added_up_by_day_with_the_cost(http: FlaskClient, services: Services):
    found = http.get(JANUARY, headers=headers_of(services, "usage:read")).json
    assert (found["first_day"], found["last_day"]) == ("2026-01-01", "2026-01-31")
    second, third = found["data"]
    assert second == {
        "day": "2026-01-02",
        "tenant": "acme",
        "deployment": "acme-ocr",
        "algorithm": "doc-ocr",
        "gpu_type": None,
        "attempts": 3,
        "queue_s": 0.0,
        "setup_s": 0.0,
        "run_s": 4.0,
        "cpu_s": 3.0,
        "gpu_s": 0.0,
        "idle_s": 10.0,
        "idle_gpu_s": 0.0,
        "peak_rss_bytes": 9.0,
        "cost": 6.5,
    }
    assert (third["day"], third["gpu_type"], third["cost"]) == ("2026-01-03", "NVIDIA A100", 10.5)


def test_an_administrator_sees_everybodys_or_one_tenants(http: FlaskClient, services: Services):
    admin = headers_of(services, "admin")
    everybody = http.get(JANUARY, headers=admin).json["data"]
    assert {line["tenant"] for line in everybody} == {"acme", "globex"}
    (line,) = http.get(f"{JANUARY}&tenant=globex", headers=admin).json["data"]
    assert (line["deployment"], line["cost"]) == ("gone", None)
    assert http.get(f"{JANUARY}&deployment=gone", headers=admin).json["data"] == [line]


def test_another_tenants_takes_the_scope_admin(http: FlaskClient, services: Services):
    mine = headers_of(services, "usage:read")
    assert http.get(f"{JANUARY}&tenant=globex", headers=mine).status_code == 403
    assert http.get(f"{JANUARY}&tenant=acme", headers=mine).status_code == 200
    assert http.get(JANUARY, headers=headers_of(services, "jobs:read")).status_code == 403


@pytest.mark.parametrize("how", ["format", "accept"])
def test_it_is_a_table_when_asked(http: FlaskClient, services: Services, how: str):
    headers = headers_of(services, "usage:read")
    if how == "format":
        answer = http.get(f"{JANUARY}&format=csv", headers=headers)
    else:
        answer = http.get(JANUARY, headers=headers | {"Accept": "text/csv"})
    assert answer.mimetype == "text/csv"
    assert 'filename="usage-2026-01-01-2026-01-31.csv"' in answer.headers["Content-Disposition"]
    first, _ = csv.DictReader(io.StringIO(answer.text))
    assert (first["day"], first["attempts"], first["cost"], first["gpu_type"]) == ("2026-01-02", "3", "6.5", "")


@pytest.mark.parametrize(
    ("query", "days", "attempts"),
    [
        ("from=2026-01-02&to=2026-01-02", ("2026-01-02", "2026-01-02"), [3]),
        ("from=2026-01-03&to=2026-01-03", ("2026-01-03", "2026-01-03"), [1]),
        ("from=2026-01-04&to=2026-01-04", ("2026-01-04", "2026-01-04"), []),
        ("from=2025-01-03&to=2026-01-03", ("2025-01-03", "2026-01-03"), [3, 1]),  # 366 days
        ("to=2026-01-31", ("2026-01-01", "2026-01-31"), [3, 1]),
        ("to=0001-01-02", ("0001-01-01", "0001-01-02"), []),
        ("from=9999-01-01&to=9999-12-31", ("9999-01-01", "9999-12-31"), []),
    ],
)
def test_both_ends_are_counted_in_and_a_table_without_lines_has_its_head(
    http: FlaskClient, services: Services, query: str, days: tuple[str, str], attempts: list[int]
):
    mine = headers_of(services, "usage:read")
    found = http.get(f"/v1/usage?{query}", headers=mine).json
    assert (found["first_day"], found["last_day"]) == days
    assert [line["attempts"] for line in found["data"]] == attempts
    table = http.get(f"/v1/usage?{query}&format=csv", headers=mine).text.splitlines()
    assert table[0].startswith("day,tenant,deployment,")
    assert len(table) == 1 + len(attempts)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("from=yesterday", "/query/from"),
        ("to=2026-13-01", "/query/to"),
        ("from=2026-02-01&to=2026-01-01", "/query/from"),
        ("from=2025-01-02&to=2026-01-03", "/query/from"),  # 367 days
        ("format=xml", "/query/format"),
    ],
)
def test_what_cannot_be_read_is_named(http: FlaskClient, services: Services, query: str, pointer: str):
    answer = http.get(f"/v1/usage?{query}", headers=headers_of(services, "usage:read"))
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, pointer)

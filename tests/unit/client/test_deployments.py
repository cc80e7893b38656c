"""`Client.deployments` and `Client.usage` against a platform behind `requests`' seam."""

from __future__ import annotations

import pytest

from jangada.client import ConflictError, Deployment
from tests.unit.client.fake_platform import Answer, FakePlatform, client_of, problem

LANE = {
    "track": "stable",
    "algorithm_version": "1.0.0",
    "state": "waiting",
    "wanted": 2,
    "reason": "backlog",
    "ready": 0,
    "starting": 1,
    "draining": 0,
    "queued": 7,
    "running": 0,
    "backlog_s": 12.5,
    "last_start": None,
    "problem": "no node offers gpu ≥ 24 GiB",
}
BODY = {
    "name": "acme-ocr",
    "object": "deployment",
    "algorithm": "doc-ocr",
    "algorithm_version": "1.0.0",
    "tenant": "acme",
    "mode": "on-demand",
    "scaling": {"min": 0, "max": 4},
    "generation": 3,
    "previous_version": "0.9.0",
    "status": {"state": "waiting", "lanes": [LANE]},
    "something_new": 1,
}


def calls(platform):
    return [(request.method, request.path_url) for request in platform.requests]


def made(*answers):
    platform = FakePlatform(*answers)
    return client_of(platform, retries=0)[0], platform


def test_a_deployment_is_read_and_what_is_unknown_is_kept_aside():
    one = Deployment.from_json(BODY)
    assert (one.name, one.state, one.generation, one.tenant) == ("acme-ocr", "waiting", 3, "acme")
    (lane,) = one.lanes
    assert (lane.wanted, lane.starting, lane.queued, lane.backlog_s) == (2, 1, 7, 12.5)
    assert lane.problem == "no node offers gpu ≥ 24 GiB"
    assert one.raw["something_new"] == 1


def test_the_calls_go_to_their_routes():
    page = {"data": [BODY], "has_more": False}
    client, platform = made(Answer(200, page), Answer(200, BODY), Answer(204, b""), Answer(200, BODY))
    assert [one.name for one in client.deployments.list()] == ["acme-ocr"]
    client.deployments.get("a b")
    client.deployments.delete("acme-ocr", generation=3)
    client.deployments.rollback("acme-ocr")
    assert calls(platform) == [
        ("GET", "/v1/deployments?limit=200"),
        ("GET", "/v1/deployments/a%20b"),
        ("DELETE", "/v1/deployments/acme-ocr"),
        ("POST", "/v1/deployments/acme-ocr/rollback"),
    ]
    assert platform.requests[2].headers["If-Match"] == '"3"'
    assert "If-Match" not in platform.requests[3].headers


def test_applying_makes_what_is_not_there():
    wish = {"name": "acme-ocr", "algorithm": "doc-ocr"}
    client, platform = made(problem(404, "not_found"), Answer(201, BODY))
    assert client.deployments.apply(wish)[1] == "created"
    assert calls(platform)[1] == ("POST", "/v1/deployments")
    assert platform.json_body() == wish


def test_applying_changes_what_is_there_if_nobody_else_has_meanwhile():
    wish = {"name": "acme-ocr", "algorithm": "doc-ocr", "tenant": "acme", "scaling": {"max": 9}}
    client, platform = made(Answer(200, BODY), Answer(200, BODY))
    assert client.deployments.apply(wish)[1] == "changed"
    assert calls(platform)[1] == ("PATCH", "/v1/deployments/acme-ocr")
    assert platform.requests[1].headers["If-Match"] == '"3"'
    assert platform.json_body() == {"scaling": {"max": 9}}


def test_applying_another_algorithm_lets_the_platform_refuse_it():
    client, platform = made(Answer(200, BODY), problem(422, "invalid_request"))
    with pytest.raises(Exception, match="invalid_request"):
        client.deployments.apply({"name": "acme-ocr", "algorithm": "other"})
    assert platform.json_body() == {"algorithm": "other"}


def test_a_refused_delete_is_a_conflict():
    client, _ = made(problem(409, "conflict"))
    with pytest.raises(ConflictError):
        client.deployments.delete("acme-ocr")


def test_usage_asks_for_days_and_owners():
    client, platform = made(Answer(200, {"data": [{"day": "2026-01-02"}]}))
    assert client.usage(first_day="2026-01-01", tenant="acme") == [{"day": "2026-01-02"}]
    assert calls(platform) == [("GET", "/v1/usage?from=2026-01-01&tenant=acme")]

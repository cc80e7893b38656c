"""The function `nodes` as administrators use it, and what strangers get."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from functions.nodes.handler import create_app
from jangada.deployments.node import Gpu, Node
from jangada.remote.identity import NodeIdentity, new_private_key
from jangada.wiring import Services
from tests.integration.functions.conftest import headers_of

ME = NodeIdentity("https://jangada.example", "", new_private_key())


@pytest.fixture
def client(services: Services) -> FlaskClient:
    return create_app(services).test_client()


@pytest.fixture
def admin(services: Services) -> dict[str, str]:
    return headers_of(services, "admin")


def join(client: FlaskClient, admin: dict[str, str], **wanted):
    made = client.post("/v1/nodes/tokens", json=wanted, headers=admin)
    assert made.status_code == 201, made.json
    asked = {"token": made.json["token"], "public_key": ME.public_key, "name": "desktop"}
    return made.json, client.post("/v1/nodes/join", json=asked)


def test_a_machine_joins_is_listed_and_ends(services: Services, client: FlaskClient, admin):
    token, joined = join(client, admin, trust="untrusted", labels={"zone": "a"}, valid_s=60.0, verify_share=0.5)
    assert token["token"].startswith("jgn_")
    assert joined.status_code == 201
    node_id = joined.json["id"]
    assert joined.json == {"id": node_id, "trust": "untrusted", "labels": {"zone": "a"}}
    (shown,) = client.get("/v1/nodes", headers=admin).json["data"]
    assert (shown["state"], shown["transport"], shown["trust"]) == ("away", "https", "untrusted")
    assert (shown["verify_share"], shown["replicas"], shown["cpu_millicores"]) == (0.5, 0, None)

    me = replace(ME, node_id=node_id)
    challenge = client.post(f"/v1/nodes/{node_id}/challenges", json={}).json["challenge"]
    proof = {"challenge": challenge, "signature": me.sign(challenge)}
    session = client.post(f"/v1/nodes/{node_id}/sessions", json=proof)
    assert session.headers["Cache-Control"] == "no-store"
    mine = {"Authorization": f"Bearer {session.json['access_token']}"}
    assert client.post("/v1/nodes/heartbeat", json={}, headers=mine).json["known"] is False
    machine = {"id": "node_other", "name": "told", "cpu_millicores": 4000, "memory_mib": 8192, "trust": "trusted",
               "lease_until": "2026-01-01T00:00:00Z", "labels": {"zone": "b", "kind": "desk"},
               "gpus": [{"uuid": "GPU-1", "type": "RTX", "memory_mib": 24576}], "engines": ["process"]}  # fmt: skip
    assert client.post("/v1/nodes/machine", json={"node": machine}, headers=mine).status_code == 204
    shown = client.get(f"/v1/nodes/{node_id}", headers=admin).json
    # Who it is, and what it may see, is not the machine's to say.
    assert (shown["state"], shown["trust"], shown["labels"]) == ("alive", "untrusted", {"zone": "a", "kind": "desk"})
    assert shown["gpus"] == [{"type": "RTX", "memory_mib": 24576}]

    assert client.delete(f"/v1/nodes/{node_id}", headers=admin).status_code == 204
    assert client.post("/v1/nodes/heartbeat", json={}, headers=mine).status_code == 401
    assert client.get("/v1/nodes", headers=admin).json["data"] == []
    assert client.get(f"/v1/nodes/{node_id}", headers=admin).json["state"] == "revoked"


def test_nodes_beside_the_servers_are_listed_too(services: Services, client: FlaskClient, admin):
    until = services.clock() + timedelta(seconds=60)
    services.deployments.put_node(Node("node_1", "server", 8000, 16_384, until, gpus=(Gpu("GPU-1", "A100", 40_960),)))
    (shown,) = client.get("/v1/nodes", headers=admin).json["data"]
    assert (shown["id"], shown["transport"], shown["state"], shown["joined_at"]) == ("node_1", "direct", "alive", None)


def test_a_suspension_is_ended_by_an_administrator(services: Services, client: FlaskClient, admin):
    _, joined = join(client, admin)
    node_id = joined.json["id"]
    services.nodes.accounts.suspend(services.nodes.accounts.get(node_id), "it lied")
    shown = client.get(f"/v1/nodes/{node_id}", headers=admin).json
    assert (shown["state"], shown["suspended_for"]) == ("suspended", "it lied")
    assert client.patch(f"/v1/nodes/{node_id}", json={"suspended": False}, headers=admin).json["state"] == "away"
    assert client.patch("/v1/nodes/node_none", json={"suspended": False}, headers=admin).status_code == 404
    assert client.delete("/v1/nodes/node_none", headers=admin).status_code == 404


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"trust": "maybe"}, "/trust"),
        ({"valid_s": 0}, "/valid_s"),
        ({"valid_s": 8 * 86_400}, "/valid_s"),
        ({"verify_share": 1.5}, "/verify_share"),
        ({"labels": {"": "x"}}, "/labels"),
        ({"surprise": 1}, "/surprise"),
    ],
)
def test_a_wrong_wish_is_named(client: FlaskClient, admin, wanted, pointer):
    answer = client.post("/v1/nodes/tokens", json=wanted, headers=admin)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"].startswith(pointer)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/nodes/tokens"), ("GET", "/v1/nodes"), ("DELETE", "/v1/nodes/node_1"), ("GET", "/v1/nodes/node_1")],
)
def test_only_an_administrator_has_to_do_with_nodes(services: Services, client: FlaskClient, method, path):
    assert client.open(path, method=method, json={}).status_code == 401
    assert client.open(path, method=method, json={}, headers=headers_of(services)).status_code == 403


def test_no_route_of_nodes_takes_a_persons_key_and_no_other_a_nodes(services: Services, client: FlaskClient, admin):
    routes = [
        (method, rule.rule)
        for rule in client.application.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/v1/nodes/")
    ]
    asked = 0
    for method, path in routes:
        if "<node_id>" in path or path in {"/v1/nodes/tokens", "/v1/nodes/join"}:
            continue
        asked_for = path.replace("<replica_id>", "rep_1").replace("<file_id>", "file_1").replace("<int:number>", "0")
        answer = client.open(asked_for, method=method, json={}, headers=admin)
        # By a ticket alone, of which there is none; a part's body is no JSON either.
        assert answer.status_code in ({401, 415} if "parts" in path else {401}), (method, path, answer.status_code)
        asked += 1
    assert asked >= 15

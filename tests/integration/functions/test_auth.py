"""The function `auth`."""

from __future__ import annotations

import base64
from datetime import timedelta

import jwt
import pytest
from flask.testing import FlaskClient

from functions.auth.handler import create_app
from jangada.wiring import Services

from .conftest import headers_of


@pytest.fixture
def client(services: Services) -> FlaskClient:
    services.ensure_first_key()
    return create_app(services).test_client()


@pytest.fixture
def admin(services: Services) -> dict[str, str]:
    return headers_of(services, "admin")


def new_key(client: FlaskClient, headers: dict[str, str], **body: object) -> dict[str, object]:
    answer = client.post("/v1/keys", json={"name": "k", **body}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json


def bearer(text: object) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_a_tenant_is_made_listed_and_read(client, admin):
    made = client.post("/v1/tenants", json={"id": "new", "name": "New", "weight": 2, "max_jobs": 5}, headers=admin)
    assert made.status_code == 201
    assert made.headers["Location"] == "/v1/tenants/new"
    assert client.get("/v1/tenants/new", headers=admin).json == made.json
    ids = []
    cursor = ""
    while True:
        page = client.get(f"/v1/tenants?limit=2{cursor}", headers=admin).json
        ids += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert ids == ["other", "new", "default", "acme"]
    assert client.post("/v1/tenants", json={"id": "new"}, headers=admin).status_code == 409


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"id": "Bad Id"}, "/id"),
        ({"id": "ok", "weight": 0}, "/weight"),
        ({"id": "ok", "max_jobs": -1}, "/max_jobs"),
        ({"id": "ok", "colour": 1}, "/colour"),
    ],
)
def test_a_tenant_that_makes_no_sense_is_422(client, admin, body, pointer):
    answer = client.post("/v1/tenants", json=body, headers=admin)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


def test_tenants_are_for_admins_alone(client, services):
    headers = headers_of(services)
    assert client.get("/v1/tenants", headers=headers).status_code == 403
    assert client.post("/v1/tenants", json={"id": "new"}, headers=headers).status_code == 403
    assert client.get("/v1/tenants/acme", headers=headers).status_code == 200
    assert client.get("/v1/tenants/other", headers=headers).status_code == 404


def test_a_key_is_shown_once(client, admin):
    made = new_key(client, admin, tenant="acme", scopes=["jobs:read"])
    text = str(made["key"])
    assert client.get("/v1/whoami", headers=bearer(text)).json["tenant"]["id"] == "acme"
    for path in ("/v1/keys?tenant=*", "/v1/keys?tenant=acme", f"/v1/keys/{made['id']}"):
        answer = client.get(path, headers=admin)
        assert str(made["id"]) in answer.text
        assert text.split("_", 2)[2] not in answer.text


def test_a_revoked_key_stops_working_with_its_tokens(client, admin):
    made = new_key(client, admin, tenant="acme", scopes=["jobs:read"])
    grant = {"grant_type": "client_credentials", "client_secret": made["key"]}
    token = client.post("/v1/token", data=grant).json["access_token"]
    assert client.get("/v1/whoami", headers=bearer(token)).status_code == 200
    for _ in range(2):
        assert client.delete(f"/v1/keys/{made['id']}", headers=admin).status_code == 204
    assert client.get("/v1/whoami", headers=bearer(token)).status_code == 401
    assert client.get("/v1/whoami", headers=bearer(made["key"])).status_code == 401
    assert client.post("/v1/token", data=grant).status_code == 401
    assert client.get(f"/v1/keys/{made['id']}", headers=admin).json["revoked_at"].endswith("Z")


def test_another_tenants_key_is_404(client, services, admin):
    theirs = new_key(client, admin, tenant="other", scopes=["jobs:read"])
    mine = headers_of(services)
    assert client.get(f"/v1/keys/{theirs['id']}", headers=mine).status_code == 404
    assert client.delete(f"/v1/keys/{theirs['id']}", headers=mine).status_code == 404
    assert client.get("/v1/keys?tenant=other", headers=mine).status_code == 404
    assert client.get("/v1/keys/key_nothing", headers=mine).status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": "k", "expires_in_s": 0}, "/expires_in_s"),
        ({"name": "k", "expires_in_s": "60"}, "/expires_in_s"),
        ({"name": "k", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"name": "k", "expires_at": "2040-01-01T00:00:00"}, "/expires_at"),
        ({"name": "k", "expires_at": 1}, "/expires_at"),
        ({"name": "k", "expires_at": "2040-01-01T00:00:00Z", "expires_in_s": 5}, "/expires_in_s"),
        ({"name": "k", "scopes": ["everything"]}, "/scopes"),
        ({"name": "k", "scopes": "jobs:read"}, "/scopes"),
    ],
)
def test_a_key_that_makes_no_sense_is_422(client, admin, body, pointer):
    answer = client.post("/v1/keys", json=body, headers=admin)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


def test_an_expiry_is_kept_to_the_millisecond(client, admin):
    made = new_key(client, admin, expires_at="2040-01-02T05:04:05.678999+02:00")
    assert made["expires_at"] == "2040-01-02T03:04:05.678Z"


def test_a_key_without_the_right_to_make_keys_makes_none(client, services):
    assert client.post("/v1/keys", json={"name": "k"}, headers=headers_of(services, "jobs:read")).status_code == 403
    escalation = client.post("/v1/keys", json={"name": "k", "scopes": ["admin"]}, headers=headers_of(services))
    assert escalation.status_code == 403


def credentials(made: dict[str, object]) -> tuple[str, str]:
    return str(made["id"]), str(made["key"]).split("_", 2)[2]


@pytest.mark.parametrize("how", ["basic", "form", "json", "whole key"])
def test_client_credentials_give_a_token(client, admin, how):
    made = new_key(client, admin, tenant="acme", scopes=["jobs:read", "jobs:write"])
    key_id, secret = credentials(made)
    grant = {"grant_type": "client_credentials", "scope": "jobs:read"}
    answer = {
        "basic": lambda: client.post("/v1/token", data=grant, auth=(key_id, secret)),
        "form": lambda: client.post("/v1/token", data=grant | {"client_id": key_id, "client_secret": secret}),
        "json": lambda: client.post("/v1/token", json=grant | {"client_id": key_id, "client_secret": secret}),
        "whole key": lambda: client.post("/v1/token", data=grant | {"client_secret": made["key"]}),
    }[how]()
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert (answer.json["token_type"], answer.json["expires_in"], answer.json["scope"]) == ("Bearer", 900, "jobs:read")
    who = client.get("/v1/whoami", headers=bearer(answer.json["access_token"])).json
    assert (who["tenant"]["id"], who["scopes"], who["key_id"]) == ("acme", ["jobs:read"], key_id)
    jwks = jwt.PyJWKSet.from_dict(client.get("/v1/.well-known/jwks.json").json)
    kid = jwt.get_unverified_header(answer.json["access_token"])["kid"]
    jwt.decode(answer.json["access_token"], jwks[kid].key, algorithms=["EdDSA"], audience="jangada")


def test_a_token_does_not_outlive_its_key(client, admin):
    made = new_key(client, admin, scopes=["jobs:read"], expires_in_s=30)
    answer = client.post("/v1/token", data={"grant_type": "client_credentials", "client_secret": made["key"]})
    assert 27 <= answer.json["expires_in"] <= 30


BASIC = {"Authorization": f"Basic {base64.b64encode(b'key_x:wrong').decode()}"}
GRANT = {"grant_type": "client_credentials"}
BAD_TOKEN_REQUESTS = {
    "nothing": ({"data": {}}, 400, "invalid_request"),
    "no content type": ({"data": b"x"}, 400, "invalid_request"),
    "not JSON": ({"data": b"{", "content_type": "application/json"}, 400, "invalid_request"),
    "a list": ({"json": ["x"]}, 400, "invalid_request"),
    "a number": ({"json": {"grant_type": 1}}, 400, "invalid_request"),
    "another grant": ({"data": {"grant_type": "password"}}, 400, "unsupported_grant_type"),
    "two grants": ({"data": {"grant_type": ["client_credentials", "password"]}}, 400, "invalid_request"),
    "no client": ({"data": GRANT}, 401, "invalid_client"),
    "unknown client": ({"data": GRANT | {"client_id": "x", "client_secret": "y"}}, 401, "invalid_client"),
    "unknown by Basic": ({"data": GRANT, "headers": BASIC}, 401, "invalid_client"),
    "broken Basic": ({"data": GRANT, "headers": {"Authorization": "Basic %%%"}}, 401, "invalid_client"),
    "Bearer": ({"data": GRANT, "headers": {"Authorization": "Bearer x"}}, 401, "invalid_client"),
    "two ways": ({"data": GRANT | {"client_secret": "y"}, "headers": BASIC}, 400, "invalid_request"),
}


@pytest.mark.parametrize("kind", BAD_TOKEN_REQUESTS)
def test_a_bad_token_request_is_answered_in_oauths_shape(client, kind):
    options, status, error = BAD_TOKEN_REQUESTS[kind]
    answer = client.post("/v1/token", **options)
    assert (answer.status_code, answer.json["error"]) == (status, error)
    assert set(answer.json) == {"error", "error_description"}
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def test_a_rotation_signs_with_a_new_key_and_keeps_old_tokens(client, services, admin):
    grant = {"grant_type": "client_credentials", "client_secret": new_key(client, admin, scopes=["jobs:read"])["key"]}
    before = client.post("/v1/token", data=grant).json["access_token"]
    assert client.post("/v1/token/rotate", headers=headers_of(services)).status_code == 403
    assert len(client.post("/v1/token/rotate", headers=admin).json["keys"]) == 2
    after = client.post("/v1/token", data=grant).json["access_token"]
    assert jwt.get_unverified_header(before)["kid"] != jwt.get_unverified_header(after)["kid"]
    for token in (before, after):
        assert client.get("/v1/whoami", headers=bearer(token)).status_code == 200


def test_a_scope_beyond_the_keys_is_refused(client, admin):
    made = new_key(client, admin, scopes=["jobs:read"])
    grant = {"grant_type": "client_credentials", "client_secret": made["key"], "scope": "jobs:read admin"}
    answer = client.post("/v1/token", data=grant)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_scope")


def test_an_expired_key_is_refused_everywhere(client, services):
    headers = headers_of(services, "jobs:read", expires_at=services.clock() - timedelta(seconds=1))
    assert client.get("/v1/whoami", headers=headers).status_code == 401


def test_the_first_start_shows_the_admin_key_once(services, capsys):
    for _ in range(3):
        create_app(services)
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if "first admin key" in line]
    assert len(lines) == 1
    text = lines[0].rpartition(" ")[2]
    client = create_app(services).test_client()
    assert "admin" in client.get("/v1/whoami", headers=bearer(text)).json["scopes"]


def test_the_first_key_is_made_later_when_the_store_was_away_at_the_start(services, capsys, monkeypatch):
    from jangada.errors import StoreUnavailableError

    def away(tenant: object) -> bool:
        raise StoreUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(services.tenants, "insert_tenant", away)
        client = create_app(services).test_client()
        assert "first admin key" not in capsys.readouterr().err
    client.get("/v1/whoami")
    assert "first admin key" in capsys.readouterr().err

"""Who may call: 401, 403 and their headers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jangada.tenants.keys import new_key


def key_of(services, scopes, **more):
    key, plain = new_key("acme", "test", frozenset(scopes), now=services.clock(), **more)
    services.tenants.insert_key(key)
    return key, {"Authorization": f"Bearer {plain.text}"}


def test_a_valid_key_is_let_in(client, services):
    _, headers = key_of(services, {"jobs:write"})
    answer = client.get("/v1/secret", headers=headers)
    assert answer.json == {"tenant": "acme"}
    assert answer.headers["Vary"] == "Authorization"
    assert "private" in answer.headers["Cache-Control"]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer jgd_nonsense",
        f"Bearer jgd_{'0' * 26}_{'A' * 43}",
        "Bearer a.b.c",
        "Bearer " + "x" * 5000,
        "Token x",
    ],
)
def test_anything_else_is_401_with_a_challenge(client, header):
    answer = client.get("/v1/secret", headers={"Authorization": header} if header is not None else {})
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_an_expired_key_is_401(client, services):
    _, headers = key_of(services, {"jobs:write"}, expires_at=services.clock() - timedelta(seconds=1))
    assert client.get("/v1/secret", headers=headers).status_code == 401


def test_a_missing_scope_is_403_and_named(client, services):
    _, headers = key_of(services, {"jobs:read"})
    answer = client.get("/v1/secret", headers=headers)
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="jobs:write"'


def test_a_key_in_the_query_string_is_not_read(client, services):
    _, headers = key_of(services, {"jobs:write"})
    token = headers["Authorization"].removeprefix("Bearer ")
    assert client.get(f"/v1/secret?access_token={token}&api_key={token}").status_code == 401

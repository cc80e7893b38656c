"""Routes of API keys."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, request

from jangada.http.auth import caller
from jangada.http.body import read_json
from jangada.http.links import href
from jangada.http.openapi import Answer, Parameter, documented
from jangada.http.paging import LIST_PARAMETERS, page_request, respond_page
from jangada.http.render import respond
from jangada.tenants import ApiKey, Scope
from jangada.wiring import Services

from .answers import KeyObject, KeyPage, NewKeyObject
from .requests import NewKey

_TAG = "keys"


def register(app: Flask, services: Services) -> None:
    """Add them."""

    @app.post("/v1/keys")
    @documented(
        "Create an API key",
        tag=_TAG,
        scopes=["keys:write"],
        description="The key is shown this once. It can do no more, and lives no longer, than the one that makes it; "
        "an admin may make keys for any tenant.",
        body=NewKey,
        answers={201: Answer("made", NewKeyObject, headers=["Location"])},
        problems=[400, 404, 413, 415, 422],
    )
    def create_key() -> Response:
        me = caller(Scope.KEYS_WRITE)
        wanted = read_json(NewKey)
        key, plaintext = services.accounts.create_key(
            me,
            wanted.name,
            tenant_id=wanted.tenant,
            scopes=None if wanted.scopes is None else frozenset(wanted.scopes),
            expires_at=wanted.ends_at(services.clock()),
        )
        headers = {"Location": href(f"/v1/keys/{key.id}"), "Cache-Control": "no-store"}
        return respond(key_object(key) | {"key": plaintext}, 201, headers)

    @app.get("/v1/keys")
    @documented(
        "List API keys",
        tag=_TAG,
        scopes=["keys:read"],
        parameters=[*LIST_PARAMETERS, Parameter("tenant", "for an admin: another tenant, or `*` for all")],
        answers={200: Answer("newest first, without secrets", KeyPage, headers=["Link"])},
        problems=[404, 422],
    )
    def list_keys() -> Response:
        me = caller(Scope.KEYS_READ)
        page = page_request()
        tenant_id = request.args.get("tenant")
        found = services.accounts.page_keys(me, tenant_id=tenant_id, before=page.after, limit=page.limit + 1)
        shown = found[: page.limit]
        more = len(found) > page.limit
        return respond_page([key_object(one) for one in shown], next_position=shown[-1].id if more else None)

    @app.get("/v1/keys/<key_id>")
    @documented(
        "Get an API key",
        tag=_TAG,
        scopes=["keys:read"],
        answers={200: Answer("the key without its secret", KeyObject)},
        problems=[404],
    )
    def get_key(key_id: str) -> Response:
        return respond(key_object(services.accounts.get_key(caller(Scope.KEYS_READ), key_id)))

    @app.delete("/v1/keys/<key_id>")
    @documented(
        "Revoke an API key",
        tag=_TAG,
        scopes=["keys:write"],
        description="It stops working everywhere within 5 seconds, and so do the tokens made with it.",
        answers={204: Answer("revoked, now or before")},
        problems=[404],
    )
    def revoke_key(key_id: str) -> Response:
        services.accounts.revoke_key(caller(Scope.KEYS_WRITE), key_id)
        return Response(status=204)


def key_object(key: ApiKey) -> dict[str, Any]:
    """A key as the API shows it."""
    return {
        "id": key.id,
        "object": "key",
        "tenant": key.tenant_id,
        "name": key.name,
        "start": key.start,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }

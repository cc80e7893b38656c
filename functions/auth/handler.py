"""Tenants, API keys and tokens over HTTP."""

from __future__ import annotations

import os

from flask import Flask, Response, request

from jangada.http.app import make_app
from jangada.http.auth import caller
from jangada.http.openapi import Answer, documented
from jangada.http.render import respond
from jangada.settings import Settings
from jangada.wiring import Services

from . import keys, tenants, token
from .answers import CallerObject
from .first_key import FirstKey


def create_app(services: Services | None = None) -> Flask:
    """The function as a Flask app; over the servers of the environment unless given others."""
    made = services or Services.from_settings(Settings.from_env(os.environ))
    return make_app("auth", made, register)


def register(app: Flask, services: Services) -> None:
    """Add the routes."""
    first_key = FirstKey(services)
    first_key.ensure()

    @app.before_request
    def ensure_first_key() -> None:
        # The store may have been away at the start.
        if not first_key.is_there and request.path.startswith("/v1/"):
            first_key.ensure()

    tenants.register(app, services)
    keys.register(app, services)
    token.register(app, services)

    @app.get("/v1/whoami")
    @documented(
        "Who am I",
        tag="keys",
        answers={200: Answer("the owner of the credential", CallerObject)},
    )
    def whoami() -> Response:
        me = caller()
        return respond(
            {
                "object": "caller",
                "tenant": tenants.tenant_object(me.tenant),
                "key_id": me.key_id,
                "scopes": sorted(me.scopes),
                "expires_at": me.expires_at,
            }
        )

"""``POST /v1/token``: OAuth 2.0 client credentials (RFC 6749 §4.4), its errors in OAuth's own shape (§5.2)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from flask import Flask, Response, request

from jangada.errors import (
    ConfigurationError,
    ConflictError,
    JangadaError,
    UnauthenticatedError,
    UnsupportedMediaTypeError,
)
from jangada.http.auth import caller
from jangada.http.body import parse_json, read_bytes, require_media_type
from jangada.http.openapi import Answer, documented
from jangada.http.render import respond
from jangada.logs import get_logger
from jangada.tenants import Scope
from jangada.tenants.keys import parse_plaintext
from jangada.wiring import Services

from .answers import JsonWebKeySet, OAuthProblem, TokenObject
from .requests import TokenRequest

_log = get_logger()

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_MAX_BODY_BYTES = 16 * 1024
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"


class OAuthError(Exception):
    """Raised to answer in the shape of RFC 6749 §5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


@dataclass(frozen=True, slots=True)
class _Client:
    key_id: str
    secret: str


def register(app: Flask, services: Services) -> None:
    """Add the token and key-set routes."""

    @app.post("/v1/token")
    @documented(
        "Get a short-lived token",
        tag="keys",
        description="OAuth 2.0 client credentials (RFC 6749 section 4.4): the key's id and secret, by Basic or as "
        "fields. The token is a JWT signed with EdDSA; it dies with its key.",
        body=TokenRequest,
        body_media_types=[_FORM, _JSON],
        answers={
            200: Answer("a token", TokenObject),
            400: Answer("in OAuth's own shape", OAuthProblem),
            401: Answer("the client is not known", OAuthProblem, headers=["WWW-Authenticate"]),
        },
        public=True,
    )
    def issue_token() -> Response:
        return _issue(services)

    @app.get("/v1/.well-known/jwks.json")
    @documented(
        "Get the keys that verify tokens",
        tag="keys",
        answers={200: Answer("a JSON Web Key Set", JsonWebKeySet)},
        public=True,
    )
    def jwks() -> Response:
        return respond(services.tokens.jwks(), headers={"Cache-Control": "public, max-age=300"})

    @app.post("/v1/token/rotate")
    @documented(
        "Make a new key to sign tokens with",
        tag="keys",
        scopes=["admin"],
        description="New tokens are signed with it at once; those given out before stay valid to their end. "
        "Where the signing keys are files of the operator, a file is added instead, and this answers 409.",
        answers={200: Answer("the key set from now on", JsonWebKeySet)},
        problems=[409],
    )
    def rotate() -> Response:
        me = caller(Scope.ADMIN)
        try:
            kid = services.tokens.rotate()
        except ConfigurationError as error:
            raise ConflictError(error.detail) from error
        _log.info("token.rotated", kid=kid, by=me.key_id)
        return respond(services.tokens.jwks(), headers=_NO_STORE)

    @app.errorhandler(OAuthError)
    def oauth_error(error: OAuthError) -> Response:
        headers = dict(_NO_STORE)
        if error.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="jangada", charset="UTF-8"'
        return respond({"error": error.error, "error_description": error.description}, error.status, headers)


def _issue(services: Services) -> Response:
    fields = _read_fields()
    grant = fields.get("grant_type")
    if not grant:
        raise OAuthError("invalid_request", "grant_type is missing")
    if grant != "client_credentials":
        raise OAuthError("unsupported_grant_type", "expected grant_type=client_credentials")
    client = _read_client(fields)
    try:
        key = services.authenticator.check_key(client.key_id, client.secret)
    except UnauthenticatedError as error:
        raise OAuthError("invalid_client", error.detail, 401) from error
    scopes = key.scopes
    if fields.get("scope"):
        scopes = frozenset(fields["scope"].split())
        if not scopes <= key.scopes:
            raise OAuthError("invalid_scope", "the key does not hold all of these scopes")
    token = services.tokens.issue(key_id=key.id, tenant_id=key.tenant_id, scopes=scopes, until=key.expires_at)
    life_s = services.tokens.ttl_s
    if key.expires_at is not None:
        life_s = min(life_s, (key.expires_at - services.clock()).total_seconds())
    answer = {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": int(life_s),
        "scope": " ".join(sorted(scopes)),
    }
    return respond(answer, headers=_NO_STORE)


def _read_fields() -> Mapping[str, str]:
    try:
        media_type = require_media_type(_FORM, _JSON)
        if media_type != _FORM:
            return _text_fields(parse_json(read_bytes(_MAX_BODY_BYTES)))
    except UnsupportedMediaTypeError as error:
        raise OAuthError("invalid_request", error.detail) from error
    except JangadaError as error:
        raise OAuthError("invalid_request", error.detail, error.status) from error
    request.max_content_length = _MAX_BODY_BYTES
    for name, values in request.form.lists():
        if len(values) > 1:
            raise OAuthError("invalid_request", f"{name} is given more than once")
    return request.form


def _text_fields(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise OAuthError("invalid_request", "expected an object of texts")
    return value


def _read_client(fields: Mapping[str, str]) -> _Client:
    header = request.headers.get("Authorization")
    if header and ("client_secret" in fields):
        raise OAuthError("invalid_request", "the client authenticates in two ways")
    if header:
        client_id, secret = _read_basic(header)
    else:
        client_id, secret = fields.get("client_id", ""), fields.get("client_secret", "")
    # The whole key is taken as a secret too: it is what a person has at hand.
    whole = parse_plaintext(secret)
    if whole is not None and client_id in ("", whole.key_id):
        return _Client(whole.key_id, whole.secret)
    if not client_id or not secret:
        raise OAuthError("invalid_client", "send the key's id and secret, by Basic or as form fields", 401)
    return _Client(client_id, secret)


def _read_basic(header: str) -> tuple[str, str]:
    scheme, _, text = header.partition(" ")
    try:
        decoded = base64.b64decode(text.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    client_id, colon, secret = decoded.partition(":")
    if not colon:
        raise OAuthError("invalid_client", "expected Authorization: Basic", 401)
    return unquote_plus(client_id), unquote_plus(secret)

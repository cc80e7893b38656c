"""What the routes answer, for the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

Instant = str


class TenantObject(BaseModel):
    """Who owns jobs, keys, quota and data. A limit that is null is the platform's own."""

    id: str
    object: Literal["tenant"]
    name: str
    weight: float = Field(description="share in the fair order of a queue")
    max_jobs: int | None = Field(description="unfinished jobs in one queue")
    max_bytes: int | None = Field(description="bytes of those jobs")
    max_file_bytes: int | None = Field(description="bytes of all files kept")
    created_at: Instant


class TenantPage(BaseModel):
    """Tenants, in falling order of id."""

    data: list[TenantObject]
    has_more: bool
    next_cursor: str | None


class KeyObject(BaseModel):
    """An API key without its secret."""

    id: str
    object: Literal["key"]
    tenant: str
    name: str
    start: str = Field(description="how the key begins, to recognise it by")
    scopes: list[str]
    created_at: Instant
    created_by: str | None
    expires_at: Instant | None
    revoked_at: Instant | None


class NewKeyObject(KeyObject):
    """A new API key; `key` is shown this once."""

    key: str = Field(examples=["jgd_01J9ZQ3V7N8K2M4P6R8T0V2X4Z_…"])


class KeyPage(BaseModel):
    """Keys, newest first."""

    data: list[KeyObject]
    has_more: bool
    next_cursor: str | None


class CallerObject(BaseModel):
    """The owner of a credential."""

    object: Literal["caller"]
    tenant: TenantObject
    key_id: str
    scopes: list[str]
    expires_at: Instant | None


class TokenObject(BaseModel):
    """RFC 6749 §5.1."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="seconds")
    scope: str


class OAuthProblem(BaseModel):
    """RFC 6749 §5.2: OAuth's own shape."""

    error: Literal["invalid_request", "invalid_client", "invalid_scope", "unsupported_grant_type"]
    error_description: str


class JsonWebKey(BaseModel):
    """A public Ed25519 key (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    use: Literal["sig"]
    alg: Literal["EdDSA"]
    kid: str
    x: str


class JsonWebKeySet(BaseModel):
    """The keys that verify tokens (RFC 7517)."""

    keys: list[JsonWebKey]

"""What the routes of `auth` read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BeforeValidator, Field

from jangada.errors import FieldError, InvalidRequestError
from jangada.http.body import RequestModel

_MAX_KEY_LIFE_S = 100 * 365 * 86400.0


def _only_text(value: Any) -> Any:
    if value is not None and not isinstance(value, str):
        raise ValueError("expected a time as text, such as 2030-01-02T03:04:05Z")
    return value


Instant = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_only_text)]


class NewTenant(RequestModel):
    """Body of ``POST /v1/tenants``."""

    id: str = Field(max_length=63)
    name: str | None = Field(default=None, min_length=1, max_length=200)
    weight: float = Field(default=1.0, gt=0, le=1000)
    max_jobs: int | None = Field(default=None, ge=0, le=2**53)
    max_bytes: int | None = Field(default=None, ge=0, le=2**53)
    max_file_bytes: int | None = Field(default=None, ge=0, le=2**53)


class NewKey(RequestModel):
    """Body of ``POST /v1/keys``: expiry as an instant or as seconds from now."""

    name: str = Field(min_length=1, max_length=200)
    tenant: str | None = Field(default=None, max_length=63)
    scopes: list[str] | None = Field(default=None, max_length=32)
    expires_at: Instant | None = None
    expires_in_s: float | None = Field(default=None, gt=0, le=_MAX_KEY_LIFE_S)

    def ends_at(self, now: datetime) -> datetime | None:
        """When the key ends, in whole milliseconds; raises `InvalidRequestError` when it is said twice."""
        if self.expires_at is not None and self.expires_in_s is not None:
            detail = "expected at most one of expires_at and expires_in_s"
            raise InvalidRequestError(detail, errors=[FieldError("/expires_in_s", detail)])
        if self.expires_in_s is not None:
            return now + timedelta(milliseconds=round(self.expires_in_s * 1000))
        if self.expires_at is None:
            return None
        return self.expires_at.replace(microsecond=self.expires_at.microsecond // 1000 * 1000)


class TokenRequest(RequestModel):
    """Body of ``POST /v1/token``; read as OAuth wants it, so this describes it only."""

    grant_type: Literal["client_credentials"]
    client_id: str | None = Field(default=None, description="the key's id, unless by Basic")
    client_secret: str | None = Field(default=None, description="the key's secret, or the whole key")
    scope: str | None = Field(default=None, description="separated by spaces; all of the key's unless given")

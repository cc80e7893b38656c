"""Who makes the current request, and may they."""

from __future__ import annotations

from flask import g, request

from jangada.errors import ForbiddenError
from jangada.http.services import current_services
from jangada.tenants import Caller


def caller(*scopes: str) -> Caller:
    """
    The caller of the current request, who must hold every one of *scopes*.

    Raises `UnauthenticatedError` (401) without a valid credential, `ForbiddenError`
    (403) when a scope is missing, `StoreUnavailableError` (503) when that cannot be said.
    """
    known: Caller | None = g.get("caller")
    if known is None:
        known = current_services().authenticator.authenticate(request.headers.get("Authorization"))
        g.caller = known
        g.tenant_id = known.tenant_id
    for scope in scopes:
        if not known.has(scope):
            raise ForbiddenError(f"this needs the scope {scope}", extra={"scope": scope})
    return known

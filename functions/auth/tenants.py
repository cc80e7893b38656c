"""Routes of tenants."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response

from jangada.http.auth import caller
from jangada.http.body import read_json
from jangada.http.links import href
from jangada.http.openapi import Answer, documented
from jangada.http.paging import LIST_PARAMETERS, page_request, respond_page
from jangada.http.render import respond
from jangada.tenants import Scope, Tenant
from jangada.wiring import Services

from .answers import TenantObject, TenantPage
from .requests import NewTenant

_TAG = "tenants"


def register(app: Flask, services: Services) -> None:
    """Add them."""

    @app.post("/v1/tenants")
    @documented(
        "Create a tenant",
        tag=_TAG,
        scopes=["admin"],
        body=NewTenant,
        answers={201: Answer("made", TenantObject, headers=["Location"])},
        problems=[400, 409, 413, 415, 422],
    )
    def create_tenant() -> Response:
        caller(Scope.ADMIN)
        wanted = read_json(NewTenant)
        tenant = services.accounts.create_tenant(wanted.id, **wanted.model_dump(exclude={"id"}))
        return respond(tenant_object(tenant), 201, {"Location": href(f"/v1/tenants/{tenant.id}")})

    @app.get("/v1/tenants")
    @documented(
        "List tenants",
        tag=_TAG,
        scopes=["admin"],
        parameters=LIST_PARAMETERS,
        answers={200: Answer("in falling order of id", TenantPage, headers=["Link"])},
        problems=[422],
    )
    def list_tenants() -> Response:
        caller(Scope.ADMIN)
        page = page_request()
        found = services.accounts.page_tenants(before=page.after, limit=page.limit + 1)
        shown = found[: page.limit]
        more = len(found) > page.limit
        return respond_page([tenant_object(one) for one in shown], next_position=shown[-1].id if more else None)

    @app.get("/v1/tenants/<tenant_id>")
    @documented(
        "Get a tenant",
        tag=_TAG,
        description="One's own, or any for an admin.",
        answers={200: Answer("the tenant", TenantObject)},
        problems=[404],
    )
    def get_tenant(tenant_id: str) -> Response:
        return respond(tenant_object(services.accounts.get_tenant(tenant_id, caller())))


def tenant_object(tenant: Tenant) -> dict[str, Any]:
    """A tenant as the API shows it."""
    return {
        "id": tenant.id,
        "object": "tenant",
        "name": tenant.name,
        "weight": tenant.weight,
        "max_jobs": tenant.max_jobs,
        "max_bytes": tenant.max_bytes,
        "max_file_bytes": tenant.max_file_bytes,
        "created_at": tenant.created_at,
    }

"""Plans over HTTP, for administrators: what tenants may wish for."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from flask import Flask, Response

from jangada.deployments.plan import Plan
from jangada.errors import FieldError, InvalidRequestError, NotFoundError
from jangada.http.auth import caller
from jangada.http.body import read_json
from jangada.http.openapi import Answer, documented
from jangada.http.render import respond
from jangada.tenants import Scope
from jangada.wiring import Services

from .answers import PlanList, PlanObject
from .plan_requests import PlanRequest

_TAG = "plans"
_SCOPES = ("admin",)
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def register(app: Flask, services: Services) -> None:
    """Add the routes."""

    @app.get("/v1/plans")
    @documented("List plans", tag=_TAG, scopes=_SCOPES, answers={200: Answer("by name", PlanList)})
    def list_plans() -> Response:
        caller(Scope.ADMIN)
        return respond({"data": [_object(plan) for plan in services.deployments.plans()]})

    @app.put("/v1/plans/<name>")
    @documented(
        "Set a plan",
        tag=_TAG,
        scopes=_SCOPES,
        body=PlanRequest,
        description="Limits hold for what is wished from now on; what there is stays. A tenant without a plan may "
        "have no deployments of its own.",
        answers={200: Answer("as it is now", PlanObject)},
        problems=[400, 413, 415, 422],
    )
    def set_plan(name: str) -> Response:
        caller(Scope.ADMIN)
        if not _NAME.fullmatch(name):
            detail = "expected 1 to 63 of a-z, 0-9 and -"
            raise InvalidRequestError(f"name: {detail}", errors=[FieldError("/name", detail)])
        wanted = read_json(PlanRequest)
        for at, tenant_id in enumerate(wanted.tenants):
            if services.tenants.get_tenant(tenant_id) is None:
                detail = f"there is no tenant {tenant_id}"
                raise InvalidRequestError(detail, errors=[FieldError(f"/tenants/{at}", detail)])
        limits = wanted.model_dump(exclude={"tenants"})
        plan = Plan(name, tuple(dict.fromkeys(wanted.tenants)), **limits)
        services.deployments.put_plan(plan)
        return respond(_object(plan))

    @app.delete("/v1/plans/<name>")
    @documented(
        "Delete a plan",
        tag=_TAG,
        scopes=_SCOPES,
        description="Its tenants have none then. What they have wished for stays.",
        answers={204: Answer("gone")},
        problems=[404],
    )
    def delete_plan(name: str) -> Response:
        caller(Scope.ADMIN)
        if not services.deployments.delete_plan(name):
            raise NotFoundError(f"there is no plan {name}")
        return Response(status=204)


def _object(plan: Plan) -> dict[str, Any]:
    return {"object": "plan"} | asdict(plan) | {"tenants": list(plan.tenants)}

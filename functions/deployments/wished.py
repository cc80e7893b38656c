"""Deployments over HTTP: wish, look, change, take back, roll back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Flask, Response, request

from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.deployments.deployment import Deployment
from jangada.deployments.service import DeploymentService
from jangada.deployments.status import LaneStatus, Overseer, Situation
from jangada.errors import FieldError, ForbiddenError, InvalidRequestError, PreconditionFailedError
from jangada.http.auth import caller
from jangada.http.body import read_bytes, read_json, read_value, validate
from jangada.http.links import href
from jangada.http.openapi import Answer, Parameter, documented
from jangada.http.paging import LIST_PARAMETERS, page_request, respond_page
from jangada.http.render import respond
from jangada.tenants import Caller, Scope
from jangada.wiring import Services

from .answers import DeploymentObject, DeploymentPage
from .wishes import NewDeployment, Wish, blank, merged, shown, wished

_TAG = "deployments"
_WRITE = (Scope.DEPLOYMENTS_WRITE.value,)
_IF_MATCH = Parameter("If-Match", "the ETag that was seen last; 412 when somebody has changed it since", where="header")
_FIXED = ("name", "algorithm", "tenant")
_SHARED = "*"


def register(app: Flask, services: Services) -> None:
    """Add the routes."""
    service = DeploymentService(services.deployments, services.algorithms, services.queue, clock=services.clock)
    view = _View(services, service)
    _register_looking(app, service, view)
    _register_making(app, services, service, view)
    _register_changing(app, service, view)


def _register_looking(app: Flask, service: DeploymentService, view: _View) -> None:
    @app.get("/v1/deployments")
    @documented(
        "List deployments",
        tag=_TAG,
        scopes=["algorithms:read"],
        parameters=LIST_PARAMETERS,
        description="Shared ones and your tenant's own; all, for an administrator.",
        answers={200: Answer("by name", DeploymentPage, headers=["Link"])},
        problems=[422],
    )
    def list_deployments() -> Response:
        found = service.visible(caller(Scope.ALGORITHMS_READ))
        page = page_request()
        after = [one for one in found if page.after is None or one.name > page.after]
        shown_now, more = after[: page.limit], len(after) > page.limit
        return respond_page(view.objects(shown_now), next_position=shown_now[-1].name if more else None)

    @app.get("/v1/deployments/<name>")
    @documented(
        "Get a deployment",
        tag=_TAG,
        scopes=["algorithms:read"],
        answers={200: Answer("the deployment", DeploymentObject, headers=["ETag"])},
        problems=[404],
    )
    def get_deployment(name: str) -> Response:
        return view.respond(service.get(name, caller(Scope.ALGORITHMS_READ)))


def _register_making(app: Flask, services: Services, service: DeploymentService, view: _View) -> None:
    @app.post("/v1/deployments")
    @documented(
        "Create a deployment",
        tag=_TAG,
        scopes=_WRITE,
        body=NewDeployment,
        description="It has a queue and a path of its own. A tenant's own must be within its plan; one that is "
        "shared, or another tenant's, takes the scope `admin`. With the name of an algorithm, and shared, it takes "
        "the place of the shared deployment that each algorithm has.",
        answers={201: Answer("made", DeploymentObject, headers=["Location", "ETag"])},
        problems=[400, 403, 409, 413, 415, 422],
    )
    def create_deployment() -> Response:
        who = caller(Scope.DEPLOYMENTS_WRITE)
        body = read_json(NewDeployment)
        owner = _owner(body, who, services)
        made = service.create(wished(body, blank(body, owner, services.clock())), who)
        return view.respond(made, 201, {"Location": href(f"/v1/deployments/{made.name}")})


def _register_changing(app: Flask, service: DeploymentService, view: _View) -> None:
    @app.patch("/v1/deployments/<name>")
    @documented(
        "Change a deployment",
        tag=_TAG,
        scopes=_WRITE,
        body=Wish,
        parameters=[_IF_MATCH],
        description="A JSON merge patch (RFC 7396): what is left out stays, null is as when it was never given. "
        "Another version, model, need, place, batching or time-out replaces the replicas one after the other, "
        "while jobs go on.",
        answers={200: Answer("as it is now", DeploymentObject, headers=["ETag"])},
        problems=[400, 403, 404, 409, 412, 413, 415, 422],
    )
    def change_deployment(name: str) -> Response:
        who = caller(Scope.DEPLOYMENTS_WRITE)
        current = _matched(service.get(name, who))
        patch = read_value()
        if not isinstance(patch, dict):
            raise InvalidRequestError("expected an object with the fields to change")
        fixed = [FieldError(f"/{field}", "cannot be changed: delete it and make another") for field in _FIXED]
        if wrong := [one for one in fixed if one.pointer[1:] in patch]:
            raise InvalidRequestError(f"{wrong[0].pointer[1:]}: {wrong[0].detail}", errors=wrong)
        known = shown(current)
        if known["scaling"]["min"] == 0:
            # Left out, it is what the mode makes it.
            del known["scaling"]["min"]
        wish = validate(Wish, merged(known, patch))
        return view.respond(service.change(current, wished(wish, current), who))

    @app.delete("/v1/deployments/<name>")
    @documented(
        "Delete a deployment",
        tag=_TAG,
        scopes=_WRITE,
        parameters=[_IF_MATCH],
        description="Refused (409) while it has unfinished jobs.",
        answers={204: Answer("gone")},
        problems=[403, 404, 409, 412],
    )
    def delete_deployment(name: str) -> Response:
        who = caller(Scope.DEPLOYMENTS_WRITE)
        service.delete(_matched(service.get(name, who)), who)
        return Response(status=204)

    @app.post("/v1/deployments/<name>/rollback")
    @documented(
        "Roll a deployment back",
        tag=_TAG,
        scopes=_WRITE,
        parameters=[_IF_MATCH],
        description="Ends its canary when it has one, else goes back to the version before.",
        answers={200: Answer("as it is now", DeploymentObject, headers=["ETag"])},
        problems=[403, 404, 409, 412],
    )
    def roll_back(name: str) -> Response:
        who = caller(Scope.DEPLOYMENTS_WRITE)
        read_bytes()
        return view.respond(service.rollback(_matched(service.get(name, who)), who))


def _owner(body: NewDeployment, who: Caller, services: Services) -> str | None:
    """Whose it is to be. Raises `ForbiddenError` and `InvalidRequestError`."""
    if body.tenant is None or body.tenant == who.tenant_id:
        return who.tenant_id
    if not who.is_admin:
        raise ForbiddenError("a deployment that is not your tenant's takes the scope admin", extra={"scope": "admin"})
    if body.tenant == _SHARED:
        return None
    if services.tenants.get_tenant(body.tenant) is None:
        detail = f"there is no tenant {body.tenant}"
        raise InvalidRequestError(detail, errors=[FieldError("/tenant", detail)])
    return body.tenant


def _matched(found: Deployment) -> Deployment:
    """*found*, if it is what `If-Match` names. Raises `PreconditionFailedError`."""
    if request.headers.get("If-Match") is not None and not request.if_match.contains(_etag(found)):
        raise PreconditionFailedError(f"deployment {found.name} was changed by somebody else; read it again")
    return found


def _etag(one: Deployment) -> str:
    return f"{0 if one.is_implicit else one.generation}"


class _View:
    """Deployments as the API shows them."""

    def __init__(self, services: Services, service: DeploymentService) -> None:
        self._services = services
        self._service = service
        self._overseer = Overseer(services.deployments, services.queue, services.ledger, clock=services.clock)

    def respond(self, one: Deployment, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        """One of them."""
        return respond(self.objects([one])[0], status, {"ETag": f'"{_etag(one)}"', **(headers or {})})

    def objects(self, deployments: Sequence[Deployment]) -> list[dict[str, Any]]:
        """Several of them, as they are at one moment."""
        records = {record.name: record for record in self._services.algorithms.page()}
        at = self._overseer.situation(self._service.every())
        return [self._object(one, records.get(one.algorithm), at) for one in deployments]

    def _object(self, one: Deployment, record: AlgorithmRecord | None, at: Situation) -> dict[str, Any]:
        lanes = self._overseer.look(one, at)
        own = href(f"/v1/deployments/{one.name}")
        return {
            "name": one.name,
            "object": "deployment",
            "algorithm": one.algorithm,
            "tenant": one.tenant_id,
            **shown(one),
            "algorithm_version": one.algorithm_version or (record.version if record else ""),
            "device": record.device if record else "cpu",
            "is_default": one.is_default or (one.tenant_id is None and one.name == one.algorithm),
            "previous_version": one.previous_version,
            "generation": 0 if one.is_implicit else one.generation,
            "status": {
                "state": "paused" if one.is_paused else lanes[0].state,
                "lanes": [_lane_object(lane) for lane in lanes],
            },
            "urls": {"self": own, "jobs": f"{own}/jobs"},
            "created_at": one.created_at,
            "updated_at": one.updated_at,
        }


def _lane_object(one: LaneStatus) -> dict[str, Any]:
    wanted = one.wanted
    last = None
    if wanted is not None and wanted.start_s is not None:
        last = {"total_s": round(wanted.start_s, 3), "phases_s": dict(wanted.phases_s)}
    return {
        "track": one.lane.track.value,
        "algorithm_version": one.lane.algorithm_version,
        "state": one.state,
        "wanted": one.replicas,
        "reason": None if wanted is None else wanted.reason.value,
        "since": None if wanted is None else wanted.at,
        "ready": one.counted.ready,
        "starting": one.counted.starting,
        "draining": one.counted.draining,
        "queued": one.queued,
        "running": one.running,
        "backlog_s": round(one.backlog_s, 3),
        "last_start": last,
        "problem": one.problem,
    }

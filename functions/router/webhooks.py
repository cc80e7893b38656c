"""Routes of the webhook delivery log and the signing secret."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, request

from jangada.clock import rfc3339
from jangada.errors import FieldError, InvalidRequestError
from jangada.http.auth import caller
from jangada.http.links import href
from jangada.http.openapi import Answer, Parameter, documented
from jangada.http.paging import page_request, respond_page
from jangada.http.render import respond
from jangada.webhooks.delivery import Delivery, DeliveryState
from jangada.webhooks.service import WebhookService
from jangada.webhooks.store import DeliveryFilter, SigningSecrets

from .answers import DeliveryObject, DeliveryPage, SecretObject

_TAG = "webhooks"
_LIST = (
    Parameter("job", "only deliveries of this job"),
    Parameter("state", "only in this state", {"type": "string", "enum": [state.value for state in DeliveryState]}),
    Parameter("limit", "how many", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    Parameter("cursor", "`next_cursor` of the page before"),
)


def register(app: Flask, webhooks: WebhookService) -> None:
    """Add the routes."""

    @app.get("/v1/webhooks/deliveries")
    @documented(
        "List webhook deliveries",
        tag=_TAG,
        scopes=["webhooks:read"],
        parameters=_LIST,
        answers={200: Answer("newest first", DeliveryPage, headers=["Link"])},
        problems=[422],
    )
    def list_deliveries() -> Response:
        tenant_id = caller("webhooks:read").tenant_id
        page = page_request(most=100)
        where = DeliveryFilter(tenant_id, job_id=request.args.get("job"), state=_state(), before=page.after)
        found = webhooks.page(where, page.limit + 1)
        more = len(found) > page.limit
        found = found[: page.limit]
        return respond_page([delivery_object(one) for one in found], next_position=found[-1].id if more else None)

    @app.get("/v1/webhooks/deliveries/<delivery_id>")
    @documented(
        "Get a webhook delivery",
        tag=_TAG,
        scopes=["webhooks:read"],
        answers={200: Answer("the delivery with every attempt", DeliveryObject)},
        problems=[404],
    )
    def get_delivery(delivery_id: str) -> Response:
        return respond(delivery_object(webhooks.get(delivery_id, caller("webhooks:read").tenant_id)))

    @app.post("/v1/webhooks/deliveries/<delivery_id>/redeliver")
    @documented(
        "Deliver again",
        tag=_TAG,
        scopes=["webhooks:write"],
        description="Sends it again now, with the same `webhook-id` and a full round of retries. An endpoint that "
        "was disabled by a 410 is enabled again.",
        answers={202: Answer("on its way", DeliveryObject, headers=["Location"])},
        problems=[404, 409],
    )
    def redeliver(delivery_id: str) -> Response:
        again = webhooks.redeliver(delivery_id, caller("webhooks:write").tenant_id)
        location = href(f"/v1/webhooks/deliveries/{again.id}")
        return respond(delivery_object(again), 202, headers={"Location": location})

    @app.get("/v1/webhooks/secret")
    @documented(
        "Get the signing secret",
        tag=_TAG,
        scopes=["webhooks:write"],
        answers={200: Answer("made at first use", SecretObject)},
    )
    def get_secret() -> Response:
        return _respond_secret(webhooks.secrets(caller("webhooks:write").tenant_id))

    @app.post("/v1/webhooks/secret")
    @documented(
        "Rotate the signing secret",
        tag=_TAG,
        scopes=["webhooks:write"],
        description="For 24 hours webhooks carry both signatures, separated by a space.",
        answers={201: Answer("the new one, and the previous one while it still signs", SecretObject)},
    )
    def rotate_secret() -> Response:
        return _respond_secret(webhooks.rotate(caller("webhooks:write").tenant_id), 201)


def delivery_object(delivery: Delivery) -> dict[str, Any]:
    """A delivery as the API shows it."""
    return {
        "id": delivery.id,
        "object": "webhook_delivery",
        "job_id": delivery.job_id,
        "event": delivery.event,
        "type": delivery.type,
        "url": delivery.url,
        "format": delivery.format,
        "state": delivery.state.value,
        "attempts": [
            {"at": rfc3339(one.at), "duration_ms": one.duration_ms, "status": one.status, "error": one.error}
            for one in delivery.attempts
        ],
        "next_at": None if delivery.next_at is None else rfc3339(delivery.next_at),
        "created_at": rfc3339(delivery.created_at),
    }


def _respond_secret(secrets: SigningSecrets, status: int = 200) -> Response:
    shown = {
        "secret": secrets.current,
        "created_at": rfc3339(secrets.created_at),
        "previous": secrets.previous,
        "previous_until": None if secrets.previous_until is None else rfc3339(secrets.previous_until),
    }
    return respond(shown, status, headers={"Cache-Control": "no-store"})


def _state() -> DeliveryState | None:
    text = request.args.get("state")
    if text is None:
        return None
    try:
        return DeliveryState(text)
    except ValueError:
        detail = f"expected one of {', '.join(state.value for state in DeliveryState)}"
        raise InvalidRequestError(
            f"query parameter state: {detail}", errors=[FieldError("/query/state", detail)]
        ) from None

"""
For the receiver of our webhooks: is this call really from the platform?

Standard Webhooks 1.0.0: HMAC-SHA256 over ``webhook-id.webhook-timestamp.body``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from jangada.clock import utc_now

TOLERANCE_S = 300.0


class WebhookError(Exception):
    """Raised when a call must not be believed; answer it with 400."""


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secret: str,
    *,
    tolerance_s: float = TOLERANCE_S,
    now_s: float | None = None,
) -> dict[str, Any]:
    """
    Return the event in *body* when one of its signatures is right; else raise `WebhookError`.

    *body* is the raw body, byte for byte. *secret* is the endpoint's ``whsec_…``. A
    timestamp more than *tolerance_s* seconds from *now_s* (default: this machine's
    clock) is refused, so that an old call cannot be replayed; the same ``webhook-id``
    twice within that time is a retry: remember the ids that you have handled.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, timestamp = given["webhook-id"], given["webhook-timestamp"]
        signatures = given["webhook-signature"]
    except KeyError as error:
        raise WebhookError(f"header {error.args[0]} is missing") from error
    _check_age(timestamp, utc_now().timestamp() if now_s is None else now_s, tolerance_s)
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()
    # All are compared, each in constant time: during a rotation there are two.
    matches = [
        hmac.compare_digest(expected.encode(), value.encode())
        for version, _, value in (entry.partition(",") for entry in signatures.split())
        if version == "v1"
    ]
    if not any(matches):
        raise WebhookError("no signature matches")
    try:
        event = json.loads(body)
    except ValueError as error:
        raise WebhookError("the body is not JSON") from error
    if not isinstance(event, dict):
        raise WebhookError("the body is not an object")
    return event


def _check_age(timestamp: str, now_s: float, tolerance_s: float) -> None:
    if not timestamp.isdigit():
        raise WebhookError("webhook-timestamp is not a number")
    if abs(now_s - int(timestamp)) > tolerance_s:
        raise WebhookError("webhook-timestamp is too far from now")


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise WebhookError("the secret is not whsec_ and base64") from error

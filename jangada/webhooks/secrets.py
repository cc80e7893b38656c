"""A tenant's signing secret: made at first use, rotated with both in force for a day."""

from __future__ import annotations

from datetime import datetime, timedelta

from jangada.webhooks.signing import new_secret
from jangada.webhooks.store import SigningSecrets, WebhookStore

ROTATION_S = 86_400.0
"""How long the older secret still signs beside the new one."""


def secrets_of(store: WebhookStore, tenant_id: str, now: datetime) -> SigningSecrets:
    """The tenant's secrets, made now if there are none; two callers at once get the same."""
    found = store.secrets(tenant_id)
    while found is None:
        fresh = SigningSecrets(new_secret(), now)
        found = fresh if store.put_secrets(tenant_id, fresh, replaces=None) else store.secrets(tenant_id)
    return found


def rotate(store: WebhookStore, tenant_id: str, now: datetime) -> SigningSecrets:
    """
    A new secret from now on; the present one still signs too for `ROTATION_S`.

    Of two rotations at once one wins and both callers get its secret.
    """
    present = secrets_of(store, tenant_id, now)
    fresh = SigningSecrets(new_secret(), now, present.current, now + timedelta(seconds=ROTATION_S))
    if store.put_secrets(tenant_id, fresh, replaces=present.current):
        return fresh
    return secrets_of(store, tenant_id, now)

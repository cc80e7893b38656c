"""A function: what `handle` returns is the answer. A Flask application in `app` or from `create_app()` works too."""

from __future__ import annotations

from typing import Any


def handle(event: Any, context: Any) -> dict[str, Any]:
    """Answer one request; *event* has body, headers, method, query and path."""
    return {"statusCode": 200, "body": f"{context.hostname} got {len(event.body)} bytes by {event.method}\n"}

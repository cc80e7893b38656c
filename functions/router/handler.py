"""
The function `router`: jobs, batches, events and webhooks.

It also sends the webhooks: a few threads beside the ones that answer, on a queue of their own.
"""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask, Response

from jangada.http.app import make_app
from jangada.http.holding import Holding
from jangada.http.openapi import Answer, documented
from jangada.settings import Settings
from jangada.webhooks.background import WebhookBackground
from jangada.webhooks.service import WebhookService
from jangada.wiring import Services

from . import jobs, submit, webhooks
from .catalog import Catalog
from .directory import Directory
from .parts import Parts
from .replay import Replay
from .submission import Submission

OPENAPI = Path(__file__).with_name("openapi.json")
"""Written by `scripts/openapi.py`, which CI runs: it describes every function, and this one ships alone."""


def create_app(services: Services | None = None) -> Flask:
    """
    The app over *services*. Without them it is the function itself: over the servers
    of the environment, and webhooks are sent.
    """
    if services is not None:
        return make_app("router", services, _register)
    services = Services.from_settings(Settings.from_env(os.environ))
    app = make_app("router", services, _register)
    background(services).start()
    return app


def background(services: Services) -> WebhookBackground:
    """What sends webhooks; any number of processes may have one."""
    return WebhookBackground(
        services.queue,
        services.store,
        services.webhooks,
        services.guard,
        base_url=services.settings.public_url or "",
        also_purge=services.idempotency.purge,
        clock=services.clock,
    )


def _register(app: Flask, services: Services) -> None:
    catalog = Catalog(services.algorithms)
    directory = Directory(services.deployments)
    parts = Parts(
        settings=services.settings,
        jobs=services.jobs,
        artifacts=services.artifacts,
        feedback=services.feedback,
        directory=directory,
        submission=Submission(
            services.settings,
            catalog,
            directory,
            services.validator,
            services.artifacts,
            services.guard,
            clock=services.clock,
        ),
        replay=Replay(services.idempotency, services.jobs),
        holding=Holding(services.settings.threads),
        clock=services.clock,
    )
    submit.register(app, parts)
    jobs.register(app, parts)
    webhooks.register(app, WebhookService(services.queue, services.webhooks, clock=services.clock))
    _register_openapi(app)


def _register_openapi(app: Flask) -> None:
    @app.get("/v1/openapi.json")
    @documented(
        "This document", tag="about", public=True, answers={200: Answer("OpenAPI 3.1", media_type="application/json")}
    )
    def openapi() -> Response:
        return Response(
            OPENAPI.read_bytes(), content_type="application/json", headers={"Cache-Control": "public, max-age=300"}
        )

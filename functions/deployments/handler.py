"""Algorithms and their deployments over HTTP."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from flask import Flask, Response

from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.errors import UnknownAlgorithmError
from jangada.http.app import make_app
from jangada.http.auth import caller
from jangada.http.openapi import Answer, documented
from jangada.http.paging import LIST_PARAMETERS, page_request, respond_page
from jangada.http.render import respond
from jangada.settings import Settings
from jangada.tenants import Scope
from jangada.wiring import Services

from . import plans, queues, usage, wished
from .answers import AlgorithmObject, AlgorithmPage


def create_app(services: Services | None = None) -> Flask:
    """The function as a Flask app; over the servers of the environment unless given others."""
    made = services or Services.from_settings(Settings.from_env(os.environ))
    return make_app("deployments", made, register)


def register(app: Flask, services: Services) -> None:
    """Add the routes."""
    queues.register(app, services)
    wished.register(app, services)
    plans.register(app, services)
    usage.register(app, services)

    @app.get("/v1/algorithms")
    @documented(
        "List algorithms",
        tag="algorithms",
        scopes=["algorithms:read"],
        parameters=LIST_PARAMETERS,
        answers={200: Answer("by name", AlgorithmPage, headers=["Link"])},
        problems=[422],
    )
    def list_algorithms() -> Response:
        caller(Scope.ALGORITHMS_READ)
        shown, more = _page(services.algorithms.page())
        return respond_page([_algorithm_object(one) for one in shown], next_position=shown[-1].name if more else None)

    @app.get("/v1/algorithms/<name>")
    @documented(
        "Get an algorithm",
        tag="algorithms",
        scopes=["algorithms:read"],
        answers={200: Answer("with the schemas of its input and output", AlgorithmObject)},
        problems=[404],
    )
    def get_algorithm(name: str) -> Response:
        caller(Scope.ALGORITHMS_READ)
        found = services.algorithms.get(name)
        if found is None:
            raise UnknownAlgorithmError(f"there is no algorithm {name}")
        return respond(_algorithm_object(found))


def _page(records: Sequence[AlgorithmRecord]) -> tuple[list[AlgorithmRecord], bool]:
    page = page_request()
    # A platform has tens of algorithms: the store hands out all of them, by name.
    after = [one for one in records if page.after is None or one.name > page.after]
    return after[: page.limit], len(after) > page.limit


def _algorithm_object(record: AlgorithmRecord) -> dict[str, Any]:
    limits = record.limits
    return {
        "name": record.name,
        "object": "algorithm",
        "version": record.version,
        "description": record.description,
        "device": record.device,
        "limits": {
            "execution_timeout_s": limits.execution_timeout_s,
            "memory_mib": limits.memory_mib,
            "grace_s": limits.grace_s,
            "max_attempts": record.max_attempts,
        },
        "input_schema": record.input_schema,
        "output_schema": record.output_schema,
        "default_deployment": record.name,
        "updated_at": record.updated_at,
    }

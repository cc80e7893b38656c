"""Nodes anywhere over HTTPS: how they join, and all that they do."""

from __future__ import annotations

import os

from flask import Flask

from jangada.http.app import make_app
from jangada.remote.wire import PART_BYTES
from jangada.settings import Settings
from jangada.wiring import Services

from . import agency, enrolment, files, machines, work

_MAX_BODY_BYTES = 4 * PART_BYTES
"""A message of outcomes has some MiB, one of them alone a little more; see `jangada.remote.execution`."""


def create_app(services: Services | None = None) -> Flask:
    """The function as a Flask app; over the servers of the environment unless given others."""
    made = services or Services.from_settings(Settings.from_env(os.environ))
    return make_app("nodes", made, register, max_body_bytes=max(made.settings.max_body_bytes, _MAX_BODY_BYTES))


def register(app: Flask, services: Services) -> None:
    """Add the routes."""
    machines.register(app, services)
    enrolment.register(app, services)
    agency.register(app, services)
    work.register(app, services)
    files.register(app, services)

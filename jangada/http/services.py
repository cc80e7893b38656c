"""What the HTTP glue needs of the services; `jangada.wiring.Services` has it all and more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

from flask import current_app

from jangada.settings import Settings
from jangada.tenants import Authenticator

EXTENSION = "jangada"


class HttpServices(Protocol):
    """The part of the wiring that every HTTP process uses."""

    @property
    def settings(self) -> Settings:
        """This process' settings."""
        ...

    @property
    def authenticator(self) -> Authenticator:
        """Who turns a credential into a caller."""
        ...

    def check_ready(self) -> Mapping[str, str]:
        """By name of what we depend on: ``ok``, or what is wrong. Answers within about a second."""
        ...


def current_services() -> HttpServices:
    """The services of the app that handles the current request."""
    return cast(HttpServices, current_app.extensions[EXTENSION])

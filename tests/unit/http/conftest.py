"""A small app with one route of each kind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from pydantic import Field

from jangada.errors import QuotaExceededError
from jangada.http.app import make_app
from jangada.http.auth import caller
from jangada.http.body import RequestModel, read_json, read_value
from jangada.http.links import absolute, client_address, href
from jangada.http.paging import page_request, respond_page
from jangada.http.render import respond
from jangada.settings import Settings
from jangada.tenants import Tenant
from jangada.wiring import Services


class Page(RequestModel):
    page: int
    names: list[str] = Field(default_factory=list)


def register(app: Flask, services: Services) -> None:
    @app.post("/v1/echo")
    def echo() -> Response:
        return respond({"value": read_value()})

    @app.post("/v1/model")
    def model() -> Response:
        return respond(read_json(Page).model_dump())

    @app.get("/v1/secret")
    def secret() -> Response:
        return respond({"tenant": caller("jobs:write").tenant_id})

    @app.get("/v1/boom")
    def boom() -> Response:
        raise RuntimeError("the password is hunter2")

    @app.get("/v1/quota")
    def quota() -> Response:
        raise QuotaExceededError("full", retry_after_s=6.2, extra={"limit": {"name": "queued_jobs", "value": 200}})

    @app.get("/v1/list")
    def listed() -> Response:
        page = page_request()
        return respond_page([page.limit, page.after], next_position="job_7")

    @app.get("/v1/links")
    def links() -> Response:
        return respond({"href": href("/v1/x"), "absolute": absolute("/v1/x"), "client": client_address()})


def make_client(services: Services) -> FlaskClient:
    return make_app("test", services, register, max_body_bytes=services.settings.max_body_bytes).test_client()


def with_settings(**changes: object) -> Services:
    return Services.in_memory(replace(Settings.from_env({}), **changes))


@pytest.fixture
def services() -> Services:
    made = Services.in_memory()
    made.tenants.insert_tenant(Tenant("acme", "Acme", made.clock()))
    return made


@pytest.fixture
def client(services: Services) -> FlaskClient:
    return make_client(services)

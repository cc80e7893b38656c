"""
OpenAPI 3.1 from the code: every `/v1` route carries its own description.

    @app.post("/v1/jobs")
    @documented("Submit a job", tag="jobs", scopes=["jobs:write"], body=JobRequest,
                answers={202: Answer("accepted", JobObject)})
    def submit() -> Response: ...

A `/v1` route without one fails the generation. `scripts/openapi.py` writes what
`generate` makes into `docs/openapi.json`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from flask import Flask
from pydantic import BaseModel, Field
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from werkzeug.routing import Rule

from jangada.errors import ConfigurationError

View = TypeVar("View", bound=Callable[..., Any])

_ATTRIBUTE = "__openapi__"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_REF = "#/components/schemas/{model}"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """One possible answer. *model* describes its JSON; *media_type* is for answers that are not JSON."""

    description: str
    model: type[BaseModel] | None = None
    media_type: str = _JSON
    headers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or a request header; *schema* is its JSON Schema."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    where: Literal["query", "header"] = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """What `documented` hangs on a route."""

    summary: str
    tag: str
    description: str
    scopes: Sequence[str]
    body: type[BaseModel] | None
    body_media_types: Sequence[str]
    answers: Mapping[int, Answer]
    parameters: Sequence[Parameter]
    problems: Sequence[int]
    public: bool


class FieldProblem(BaseModel):
    """One thing wrong in a request."""

    pointer: str = Field(description="RFC 6901 JSON pointer into the body", examples=["/input/page"])
    detail: str


class LimitReached(BaseModel):
    """The limit behind a 429."""

    name: str
    value: int


class Problem(BaseModel):
    """Problem details (RFC 9457): what every error looks like. `code` is stable."""

    type: str = Field(description="address of a text about this kind of problem")
    title: str
    status: int
    detail: str
    instance: str
    code: str = Field(examples=["quota_exceeded"])
    trace_id: str
    errors: list[FieldProblem] | None = None
    limit: LimitReached | None = None


_PROBLEMS = {
    400: "The request cannot be read",
    401: "A valid credential is needed",
    403: "The credential lacks a scope",
    404: "There is no such thing, or not for this tenant",
    409: "Not in a state that allows this",
    410: "Removed by retention",
    413: "Too large",
    415: "This media type is not read here",
    422: "A field is not acceptable; `errors` has a pointer to each",
    429: "A quota is reached, or too many requests at once; see Retry-After",
    503: "Overloaded, or a store is away; nothing was accepted; see Retry-After",
}


def documented(
    summary: str,
    *,
    tag: str,
    description: str = "",
    scopes: Sequence[str] = (),
    body: type[BaseModel] | None = None,
    body_media_types: Sequence[str] = (_JSON,),
    answers: Mapping[int, Answer],
    parameters: Sequence[Parameter] = (),
    problems: Iterable[int] = (),
    public: bool = False,
) -> Callable[[View], View]:
    """
    Describe a route. Apply it below the route decorator; it returns the function unchanged.

    *problems* are error statuses beside those that every route has (401 and 403
    unless *public*, 429 and 503). A description that is left out is the docstring's.
    """
    every = {429, 503} if public else {401, 403, 429, 503}

    def mark(view: View) -> View:
        operation = Operation(
            summary,
            tag,
            description or " ".join((view.__doc__ or "").split()),
            scopes,
            body,
            body_media_types,
            answers,
            parameters,
            sorted(every | set(problems)),
            public,
        )
        setattr(view, _ATTRIBUTE, operation)
        return view

    return mark


def generate(apps: Mapping[str, Flask], *, version: str) -> dict[str, Any]:
    """
    The OpenAPI document for the `/v1` routes of *apps* (by function name).

    Raises `ConfigurationError` naming the routes that describe nothing.
    """
    found = [
        (name, rule, method, _operation(app, rule))
        for name, app in apps.items()
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/v1/")
        for method in _METHODS
        if method in (rule.methods or ())
    ]
    silent = [f"{name}: {method} {rule.rule}" for name, rule, method, operation in found if operation is None]
    if silent:
        raise ConfigurationError(f"routes without @documented: {', '.join(sorted(silent))}")
    operations = [(name, rule, method, operation) for name, rule, method, operation in found if operation is not None]
    paths: dict[str, dict[str, Any]] = {}
    for name, rule, method, operation in sorted(operations, key=lambda one: (_path(one[1]), one[2])):
        paths.setdefault(_path(rule), {})[method.lower()] = _describe(name, rule, method, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jangada",
            "version": version,
            "description": "Asynchronous AI jobs on machines that you own.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "the gateway"}],
        "security": [{"bearer": []}],
        "tags": [{"name": tag} for tag in sorted({one[3].tag for one in operations})],
        "paths": paths,
        "components": {
            "schemas": _schemas([one[3] for one in operations]),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "an API key (`jgd_…`) or a token from `POST /v1/token`",
                }
            },
        },
    }


def _operation(app: Flask, rule: Rule) -> Operation | None:
    return getattr(app.view_functions[rule.endpoint], _ATTRIBUTE, None)


def _path(rule: Rule) -> str:
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)


def _describe(name: str, rule: Rule, method: str, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{method.lower()}_{re.sub(r'[^a-z0-9]+', '_', _path(rule).lower()).strip('_')}",
        "summary": operation.summary,
        "tags": [operation.tag],
        "x-function": name,
        "responses": _responses(operation),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.scopes:
        described["x-scopes"] = list(operation.scopes)
    if operation.public:
        described["security"] = []
    parameters = [
        {"name": argument, "in": "path", "required": True, "schema": {"type": "string"}}
        for argument in sorted(rule.arguments)
    ]
    parameters += [
        {
            "name": one.name,
            "in": one.where,
            "required": one.required,
            "description": one.description,
            "schema": dict(one.schema),
        }
        for one in operation.parameters
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        schema = _ref(operation.body)
        described["requestBody"] = {
            "required": True,
            "content": {media_type: {"schema": schema} for media_type in operation.body_media_types},
        }
    return described


def _responses(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answer in sorted(operation.answers.items()):
        response: dict[str, Any] = {"description": answer.description}
        if answer.model is not None:
            response["content"] = {answer.media_type: {"schema": _ref(answer.model)}}
        elif answer.media_type != _JSON:
            response["content"] = {answer.media_type: {"schema": {"type": "string"}}}
        if answer.headers:
            response["headers"] = {name: {"schema": {"type": "string"}} for name in answer.headers}
        responses[str(status)] = response
    for status in operation.problems:
        response = {
            "description": _PROBLEMS.get(status, "See the problem's code"),
            "content": {"application/problem+json": {"schema": _ref(Problem)}},
        }
        if status in {429, 503}:
            response["headers"] = {"Retry-After": {"schema": {"type": "string"}}}
        responses.setdefault(str(status), response)
    return responses


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _schemas(operations: Iterable[Operation]) -> dict[str, Any]:
    models: dict[str, tuple[type[BaseModel], Literal["validation", "serialization"]]] = {}
    for operation in operations:
        wanted: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [(Problem, "serialization")]
        if operation.body is not None:
            wanted.append((operation.body, "validation"))
        wanted += [(answer.model, "serialization") for answer in operation.answers.values() if answer.model is not None]
        for model, mode in wanted:
            known = models.setdefault(model.__name__, (model, mode))
            if known[0] is not model:
                raise ConfigurationError(f"two models are called {model.__name__}: {known[0]} and {model}")
    _, definitions = models_json_schema(
        sorted(models.values(), key=lambda one: one[0].__name__), ref_template=_REF, schema_generator=GenerateJsonSchema
    )
    return dict(sorted(definitions["$defs"].items()))

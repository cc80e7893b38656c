"""
The OpenAPI document of ``/system``: what clients of OpenFaaS manage functions with [contract §1].

One row per route, checked against the list of routes by a test. Where the published
description of OpenFaaS and its clients differ, this says what we answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jangada.gateway.deployment import RESOURCES
from jangada.gateway.scaling import MOST_REPLICAS

_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_IN_PATH = r"^[-a-zA-Z_0-9.]+$"
_TEXTS = {"type": ["object", "null"], "additionalProperties": {"type": "string"}}
_WORDS = {"type": ["array", "null"], "items": {"type": "string"}}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. *ok* is the status of success, *gives* and *takes* name schemas (or ``Name[]``)."""

    method: str
    path: str
    id: str
    summary: str
    ok: int
    gives: str = ""
    takes: str = ""
    query: tuple[str, ...] = ()
    fails: tuple[int, ...] = (400,)


OPERATIONS: tuple[Operation, ...] = (
    Operation("get", "/system/functions", "listFunctions", "Functions of a namespace", 200, "FunctionStatus[]",
              query=("namespace",)),
    Operation("post", "/system/functions", "deployFunction", "Deploy, in place of what has its name", 202,
              takes="FunctionDeployment"),
    Operation("put", "/system/functions", "updateFunction", "Deploy anew; 404 when there is none", 202,
              takes="FunctionDeployment", fails=(400, 404)),
    Operation("delete", "/system/functions", "removeFunction", "Stop and forget", 202,
              takes="DeleteFunctionRequest", query=("namespace",), fails=(400, 404)),
    Operation("get", "/system/function/{name}", "describeFunction", "One function", 200, "FunctionStatus",
              query=("namespace", "usage"), fails=(400, 404)),
    Operation("post", "/system/scale-function/{name}", "scaleFunction", "Wish for a number of replicas, also 0", 202,
              takes="ScaleServiceRequest", query=("namespace",), fails=(400, 404)),
    Operation("get", "/system/secrets", "listSecrets", "Names, never contents", 200, "SecretName[]",
              query=("namespace",)),
    Operation("post", "/system/secrets", "createSecret", "Store a secret; 409 when there is one", 201,
              takes="Secret", query=("namespace",), fails=(400, 409)),
    Operation("put", "/system/secrets", "updateSecret", "Replace it, and the replicas that use it", 202,
              takes="Secret", query=("namespace",), fails=(400, 404)),
    Operation("delete", "/system/secrets", "removeSecret", "Forget it", 202,
              takes="SecretName", query=("namespace",), fails=(400, 404)),
    Operation("get", "/system/namespaces", "listNamespaces", "Their names", 200, "Name[]", fails=()),
    Operation("post", "/system/namespace/", "createNamespace", "The name is in the body", 201,
              takes="FunctionNamespace", fails=(400, 409)),
    Operation("get", "/system/namespace/{name}", "getNamespace", "One namespace", 200, "FunctionNamespace",
              fails=(400, 404)),
    Operation("put", "/system/namespace/{name}", "updateNamespace", "Replace labels and annotations", 202,
              takes="FunctionNamespace", fails=(400, 404)),
    Operation("delete", "/system/namespace/{name}", "removeNamespace", "Forget it with all that is in it", 202,
              fails=(400, 404)),
    Operation("get", "/system/info", "info", "Provider and versions", 200, "GatewayInfo", fails=()),
    Operation("get", "/system/telemetry", "telemetry", "None is gathered: always 404", 404, fails=()),
    Operation("get", "/system/logs", "logs", "Lines of a function, as JSON, one per line", 200, "LogMessage",
              query=("name", "namespace", "instance", "tail", "follow", "since"), fails=(404, 422)),
    Operation("post", "/system/alert", "alert", "Alertmanager says that functions are busy", 200,
              takes="Alerts", fails=(400, 500)),
)  # fmt: skip

_QUERY: dict[str, dict[str, Any]] = {
    "namespace": {"type": "string", "description": "default: openfaas-fn"},
    "usage": {"type": "string", "description": "1: with processor and memory"},
    "name": {"type": "string", "description": "the function's"},
    "instance": {"type": "string"},
    "tail": {"type": "integer", "description": "so many lines; all when not above 0"},
    "follow": {"type": "boolean"},
    "since": {"type": "string", "format": "date-time"},
}

_STATUS = {
    200: "Done", 201: "Created", 202: "Accepted", 400: "What is wrong with the request", 401: "invalid credentials",
    404: "There is none of that name", 409: "There is one of that name", 422: "What is wrong with the query",
    500: "One line for each alert that was not acted on", 503: "The store is away",
}  # fmt: skip


def document(version: str) -> dict[str, Any]:
    """The whole document, OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jangada gateway: control of functions",
            "version": version,
            "description": "Compatible with OpenFaaS: faas-cli and other clients use it. Errors are plain text.",
        },
        "security": [{"basic": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "schemas": _schemas(),
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "query", "required": operation.id == "logs" and name == "name", "schema": _QUERY[name]}
        for name in operation.query
    ]
    if "{name}" in operation.path:
        path_name = {"type": "string", "pattern": _IN_PATH}
        parameters.append({"name": "name", "in": "path", "required": True, "schema": path_name})
    said: dict[str, Any] = {"operationId": operation.id, "summary": operation.summary}
    if parameters:
        said["parameters"] = parameters
    if operation.takes:
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema(operation.takes)}}}
    said["responses"] = {
        str(status): _response(operation, status) for status in (operation.ok, *operation.fails, 401, 503)
    }
    return said


def _response(operation: Operation, status: int) -> dict[str, Any]:
    response: dict[str, Any] = {"description": _STATUS[status]}
    if status == operation.ok and operation.gives:
        media_type = "application/x-ndjson" if operation.id == "logs" else "application/json"
        response["content"] = {media_type: {"schema": _schema(operation.gives)}}
    elif status >= 400:
        response["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return response


def _schema(name: str) -> dict[str, Any]:
    if name == "Name[]":
        return {"type": "array", "items": {"type": "string"}}
    reference = {"$ref": f"#/components/schemas/{name.removesuffix('[]')}"}
    return {"type": "array", "items": reference} if name.endswith("[]") else reference


def _schemas() -> dict[str, Any]:
    name = {"type": "string", "pattern": _LABEL}
    number = {"type": "number", "minimum": 0}
    count = {"type": "integer", "minimum": 0}
    text = {"type": "string"}
    resources = {"type": ["object", "null"], "properties": dict.fromkeys(RESOURCES, text)}
    deployed = {
        "image": {"type": "string", "pattern": r"^\S+$"}, "namespace": text, "envProcess": text, "envVars": _TEXTS,
        "constraints": _WORDS, "secrets": _WORDS, "labels": _TEXTS, "annotations": _TEXTS, "limits": resources,
        "requests": resources, "readOnlyRootFilesystem": {"type": "boolean"},
    }  # fmt: skip
    version = _object({"sha": text, "release": text, "commit_message": text}, "sha", "release")
    provider = _object({"provider": text, "orchestration": text, "version": version}, "provider", "version")
    alert = _object({"status": text, "labels": {"type": "object"}})
    return {
        "FunctionDeployment": _object({"service": name} | deployed, "service", "image"),
        "FunctionStatus": _object(
            {"name": name} | deployed | {
                "invocationCount": number, "replicas": count, "availableReplicas": count,
                "createdAt": {"type": "string", "format": "date-time"},
                "usage": _object({"cpu": number, "totalMemoryBytes": number}),
            },
            "name", "image", "labels", "annotations",
        ),
        "DeleteFunctionRequest": _object({"functionName": text, "namespace": text}, "functionName"),
        "ScaleServiceRequest": _object(
            {"serviceName": text, "namespace": text, "replicas": count | {"maximum": MOST_REPLICAS}}, "replicas"
        ),
        "Secret": _object(
            {"name": name, "namespace": text, "value": text, "rawValue": text | {"contentEncoding": "base64"}}, "name"
        ),
        "SecretName": _object({"name": name, "namespace": text}, "name"),
        "FunctionNamespace": _object({"name": name, "labels": _TEXTS, "annotations": _TEXTS}, "name"),
        "GatewayInfo": _object({"provider": provider, "version": version, "arch": text}, "provider", "version"),
        "LogMessage": _object(
            {
                "name": text, "namespace": text, "instance": text, "text": text,
                "timestamp": {"type": "string", "format": "date-time"},
            },
            "name", "text", "timestamp",
        ),
        "Alerts": _object({"alerts": {"type": "array", "items": alert}}, "alerts"),
    }  # fmt: skip


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": properties}
    return found | {"required": list(required)} if required else found

"""
``/system``: what faas-cli and other clients of OpenFaaS manage functions with [contract §1.3, §8].

Errors are plain text. Where the published description and the real clients
differ, the clients are right.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import platform
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.web_request import BaseRequest

from jangada.errors import ConfigurationError, StoreUnavailableError
from jangada.gateway.deployment import FunctionDeployment, namespace_name, namespace_of, secret_name
from jangada.gateway.errors import BadRequestError, ControlError, UnknownFunctionError
from jangada.gateway.resolver import split_name
from jangada.gateway.scaling import MOST_REPLICAS, after_alert, read_policy
from jangada.gateway.stack import DEFAULT_NAMESPACE
from jangada.gateway.state import Deployed, Namespace
from jangada.logs import get_logger

if TYPE_CHECKING:
    from jangada.gateway.route import Call
    from jangada.gateway.server import Gateway

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_SECRET_BYTES = 1024 * 1024
_BODY_SILENCE_S = 30.0
TRUE_WORDS = {"1", "t", "true"}

log = get_logger(part="control")


def failure(error: Exception) -> web.Response:
    """The answer to what a handler raised. Raises it again when it is nobody's to expect."""
    if isinstance(error, StoreUnavailableError):
        return web.Response(status=503, text=f"{error}\n", headers={"Retry-After": "2"})
    if isinstance(error, ControlError):
        return web.Response(status=error.status, text=f"{error}\n")
    if isinstance(error, ConfigurationError):
        return web.Response(status=500, text=f"{error}\n")
    raise error


def unauthorized() -> web.Response:
    """To whoever did not send the right credentials."""
    return web.Response(
        status=401, text="invalid credentials", headers={"WWW-Authenticate": 'Basic realm="Restricted"'}
    )


async def list_functions(call: Call) -> web.StreamResponse:
    """``GET /system/functions``."""
    namespace = await _known_namespace(call)
    found = sorted(
        (one for one in call.gateway.control.all() if one.deployment.namespace == namespace),
        key=lambda one: one.deployment.service,
    )
    return _json([_status(call.gateway, one) for one in found])


async def deploy_function(call: Call) -> web.StreamResponse:
    """``POST /system/functions``: 202, since clients take 201 for a failure."""
    await call.gateway.control.deploy(FunctionDeployment.from_json(await _body(call.request)))
    return web.Response(status=HTTPStatus.ACCEPTED)


async def update_function(call: Call) -> web.StreamResponse:
    """``PUT /system/functions``: 404 for an unknown one, whereupon clients POST."""
    await call.gateway.control.update(FunctionDeployment.from_json(await _body(call.request)))
    return web.Response(status=HTTPStatus.ACCEPTED)


async def remove_function(call: Call) -> web.StreamResponse:
    """``DELETE /system/functions``."""
    body = _object(await _body(call.request))
    name = _text(body, "functionName")
    if not name:
        raise BadRequestError("functionName is required")
    await call.gateway.control.remove(name, _namespace_in(call, body))
    return web.Response(status=HTTPStatus.ACCEPTED)


async def describe_function(call: Call) -> web.StreamResponse:
    """``GET /system/function/{name}``; with ``?usage=1`` processor and memory too."""
    query = read_query(call.request)
    found = _find(call, query.get("namespace", ""))
    if found is None:
        return web.Response(status=404)
    status = _status(call.gateway, found)
    status["annotations"] |= call.gateway.provider.status(*found.deployment.key).to_annotations()
    if query.get("usage", "").lower() in TRUE_WORDS:
        status["usage"] = (await call.gateway.provider.usage(*found.deployment.key)).to_json()
    return _json(status)


async def scale_function(call: Call) -> web.StreamResponse:
    """``POST /system/scale-function/{name}``; 0 is a number like others."""
    try:
        body = _object(await _body(call.request))
        replicas = body.get("replicas", 0)
        if isinstance(replicas, bool) or not isinstance(replicas, int) or not 0 <= replicas <= MOST_REPLICAS:
            raise BadRequestError(f"replicas must be 0 to {MOST_REPLICAS}")
        namespace = _text(body, "namespace") or read_query(call.request).get("namespace", "")
    except BadRequestError as error:
        raise BadRequestError(f"Error unmarshalling request body: {error}") from error
    found = _find(call, namespace)
    if found is None:
        raise UnknownFunctionError(f"unable to find function: {call.match['name']}")
    await call.gateway.control.scale(*found.deployment.key, replicas)
    return web.Response(status=HTTPStatus.ACCEPTED)


async def list_secrets(call: Call) -> web.StreamResponse:
    """``GET /system/secrets``: names, never contents."""
    namespace = await _known_namespace(call)
    names = await call.gateway.control.secret_names(namespace)
    return _json([{"name": name, "namespace": namespace} for name in names])


async def create_secret(call: Call) -> web.StreamResponse:
    """``POST /system/secrets``: 409 when there is one of that name."""
    body = _object(await _body(call.request))
    await call.gateway.control.create_secret(_namespace_in(call, body), _secret_in(body), _content(body))
    return web.Response(status=HTTPStatus.CREATED)


async def update_secret(call: Call) -> web.StreamResponse:
    """``PUT /system/secrets``."""
    body = _object(await _body(call.request))
    await call.gateway.control.update_secret(_namespace_in(call, body), _secret_in(body), _content(body))
    return web.Response(status=HTTPStatus.ACCEPTED)


async def remove_secret(call: Call) -> web.StreamResponse:
    """``DELETE /system/secrets``: 202, since clients take 204 for a failure."""
    body = _object(await _body(call.request))
    await call.gateway.control.remove_secret(_namespace_in(call, body), _secret_in(body))
    return web.Response(status=HTTPStatus.ACCEPTED)


async def list_namespaces(call: Call) -> web.StreamResponse:
    """``GET /system/namespaces``."""
    return _json(list(await call.gateway.control.namespaces()))


async def create_namespace(call: Call) -> web.StreamResponse:
    """``POST /system/namespace/``: the name is in the body."""
    await call.gateway.control.create_namespace(_namespace_record(_object(await _body(call.request))))
    return web.Response(status=HTTPStatus.CREATED)


async def get_namespace(call: Call) -> web.StreamResponse:
    """``GET /system/namespace/{name}``."""
    return _json((await call.gateway.control.namespace(call.match["name"])).to_json())


async def update_namespace(call: Call) -> web.StreamResponse:
    """``PUT /system/namespace/{name}``."""
    body = _object(await _body(call.request))
    _check_name(call, body)
    await call.gateway.control.update_namespace(_namespace_record(body))
    return web.Response(status=HTTPStatus.ACCEPTED)


async def remove_namespace(call: Call) -> web.StreamResponse:
    """``DELETE /system/namespace/{name}``; clients send a body, which need not be there."""
    raw = await _read(call.request)
    if raw.strip():
        _check_name(call, _object(_parse(raw)), required=False)
    await call.gateway.control.remove_namespace(call.match["name"])
    return web.Response(status=HTTPStatus.ACCEPTED)


async def info(call: Call) -> web.StreamResponse:
    """``GET /system/info``: both versions always, clients read them unchecked."""
    version = {"sha": "", "release": call.gateway.version}
    provider = {"provider": f"jangada-{call.gateway.provider.name}", "orchestration": call.gateway.provider.name}
    return _json({"provider": provider | {"version": version}, "version": version, "arch": platform.machine()})


async def telemetry(_: Call) -> web.StreamResponse:
    """``GET /system/telemetry``: none is gathered."""
    return web.Response(status=404, text="404 page not found\n")


async def alert(call: Call) -> web.StreamResponse:
    """``POST /system/alert``: Alertmanager says that a function is busy, or is not any more."""
    alerts = _object(await _body(call.request)).get("alerts")
    if not isinstance(alerts, list) or any(not isinstance(one, dict) for one in alerts):
        raise BadRequestError("alerts must be a list of objects")
    errors = []
    for one in alerts:
        labels = one.get("labels")
        name = labels.get("function_name") if isinstance(labels, dict) else None
        found = call.gateway.control.get(*split_name(name)) if isinstance(name, str) else None
        if found is None:
            errors.append(f"unknown function {name!r}")
            continue
        firing = one.get("status") == "firing"
        replicas = after_alert(read_policy(found.deployment.labels), found.replicas, firing=firing)
        try:
            await call.gateway.control.scale(*found.deployment.key, replicas)
        except (ControlError, StoreUnavailableError) as error:
            errors.append(str(error))
    if errors:
        lines = "".join(f"[{number}] {text}\n" for number, text in enumerate(errors))
        return web.Response(status=500, text=lines)
    return web.Response()


def _status(gateway: Gateway, one: Deployed) -> dict[str, Any]:
    return one.deployment.to_status(
        replicas=one.replicas,
        available=gateway.provider.status(*one.deployment.key).available,
        invocations=gateway.accounting.invocations(one.deployment.qualified_name),
    )


def _find(call: Call, namespace: str) -> Deployed | None:
    """The function of the path, whose namespace may be part of its name or be given beside it."""
    name = call.match["name"]
    return call.gateway.control.get(*((name, namespace) if namespace else split_name(name)))


async def _known_namespace(call: Call) -> str:
    namespace = namespace_name(read_query(call.request).get("namespace", "") or DEFAULT_NAMESPACE)
    await call.gateway.control.known_namespace(namespace)
    return namespace


def _namespace_in(call: Call, body: Mapping[str, Any]) -> str:
    return namespace_of(body if body.get("namespace") else {"namespace": read_query(call.request).get("namespace", "")})


def _namespace_record(body: Mapping[str, Any]) -> Namespace:
    name = _text(body, "name")
    if not name:
        raise BadRequestError("name is required")
    return Namespace(namespace_name(name), _texts(body, "labels"), _texts(body, "annotations"))


def _check_name(call: Call, body: Mapping[str, Any], *, required: bool = True) -> None:
    name = _text(body, "name")
    if name != call.match["name"] and (required or name):
        raise BadRequestError(f"the body says {name or 'no name'}, the path {call.match['name']}")


def _secret_in(body: Mapping[str, Any]) -> str:
    return secret_name(_text(body, "name"))


def _content(body: Mapping[str, Any]) -> bytes:
    """``rawValue`` wins: a client that reads a file sends it untrimmed there."""
    raw = body.get("rawValue")
    if raw:
        try:
            content = base64.b64decode(raw, validate=True)
        except (TypeError, ValueError, binascii.Error) as error:
            raise BadRequestError("rawValue must be base64") from error
    else:
        content = _text(body, "value").encode()
    if len(content) > MAX_SECRET_BYTES:
        raise BadRequestError(f"a secret has at most {MAX_SECRET_BYTES} bytes")
    return content


def read_query(request: BaseRequest) -> dict[str, str]:
    """The query. Repeated keys: the last one wins."""
    return dict(parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True))


async def _body(request: BaseRequest) -> Any:
    return _parse(await _read(request))


def _parse(raw: bytes) -> Any:
    try:
        body = json.loads(raw)
        # Half a surrogate pair is a text in JSON, and neither in an environment nor in a file.
        json.dumps(body, ensure_ascii=False).encode()
        return body
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the body is not JSON") from error


async def _read(request: BaseRequest) -> bytes:
    parts: list[bytes] = []
    size = 0
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    while True:
        try:
            async with asyncio.timeout(_BODY_SILENCE_S):
                part = await request.content.readany()
        except TimeoutError as error:
            raise BadRequestError("the body did not come") from error
        if not part:
            return b"".join(parts)
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise BadRequestError(f"the body has more than {MAX_BODY_BYTES} bytes")
        parts.append(part)


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    return body


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRequestError(f"{name} must be a text")
    return value


def _texts(body: Mapping[str, Any], name: str) -> dict[str, str]:
    value = body.get(name) or {}
    if not isinstance(value, dict) or any(not isinstance(one, str) for one in value.values()):
        raise BadRequestError(f"{name} must be an object of texts")
    return value


def _json(body: Any) -> web.Response:
    return web.Response(body=json.dumps(body).encode(), content_type="application/json")

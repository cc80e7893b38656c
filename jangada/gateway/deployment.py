"""
What is deployed: `FunctionDeployment`, read from a deploy body and told as a function's status [contract §1.2].

Texts are kept and echoed verbatim: ``128Mi`` stays ``128Mi``. Go clients decode
strictly, so numbers are integers and what is empty is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jangada.gateway.errors import BadRequestError
from jangada.gateway.stack import DEFAULT_NAMESPACE, ROUTES_ANNOTATION, StackFunction, parse_routes

Key = tuple[str, str]
"""Function name and namespace."""

RESOURCES = ("memory", "cpu", "nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu")
STATUS_PREFIX = "status.jangada.io/"
"""Annotations that describe the running function; whoever sends them back has not meant them."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ROUTE = re.compile(r"/?[A-Za-z0-9._-]+(/\*/[A-Za-z0-9._-]+)?")
"""A segment, and under it perhaps one that is named below any other: ``deployments/*/jobs``."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FunctionDeployment:
    """
    One function as somebody deployed it.

    *generation* grows with every update; a replica belongs to the generation it
    was started for. *created_at* is of the first deployment.
    """

    service: str
    image: str
    namespace: str = DEFAULT_NAMESPACE
    env_process: str = ""
    env_vars: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    read_only_root_filesystem: bool = False
    created_at: datetime = _EPOCH
    generation: int = 0

    @property
    def key(self) -> Key:
        """Name and namespace."""
        return self.service, self.namespace

    @property
    def qualified_name(self) -> str:
        """``name.namespace``, as metrics have it."""
        return f"{self.service}.{self.namespace}"

    @property
    def routes(self) -> tuple[str, ...]:
        """The public paths it answers, each starting with ``/``: annotation ``jangada.io/routes``."""
        return parse_routes(self.annotations.get(ROUTES_ANNOTATION, ""))

    @classmethod
    def from_json(cls, body: Any) -> FunctionDeployment:
        """Read a deploy body; unknown keys are ignored. Raises `BadRequestError`."""
        if not isinstance(body, dict):
            raise BadRequestError("the body must be a JSON object")
        service, image = _text(body, "service"), _text(body, "image")
        if not _LABEL.fullmatch(service):
            raise BadRequestError(
                f"service {service[:80]!r} is not valid: lower-case letters, digits and hyphens, at most 63 characters"
            )
        if not image or image != image.strip() or any(character.isspace() for character in image):
            raise BadRequestError("image is required and holds no white space")
        read_only = body.get("readOnlyRootFilesystem")
        if read_only is not None and not isinstance(read_only, bool):
            raise BadRequestError("readOnlyRootFilesystem must be true or false")
        annotations = {
            name: text for name, text in _texts(body, "annotations").items() if not name.startswith(STATUS_PREFIX)
        }
        for word in filter(None, (word.strip() for word in annotations.get(ROUTES_ANNOTATION, "").split(","))):
            if not _ROUTE.fullmatch(word):
                raise BadRequestError(f"{word!r} in {ROUTES_ANNOTATION} is no path segment")
        return cls(
            service=service,
            image=image,
            namespace=namespace_of(body),
            env_process=_text(body, "envProcess"),
            env_vars=_environment(body),
            constraints=_words(body, "constraints"),
            secrets=tuple(secret_name(word) for word in _words(body, "secrets")),
            labels=_texts(body, "labels"),
            annotations=annotations,
            limits=_resources(body, "limits"),
            requests=_resources(body, "requests"),
            read_only_root_filesystem=bool(read_only),
        )

    @classmethod
    def from_stack(cls, function: StackFunction) -> FunctionDeployment:
        """What `faas-cli up` would send for *function*."""
        return cls(
            service=function.name,
            image=function.image,
            namespace=function.namespace,
            env_process=function.env_process,
            env_vars=dict(function.environment),
            constraints=function.constraints,
            secrets=function.secrets,
            labels=dict(function.labels),
            annotations=dict(function.annotations),
            limits=dict(function.limits),
            requests=dict(function.requests),
            read_only_root_filesystem=function.read_only_root_filesystem,
        )

    def to_json(self) -> dict[str, Any]:
        """The deploy body that says all of this, what is empty left out; `from_json` reads it."""
        body: dict[str, Any] = {
            "service": self.service,
            "image": self.image,
            "namespace": self.namespace,
            "envProcess": self.env_process,
            "envVars": dict(self.env_vars),
            "constraints": list(self.constraints),
            "secrets": list(self.secrets),
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "limits": dict(self.limits),
            "requests": dict(self.requests),
            "readOnlyRootFilesystem": self.read_only_root_filesystem,
        }
        return {name: value for name, value in body.items() if value}

    def to_status(
        self, *, replicas: int, available: int, invocations: int, usage: Mapping[str, float] | None = None
    ) -> dict[str, Any]:
        """A FunctionStatus: *replicas* wished for, *available* ready, *usage* as ``cpu`` and ``totalMemoryBytes``."""
        body = self.to_json()
        status: dict[str, Any] = {"name": body.pop("service")} | body
        # Always objects, and the label that the Kubernetes provider adds.
        status["labels"] = dict(self.labels) | {"faas_function": self.service}
        status["annotations"] = dict(self.annotations)
        counts = {"invocationCount": invocations, "replicas": replicas, "availableReplicas": available}
        status |= {name: count for name, count in counts.items() if count}
        if self.created_at != _EPOCH:
            status["createdAt"] = self.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if usage is not None:
            status["usage"] = dict(usage)
        return status


def namespace_of(body: Mapping[str, Any]) -> str:
    """The body's ``namespace``, or the default one. Raises `BadRequestError`."""
    return namespace_name(_text(body, "namespace") or DEFAULT_NAMESPACE)


def namespace_name(text: str) -> str:
    """*text* if it is a DNS label. Raises `BadRequestError`."""
    if not _LABEL.fullmatch(text):
        raise BadRequestError("namespace not valid")
    return text


def secret_name(text: str) -> str:
    """*text* if a secret may be called that: a DNS-1123 subdomain. Raises `BadRequestError`."""
    if not (0 < len(text) <= 253 and all(_LABEL.fullmatch(part) for part in text.split("."))):
        raise BadRequestError(
            f"secret name {text[:80]!r} is not valid: lower-case letters, digits, hyphens and dots, nothing else"
        )
    return text


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise BadRequestError(f"{name} must be a text")
    return value


def _texts(body: Mapping[str, Any], name: str) -> dict[str, str]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict) or any(not isinstance(one, str) or "\0" in one for one in value.values()):
        raise BadRequestError(f"{name} must be an object of texts")
    return dict(value)


def _environment(body: Mapping[str, Any]) -> dict[str, str]:
    found = _texts(body, "envVars")
    for name in found:
        if not name or "=" in name or "\0" in name:
            raise BadRequestError(f"envVars: {name!r} cannot be the name of a variable")
    return found


def _words(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = body.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or any(not isinstance(one, str) for one in value):
        raise BadRequestError(f"{name} must be a list of texts")
    return tuple(value)


def _resources(body: Mapping[str, Any], name: str) -> dict[str, str]:
    found = _texts(body, name)
    return {resource: found[resource] for resource in RESOURCES if found.get(resource)}

"""
Reads ``stack.yml``: which functions exist, what they need, which public paths they answer.

Substitution and keys are those of faas-cli; a mistake is a `ConfigurationError`
that names file, line and key. Keys that only matter when building an image are
accepted and ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from jangada.errors import ConfigurationError

ROUTES_ANNOTATION = "jangada.io/routes"
DEFAULT_NAMESPACE = "openfaas-fn"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ROUTE = re.compile(r"/?[A-Za-z0-9._-]+(/\*/[A-Za-z0-9._-]+)?")
"""A segment, and under it perhaps one that is named below any other: ``deployments/*/jobs``."""
# As faas-cli substitutes [contract §6.1]: `:-`, `:=`, `=`, `:+` and `:?` all mean "default".
_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(?::[-=+?]|=)([^}]*))?\}|\$\{")

_FUNCTION_KEYS = {
    "lang", "handler", "image", "namespace", "fprocess", "environment", "environment_file", "secrets", "labels",
    "annotations", "constraints", "limits", "requests", "readonly_root_filesystem", "skip_build", "build_args",
    "build_options", "build_secrets", "platforms",
}  # fmt: skip
_TOP_KEYS = {"version", "provider", "configuration", "functions"}


@dataclass(frozen=True, slots=True)
class StackFunction:
    """One function as ``stack.yml`` describes it. `routes` are its public paths, each starting with ``/``."""

    name: str
    lang: str
    handler: str
    image: str
    namespace: str = DEFAULT_NAMESPACE
    env_process: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    limits: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    read_only_root_filesystem: bool = False

    @property
    def routes(self) -> tuple[str, ...]:
        """``"jobs,/problems"`` in the annotation is ``("/v1/jobs", "/problems")`` here."""
        return parse_routes(self.annotations.get(ROUTES_ANNOTATION, ""))


@dataclass(frozen=True, slots=True)
class Stack:
    """A whole ``stack.yml``; *root* is the folder that its relative paths start from."""

    path: Path
    functions: Mapping[str, StackFunction]

    @property
    def root(self) -> Path:
        """The folder of the file."""
        return self.path.parent

    def routes(self) -> dict[str, str]:
        """Public path → function name. Raises `ConfigurationError` when two functions claim one path."""
        owners: dict[str, str] = {}
        for function in self.functions.values():
            for route in function.routes:
                other = owners.setdefault(route, function.name)
                if other != function.name:
                    raise ConfigurationError(f"{self.path}: functions {other} and {function.name} both claim {route}")
        return owners


def load_stack(path: Path, environ: Mapping[str, str]) -> Stack:
    """Read *path*. Raises `ConfigurationError` naming the line of whatever is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        root = yaml.compose(_substitute(text, environ, path), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{path}{line}: not YAML: {getattr(error, 'problem', error)}") from error
    reader = _Reader(path)
    top = reader.mapping(root, "the file", _TOP_KEYS)
    reader.expect(top, root, "version", "1.0")
    provider = reader.mapping(top.get("provider"), "provider", {"name", "gateway"})
    reader.expect(provider, top.get("provider"), "name", "openfaas")
    functions = {
        name: reader.function(name, node) for name, node in reader.mapping(top.get("functions"), "functions").items()
    }
    stack = Stack(path, functions)
    stack.routes()
    return stack


def _substitute(text: str, environ: Mapping[str, str], path: Path) -> str:
    def replace(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        if match.group(1) is None:
            line = text.count("\n", 0, match.start()) + 1
            raise ConfigurationError(f"{path}:{line}: cannot read the substitution that starts with ${{")
        return environ.get(match.group(1)) or match.group(2) or ""

    return _VARIABLE.sub(replace, text)


@lru_cache(maxsize=256)
def parse_routes(text: str) -> tuple[str, ...]:
    """Public paths out of the annotation's words: ``jobs`` is ``/v1/jobs``, ``/x`` is itself."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    return tuple(word if word.startswith("/") else f"/v1/{word}" for word in words)


class _Reader:
    """Turns YAML nodes into values, keeping the line for the message."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def wrong(self, node: yaml.Node | None, message: str) -> ConfigurationError:
        line = f":{node.start_mark.line + 1}" if node is not None else ""
        return ConfigurationError(f"{self._path}{line}: {message}")

    def mapping(self, node: yaml.Node | None, what: str, known: set[str] | None = None) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"{what} must be a mapping")
        found: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = str(key_node.value)
            if known is not None and key not in known:
                raise self.wrong(key_node, f"unknown key {key} in {what}; known are {', '.join(sorted(known))}")
            if key in found:
                raise self.wrong(key_node, f"{key} appears twice in {what}")
            found[key] = value
        return found

    def text(self, node: yaml.Node | None, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self.wrong(node, f"{what} must be a text")
        return str(node.value)

    def expect(self, values: Mapping[str, yaml.Node], parent: yaml.Node | None, key: str, wanted: str) -> None:
        found = self.text(values[key], key) if key in values else None
        if found != wanted:
            raise self.wrong(values.get(key, parent), f"{key} must be {wanted}, found {found or 'nothing'}")

    def strings(self, node: yaml.Node | None, what: str) -> dict[str, str]:
        """A mapping of texts. YAML's own booleans and numbers are refused: faas-cli's Go types refuse them too."""
        if node is None:
            return {}
        found: dict[str, str] = {}
        for key, value in self.mapping(node, what).items():
            if not isinstance(value, yaml.ScalarNode) or value.tag != "tag:yaml.org,2002:str":
                raise self.wrong(value, f"{what}.{key} must be a text in quotes")
            found[key] = str(value.value)
        return found

    def words(self, node: yaml.Node | None, what: str) -> tuple[str, ...]:
        if node is None:
            return ()
        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong(node, f"{what} must be a list")
        return tuple(self.text(item, f"an item of {what}") for item in node.value)

    def function(self, name: str, node: yaml.Node) -> StackFunction:
        values = self.mapping(node, f"function {name}", _FUNCTION_KEYS)
        if not _NAME.fullmatch(name):
            raise self.wrong(node, f"function name {name!r} must be lower-case letters, digits and hyphens, at most 63")
        for key in ("lang", "handler", "image"):
            if key not in values:
                raise self.wrong(node, f"function {name} lacks {key}")
        plain: dict[str, Any] = {
            key: self.text(values[key], f"{name}.{key}")
            for key in ("lang", "handler", "image", "namespace")
            if key in values
        }
        annotations = self.strings(values.get("annotations"), f"{name}.annotations")
        for route in filter(None, (word.strip() for word in annotations.get(ROUTES_ANNOTATION, "").split(","))):
            if not _ROUTE.fullmatch(route):
                raise self.wrong(values["annotations"], f"{name}: {route!r} in {ROUTES_ANNOTATION} is no path segment")
        environment = self._environment_files(values.get("environment_file"), name)
        environment |= self.strings(values.get("environment"), f"{name}.environment")
        read_only = values.get("readonly_root_filesystem")
        return StackFunction(
            name=name,
            **plain,
            env_process=self.text(values["fprocess"], f"{name}.fprocess") if "fprocess" in values else "",
            environment=environment,
            secrets=self.words(values.get("secrets"), f"{name}.secrets"),
            labels=self.strings(values.get("labels"), f"{name}.labels"),
            annotations=annotations,
            constraints=self.words(values.get("constraints"), f"{name}.constraints"),
            limits=self.strings(values.get("limits"), f"{name}.limits"),
            requests=self.strings(values.get("requests"), f"{name}.requests"),
            read_only_root_filesystem=read_only is not None and self.text(read_only, "it").lower() == "true",
        )

    def _environment_files(self, node: yaml.Node | None, name: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for relative in self.words(node, f"{name}.environment_file"):
            path = self._path.parent / relative
            try:
                root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
            except (OSError, yaml.YAMLError) as error:
                raise self.wrong(node, f"{name}: cannot read environment_file {relative}: {error}") from error
            inner = _Reader(path)
            values = inner.mapping(root, "the file", {"environment"})
            found |= inner.strings(values.get("environment"), "environment")
        return found

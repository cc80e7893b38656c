"""Where files go in a job's input: by JSON pointer, or into the first field that wants a file. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

JSON = Any


@dataclass(frozen=True, slots=True)
class FileField:
    """A top-level field of an input that takes a file, or a list of files."""

    name: str
    many: bool


def with_value(document: JSON, pointer: str, value: JSON) -> JSON:
    """
    A copy of *document* with *value* at *pointer* (RFC 6901, or a plain field name).

    Missing objects on the way are made; ``-`` or the next index appends to a list.
    Raises `ValueError` when the way leads through something else.
    """
    steps = _steps(pointer)
    if not steps:
        return value
    made = copy.deepcopy(document) if document is not None else {}
    place = made
    for step in steps[:-1]:
        place = _enter(place, step, pointer)
    _put(place, steps[-1], value, pointer)
    return made


def file_field(schema: Mapping[str, Any]) -> FileField | None:
    """The first field of an algorithm's input schema that takes a file, required ones first; None without one."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return None
    required = schema.get("required")
    needed = set(required) if isinstance(required, list) else set()
    for name in sorted(properties, key=lambda name: name not in needed):
        for option in _options(schema, properties[name]):
            if _is_file(option):
                return FileField(name, many=False)
            if option.get("type") == "array" and any(
                _is_file(item) for item in _options(schema, option.get("items", {}))
            ):
                return FileField(name, many=True)
    return None


def _is_file(schema: Mapping[str, Any]) -> bool:
    return schema.get("x-jangada-file") is True


def _options(root: Mapping[str, Any], schema: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """*schema* with its references followed and its alternatives spread out."""
    if not isinstance(schema, Mapping) or depth > 8:
        return
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        yield from _options(root, _at(root, reference[1:]), depth + 1)
        return
    yield schema
    for word in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(word, ()):
            yield from _options(root, option, depth + 1)


def _at(document: Any, pointer: str) -> Any:
    for step in _steps(pointer):
        document = document.get(step) if isinstance(document, Mapping) else None
    return document


def _steps(pointer: str) -> list[str]:
    if not pointer.startswith("/"):
        return [pointer] if pointer else []
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]


def _enter(place: Any, step: str, pointer: str) -> Any:
    if isinstance(place, dict):
        return place.setdefault(step, {})
    if isinstance(place, list):
        if step == "-" or step == str(len(place)):
            place.append({})
            return place[-1]
        if step.isdigit() and int(step) < len(place):
            return place[int(step)]
    raise ValueError(f"{pointer}: nothing can be put below {step!r}")


def _put(place: Any, step: str, value: Any, pointer: str) -> None:
    if isinstance(place, dict):
        place[step] = value
    elif isinstance(place, list) and (step == "-" or step == str(len(place))):
        place.append(value)
    elif isinstance(place, list) and step.isdigit() and int(step) < len(place):
        place[int(step)] = value
    else:
        raise ValueError(f"{pointer}: nothing can be put at {step!r}")

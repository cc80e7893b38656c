"""
Where in an input the files are: the schema says which values are `File`s.

Used before a job is queued (do the files exist, are they this tenant's?) and
by the executor that puts the bytes in place. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

FILE_MARK = "x-jangada-file"
"""Marks the schema of `authoring.File`."""

Kind = Literal["file", "url", "data"]
_KINDS = frozenset({"file", "url", "data"})


@dataclass(frozen=True, slots=True)
class FileReference:
    """One `File` in an input: *pointer* is its JSON pointer, *value* the id, URL or data URL."""

    pointer: str
    kind: Kind
    value: str


def has_files(schema: Any) -> bool:
    """True when values of *schema* may hold a `File`."""
    if isinstance(schema, dict):
        return schema.get(FILE_MARK) is True or any(has_files(each) for each in schema.values())
    return isinstance(schema, list) and any(has_files(each) for each in schema)


def find_files(schema: dict[str, Any], value: Any, pointer: str = "") -> list[FileReference]:
    """Every file reference in *value*, each pointer once, in the order of the document."""
    found: dict[str, FileReference] = {}
    for reference in _walk(schema, schema, value, pointer, 0):
        found.setdefault(reference.pointer, reference)
    return list(found.values())


def _walk(root: dict[str, Any], schema: Any, value: Any, pointer: str, depth: int) -> Iterator[FileReference]:
    # Nothing below a scalar can be a file; the depth bounds schemas that refer to themselves.
    if not isinstance(schema, dict) or not isinstance(value, dict | list) or depth > 200:
        return
    if schema.get(FILE_MARK) is True:
        if isinstance(value, dict) and len(value) == 1:
            ((kind, text),) = value.items()
            if kind in _KINDS and isinstance(text, str):
                yield FileReference(pointer, cast("Kind", kind), text)
        return
    if "$ref" in schema:
        yield from _walk(root, _resolve(root, schema["$ref"]), value, pointer, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(key, ()):
            yield from _walk(root, option, value, pointer, depth + 1)
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for name, member in value.items():
            inner = properties.get(name, schema.get("additionalProperties"))
            yield from _walk(root, inner, member, f"{pointer}/{escape(name)}", depth + 1)
    else:
        prefix = schema.get("prefixItems", ())
        for index, member in enumerate(value):
            inner = prefix[index] if index < len(prefix) else schema.get("items")
            yield from _walk(root, inner, member, f"{pointer}/{index}", depth + 1)


def _resolve(root: dict[str, Any], reference: str) -> Any:
    node: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        node = node.get(part.replace("~1", "/").replace("~0", "~"), {})
    return node


def escape(part: str) -> str:
    """One part of a JSON pointer (RFC 6901)."""
    return part.replace("~", "~0").replace("/", "~1")

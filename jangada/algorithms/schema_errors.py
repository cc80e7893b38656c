"""What is wrong with a value, in words about the value: a choice of schemas is told by the one that was meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import jsonschema_rs

from jangada.algorithms.references import escape
from jangada.errors import FieldError

_MESSAGE_LENGTH = 300
_Kind = jsonschema_rs.ValidationErrorKind


def field_errors(errors: Iterable[Any], prefix: str, most: int) -> list[FieldError]:
    """At most *most* of a validator's *errors*, with JSON pointers that start with *prefix*."""
    told = (one for error in errors for one in _told(error))
    return [
        FieldError(prefix + "".join(f"/{escape(str(part))}" for part in path), _short(message))
        for path, message in islice(told, most)
    ]


def _told(error: Any) -> Iterator[tuple[Sequence[Any], str]]:
    if not isinstance(error.kind, (_Kind.AnyOf, _Kind.OneOfNotValid)):
        yield error.instance_path, error.message
        return
    branches = [branch for branch in error.kind.context if branch]
    meant = _meant(error, branches)
    if meant is None:
        yield error.instance_path, "; or ".join(dict.fromkeys(branch[0].message for branch in branches))
        return
    for inner in meant:
        yield from _told(inner)


def _meant(error: Any, branches: list[list[Any]]) -> list[Any] | None:
    """The errors of the schema that the caller seems to have meant; None when that cannot be said."""
    here = list(error.instance_path)
    # "null is allowed too" says nothing about a number that is too small.
    fitting = [
        branch
        for branch in branches
        if not any(isinstance(one.kind, _Kind.Type) and list(one.instance_path) == here for one in branch)
    ]
    if len(fitting) == 1:
        return fitting[0]
    # The one that was understood the furthest: {"file": 5} means the schema that has a `file`.
    depths = [max(len(one.instance_path) for one in branch) for branch in fitting]
    deepest = max(depths, default=0)
    return fitting[depths.index(deepest)] if deepest > len(here) and depths.count(deepest) == 1 else None


def _short(message: str) -> str:
    return message if len(message) <= _MESSAGE_LENGTH else message[:_MESSAGE_LENGTH] + "…"

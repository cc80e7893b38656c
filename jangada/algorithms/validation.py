"""The platform's side of schemas: a job's input is checked before it is queued."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.algorithms.references import FileReference, escape, find_files, has_files
from jangada.algorithms.schema_errors import field_errors
from jangada.errors import FieldError, InvalidInputError

MAX_REPORTED = 20
MAX_DEPTH = 100
_POINTER_LENGTH = 300


@dataclass(frozen=True, slots=True)
class _Compiled:
    schema: dict[str, Any]
    validator: Any
    may_hold_files: bool


class InputValidator:
    """Validators compiled once per algorithm, version and schema. Safe to share between threads."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str], _Compiled] = {}
        self._lock = threading.Lock()

    def check(self, record: AlgorithmRecord, value: Any) -> list[FileReference]:
        """
        Check *value* against *record*'s input schema; return the files it refers to.

        Raises `InvalidInputError` with one JSON pointer (prefixed ``/input``) per
        thing that is wrong, at most 20 of them. NaN, Infinity and a nesting over
        100 levels are refused whatever the schema says.
        """
        strange = _strange_value(value, "/input", 0)
        if strange is not None:
            raise InvalidInputError(_summary([strange]), errors=[strange])
        compiled = self._compile(record)
        if not compiled.validator.is_valid(value):
            errors = field_errors(compiled.validator.iter_errors(value), "/input", MAX_REPORTED)
            raise InvalidInputError(_summary(errors), errors=errors)
        return find_files(compiled.schema, value, "/input") if compiled.may_hold_files else []

    def _compile(self, record: AlgorithmRecord) -> _Compiled:
        key = (record.name, record.version)
        compiled = self._compiled.get(key)
        # A development version may change its schema without changing its number.
        if compiled is not None and (compiled.schema is record.input_schema or compiled.schema == record.input_schema):
            return compiled
        compiled = _Compiled(
            record.input_schema,
            jsonschema_rs.Draft202012Validator(record.input_schema, validate_formats=True),
            has_files(record.input_schema),
        )
        with self._lock:
            self._compiled[key] = compiled
        return compiled


def _summary(errors: list[FieldError]) -> str:
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{first.pointer}: {first.detail}{more}"


def _strange_value(value: Any, pointer: str, depth: int) -> FieldError | None:
    if depth > MAX_DEPTH:
        return FieldError(pointer[:_POINTER_LENGTH], f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, float):
        return None if math.isfinite(value) else FieldError(pointer, f"{value} is not a JSON number")
    members: Any = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    for key, member in members:
        if isinstance(member, dict | list | float):
            strange = _strange_value(member, f"{pointer}/{escape(str(key))}", depth + 1)
            if strange is not None:
                return strange
    return None

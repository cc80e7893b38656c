"""
From the type hints of an algorithm's ``run`` to schemas and checks. Child side: standard library and pydantic.

The published schema and the check in the child come from the same pydantic
types, so what the platform accepted is what ``run`` receives.
"""

from __future__ import annotations

import base64
import binascii
import inspect
import json
import typing
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from jangada.algorithms.authoring import Context, File
from jangada.algorithms.references import escape, has_files

DIALECT = "https://json-schema.org/draft/2020-12/schema"

# Made once: `json.dumps` with options of one's own builds an encoder for each call.
_to_json = json.JSONEncoder(allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode


class DeclarationError(Exception):
    """Raised when an algorithm's class does not have the form that it must have; says what is missing."""


class InputRejectedError(Exception):
    """Raised when an input does not have the declared type; the text carries JSON pointers."""


class OutputRejectedError(Exception):
    """Raised when what ``run`` returned is not of the declared type, or not JSON."""


class Signature:
    """The declared input and output of one algorithm."""

    def __init__(self, input_type: Any, output_type: Any, *, wants_context: bool) -> None:
        self._input: TypeAdapter[Any] = TypeAdapter(input_type)
        self._output: TypeAdapter[Any] = TypeAdapter(output_type)
        self.wants_context = wants_context
        self.input_schema = _schema(self._input, "validation")
        self.output_schema = _schema(self._output, "serialization")
        self.takes_files = has_files(self.input_schema)

    @classmethod
    def of(cls, algorithm: type[Any]) -> Signature:
        """Read the hints of *algorithm*.run; raises `DeclarationError` saying what is not as it must be."""
        run = getattr(algorithm, "run", None)
        if not callable(run):
            raise DeclarationError(f"{algorithm.__name__} has no method run(self, input, context)")
        parameters = list(inspect.signature(run).parameters.values())[1:]
        required = [each for each in parameters if each.default is inspect.Parameter.empty]
        if not parameters or len(required) > 2:
            raise DeclarationError(f"{algorithm.__name__}.run must take (self, input) or (self, input, context)")
        try:
            hints = typing.get_type_hints(run, include_extras=True)
        except NameError as error:
            raise DeclarationError(f"{algorithm.__name__}.run: a type hint cannot be resolved: {error}") from error
        first = parameters[0].name
        if first not in hints or "return" not in hints:
            raise DeclarationError(f"{algorithm.__name__}.run must declare the types of {first!r} and of its output")
        return cls(hints[first], hints["return"], wants_context=len(parameters) > 1)

    def read(self, value: Any) -> Any:
        """The input as the declared type; raises `InputRejectedError`."""
        try:
            return self._input.validate_python(value)
        except ValidationError as error:
            raise InputRejectedError(_describe(error, "/input")) from None

    def write(self, value: Any) -> bytes:
        """The output as JSON bytes; raises `OutputRejectedError` when it is not what was declared."""
        try:
            if not isinstance(value, BaseModel):
                value = self._output.validate_python(value)
            plain = self._output.dump_python(value, mode="json", warnings="error")
            return _to_json(plain).encode()
        except ValidationError as error:
            raise OutputRejectedError(_describe(error, "/output")) from None
        except PydanticSerializationError as error:
            raise OutputRejectedError(" ".join(str(error).split())[:1000]) from None
        except (ValueError, TypeError, RecursionError) as error:
            raise OutputRejectedError(str(error)) from None


def _schema(adapter: TypeAdapter[Any], mode: typing.Literal["validation", "serialization"]) -> dict[str, Any]:
    schema = adapter.json_schema(mode=mode)
    if mode == "validation":
        _close(schema)
    return {"$schema": DIALECT, **schema}


def _close(schema: Any) -> None:
    """Refuse unknown fields wherever the author has not said otherwise: a misspelt option must not pass unseen."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
        for member in schema.values():
            _close(member)
    elif isinstance(schema, list):
        for member in schema:
            _close(member)


def _describe(error: ValidationError, prefix: str) -> str:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [prefix + "".join(f"/{escape(str(part))}" for part in each["loc"]) + f": {each['msg']}" for each in details]
    if len(lines) > 10:
        lines[10:] = [f"and {len(lines) - 10} more"]
    return "; ".join(lines)


def attach_files(value: Any, placed: Mapping[str, tuple[Path, str | None]], work_dir: Path) -> None:
    """
    Give every `File` in *value* its local bytes: from *placed* (by id or URL), or decoded from its data URL.

    Raises `InputRejectedError` for a data URL that is not base64.
    """
    for number, file in enumerate(_files(value)):
        if file.data is not None:
            file._media_type, content = _decode(file.data)
            file._path = work_dir / f"in-data-{number:03d}"
            file._path.write_bytes(content)
            continue
        where = placed.get(cast("str", file.file or file.url))
        if where is None:
            raise InputRejectedError("/input: a file was not put in place")
        file._path, file._media_type = where


def _files(value: Any) -> Iterator[File]:
    if isinstance(value, File):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _files(getattr(value, name))
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _files(member)
    elif isinstance(value, list | tuple | set | frozenset):
        for member in value:
            yield from _files(member)


def _decode(data: str) -> tuple[str | None, bytes]:
    head, comma, body = data.removeprefix("data:").partition(",")
    if not comma or not head.endswith(";base64"):
        raise InputRejectedError('/input: a data URL must look like "data:image/png;base64,…"')
    try:
        content = base64.b64decode(urllib.parse.unquote(body), validate=True)
    except (binascii.Error, ValueError):
        raise InputRejectedError("/input: a data URL is not valid base64") from None
    return head.removesuffix(";base64").partition(";")[0] or None, content


def bind(algorithm: Any, signature: Signature) -> Callable[[Any, Context], Any]:
    """*algorithm*.run as a function of input and context, whichever of the two it takes."""
    if signature.wants_context:
        return cast("Callable[[Any, Context], Any]", algorithm.run)
    return lambda value, _context: algorithm.run(value)

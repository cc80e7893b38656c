from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.algorithms.manifest import Limits
from jangada.algorithms.references import FILE_MARK, FileReference
from jangada.algorithms.validation import MAX_REPORTED, InputValidator
from jangada.errors import InvalidInputError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "count": {"type": "integer"},
        "names": {"type": "array", "items": {"type": "string"}},
        "image": {FILE_MARK: True, "type": "object"},
        "any": {},
    },
    "required": ["count"],
    "additionalProperties": False,
}
RECORD = AlgorithmRecord(
    name="a",
    version="1.0.0",
    description="",
    device="cpu",
    limits=Limits(),
    max_attempts=3,
    input_schema=SCHEMA,
    output_schema={},
    queue="a",
    updated_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def pointers(value: Any) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        InputValidator().check(RECORD, value)
    return [error.pointer for error in caught.value.errors]


def test_a_fitting_input_gives_its_files() -> None:
    value = {"count": 1, "image": {"file": "file_1"}, "any": {"file": "not one"}}
    assert InputValidator().check(RECORD, value) == [FileReference("/input/image", "file", "file_1")]


def test_every_wrong_place_is_pointed_at() -> None:
    assert pointers({"count": "1", "names": ["a", 2, 3]}) == ["/input/count", "/input/names/1", "/input/names/2"]
    assert pointers({}) == ["/input"]
    assert pointers({"count": 1, "colour": 2}) == ["/input"]
    assert pointers([]) == ["/input"]


def test_only_so_many_errors_are_reported() -> None:
    assert len(pointers({"count": 1, "names": list(range(100))})) == MAX_REPORTED


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_are_refused_wherever_they_are(number: float) -> None:
    assert pointers({"count": 1, "any": {"a/b": [0.5, {"x": number}]}}) == ["/input/any/a~1b/1/x"]


def test_deep_nesting_is_refused_without_a_crash() -> None:
    deep: Any = 0
    for _ in range(5000):
        deep = [deep]
    (pointer,) = pointers({"count": 1, "any": deep})
    assert pointer.startswith("/input/any/0/0")
    assert len(pointer) <= 300


def test_a_message_does_not_repeat_a_large_value() -> None:
    with pytest.raises(InvalidInputError) as caught:
        InputValidator().check(RECORD, {"count": "x" * 100_000})
    assert len(str(caught.value)) < 500


def test_a_new_schema_under_the_same_version_is_seen() -> None:
    validator = InputValidator()
    validator.check(RECORD, {"count": 1})
    changed = replace(RECORD, input_schema={"type": "string"})
    with pytest.raises(InvalidInputError):
        validator.check(changed, {"count": 1})
    validator.check(replace(RECORD, version="2.0.0"), {"count": 1})


FILE: dict[str, Any] = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"file": {"type": "string", "pattern": "^file_"}},
            "required": ["file"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"url": {"type": "string"}},
            "required": ["url"],
            "additionalProperties": False,
        },
    ]
}
CHOICES: dict[str, Any] = {
    "properties": {
        "dpi": {"anyOf": [{"type": "integer", "minimum": 50}, {"type": "null"}], "default": None},
        "page": {"anyOf": [FILE, {"type": "null"}]},
    }
}


@pytest.mark.parametrize(
    ("value", "pointer", "detail"),
    [
        ({"dpi": 0}, "/input/dpi", "0 is less than the minimum of 50"),
        ({"dpi": "x"}, "/input/dpi", '"x" is not of type "integer"; or "x" is not of type "null"'),
        ({"page": {"file": "x"}}, "/input/page/file", '"x" does not match "^file_"'),
        ({"page": {"url": 5}}, "/input/page/url", '5 is not of type "string"'),
        ({"page": {}}, "/input/page", '"file" is a required property; or "url" is a required property'),
    ],
)
def test_of_a_choice_the_schema_that_was_meant_says_what_is_wrong(value: Any, pointer: str, detail: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        InputValidator().check(replace(RECORD, input_schema=CHOICES), value)
    assert [(error.pointer, error.detail) for error in caught.value.errors] == [(pointer, detail)]

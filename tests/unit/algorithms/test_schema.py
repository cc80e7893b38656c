from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, ConfigDict

from jangada.algorithms import Context, File
from jangada.algorithms.references import FileReference, find_files, has_files
from jangada.algorithms.schema import (
    DeclarationError,
    InputRejectedError,
    OutputRejectedError,
    Signature,
    attach_files,
    bind,
)

FILE_ID = "file_01ARZ3NDEKTSV4RRFFQ69G5FAV"


class Page(BaseModel):
    image: File
    turn: int = 0


class Input(BaseModel):
    pages: list[Page]
    cover: File | None = None
    by_name: dict[str, File] = {}
    link: dict[str, str] = {}


class Output(BaseModel):
    text: str
    preview: File | None = None


class Algorithm:
    def run(self, input: Input, context: Context) -> Output:
        return Output(text=str(len(input.pages)))


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    number: int = 0


class TakesMore:
    def run(self, input: Open) -> Open:
        return input


SIGNATURE = Signature.of(Algorithm)


def test_both_schemas_are_valid_draft_2020_12() -> None:
    for schema in (SIGNATURE.input_schema, SIGNATURE.output_schema):
        assert schema["$schema"].endswith("2020-12/schema")
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("file", "fits"),
    [
        ({"file": FILE_ID}, True),
        ({"url": "https://a.example/x.png"}, True),
        ({"data": "data:image/png;base64,AAAA"}, True),
        ({}, False),
        ({"file": "file_short"}, False),
        ({"url": "ftp://a.example"}, False),
        ({"data": "data:text/plain,hello"}, False),
        ({"file": FILE_ID, "url": "https://a.example"}, False),
        ("just text", False),
    ],
)
def test_a_file_is_exactly_one_reference(file: Any, fits: bool) -> None:
    validator = jsonschema.Draft202012Validator(SIGNATURE.input_schema)
    assert validator.is_valid({"pages": [{"image": file}]}) is fits


def test_unknown_fields_are_refused_unless_the_author_allows_them() -> None:
    assert not jsonschema.Draft202012Validator(SIGNATURE.input_schema).is_valid({"pages": [], "colour": 1})
    assert jsonschema.Draft202012Validator(Signature.of(TakesMore).input_schema).is_valid({"more": 1})


def test_an_output_file_is_an_id() -> None:
    validator = jsonschema.Draft202012Validator(SIGNATURE.output_schema)
    assert validator.is_valid({"text": "", "preview": {"file": FILE_ID}})
    assert not validator.is_valid({"text": "", "preview": {"url": "https://a.example"}})


def test_files_are_found_wherever_the_schema_has_them_and_nowhere_else() -> None:
    value = {
        "pages": [{"image": {"file": FILE_ID}}, {"image": {"url": "https://a.example/2"}, "turn": 90}],
        "cover": None,
        "by_name": {"a/b": {"data": "data:;base64,"}},
        "link": {"url": "https://not-a-file.example"},
    }
    assert has_files(SIGNATURE.input_schema)
    assert find_files(SIGNATURE.input_schema, value, "/input") == [
        FileReference("/input/pages/0/image", "file", FILE_ID),
        FileReference("/input/pages/1/image", "url", "https://a.example/2"),
        FileReference("/input/by_name/a~1b", "data", "data:;base64,"),
    ]


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema = {"$ref": "#/$defs/Node", "$defs": {"Node": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "object"}]}}}
    assert find_files(schema, {"a": {}}) == []


def test_files_get_their_bytes(tmp_path: Path) -> None:
    data = "data:text/plain;charset=utf-8;base64," + base64.b64encode(b"inline").decode()
    value = SIGNATURE.read({"pages": [{"image": {"file": FILE_ID}}, {"image": {"data": data}}]})
    stored = tmp_path / "stored"
    stored.write_bytes(b"stored")
    attach_files(value, {FILE_ID: (stored, "image/png")}, tmp_path)
    assert [page.image.read_bytes() for page in value.pages] == [b"stored", b"inline"]
    assert [page.image.media_type for page in value.pages] == ["image/png", "text/plain"]


@pytest.mark.parametrize("data", ["data:text/plain,hello", "data:;base64,%%%", "data:;base64,AAA"])
def test_a_broken_data_url_is_rejected(tmp_path: Path, data: str) -> None:
    value = SIGNATURE.read({"pages": [{"image": {"data": data}}]})
    with pytest.raises(InputRejectedError, match=r"^/input: a data URL"):
        attach_files(value, {}, tmp_path)


def test_a_rejected_input_says_where() -> None:
    with pytest.raises(InputRejectedError, match=r"^/input/pages/0/turn: "):
        SIGNATURE.read({"pages": [{"image": {"file": FILE_ID}, "turn": "left"}]})


@pytest.mark.parametrize("value", [None, 5, {"txt": "a"}, Output.model_construct(text=5)])
def test_a_wrong_output_is_rejected(value: Any) -> None:
    with pytest.raises(OutputRejectedError):
        SIGNATURE.write(value)


def test_an_output_may_be_a_plain_dict() -> None:
    assert SIGNATURE.write({"text": "ü"}) == '{"text":"ü","preview":null}'.encode()


def test_an_output_with_half_a_character_is_rejected() -> None:
    with pytest.raises(OutputRejectedError):
        SIGNATURE.write(Output(text="\ud800"))


class NoHints:
    def run(self, input, context):
        return None


class NoRun:
    pass


class TooMany:
    def run(self, input: Input, context: Context, more: int) -> Output:
        raise NotImplementedError


class Unresolved:
    def run(self, input: Missing) -> Output:  # type: ignore[name-defined]  # noqa: F821
        raise NotImplementedError


@pytest.mark.parametrize(
    ("declared", "part"),
    [
        (NoHints, "must declare the types of 'input' and of its output"),
        (NoRun, "has no method run"),
        (TooMany, r"must take \(self, input\)"),
        (Unresolved, "a type hint cannot be resolved"),
    ],
)
def test_a_class_of_the_wrong_form_is_named(declared: type[Any], part: str) -> None:
    with pytest.raises(DeclarationError, match=part):
        Signature.of(declared)


def test_run_may_leave_the_context_out(tmp_path: Path) -> None:
    class Small:
        def run(self, input: Page) -> Page:
            return input

    page = Page(image=File(file=FILE_ID))
    assert bind(Small(), Signature.of(Small))(page, Context(work_dir=tmp_path)) is page

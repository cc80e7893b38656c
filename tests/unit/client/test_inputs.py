import pytest

from jangada.client.inputs import FileField, file_field, with_value

FILE = {"title": "File", "oneOf": [{"type": "object"}], "x-jangada-file": True}


def schema(properties, required=()):
    return {"type": "object", "properties": properties, "required": list(required), "$defs": {"File": FILE}}


def test_a_value_is_put_at_its_pointer_and_the_input_is_left_alone():
    given = {"pages": [{"n": 1}], "dpi": 300}
    assert with_value(given, "/pages/0/file", 7) == {"pages": [{"n": 1, "file": 7}], "dpi": 300}
    assert with_value(given, "/pages/-", 7)["pages"] == [{"n": 1}, 7]
    assert with_value(given, "/a/b", 7)["a"] == {"b": 7}
    assert with_value(given, "/pages/1/x", 7)["pages"][1] == {"x": 7}
    assert given == {"pages": [{"n": 1}], "dpi": 300}


def test_a_plain_name_is_a_pointer_too():
    assert with_value(None, "page", 7) == {"page": 7}


def test_escapes_of_pointers_are_understood():
    assert with_value({}, "/a~1b/c~0d", 7) == {"a/b": {"c~d": 7}}


@pytest.mark.parametrize("pointer", ["/dpi/x", "/pages/9", "/pages/x/y"])
def test_a_pointer_through_something_else_is_refused(pointer):
    with pytest.raises(ValueError, match="nothing can be put"):
        with_value({"dpi": 300, "pages": []}, pointer, 7)


def test_the_file_field_is_found_through_a_reference():
    assert file_field(schema({"lang": {"type": "string"}, "page": {"$ref": "#/$defs/File"}})) == FileField(
        "page", False
    )


def test_the_file_field_may_be_optional():
    found = file_field(schema({"page": {"anyOf": [{"$ref": "#/$defs/File"}, {"type": "null"}], "default": None}}))
    assert found == FileField("page", False)


def test_a_required_file_field_wins_over_an_optional_one_before_it():
    properties = {"mask": {"$ref": "#/$defs/File"}, "image": {"$ref": "#/$defs/File"}}
    assert file_field(schema(properties, ["image"])) == FileField("image", False)


def test_a_list_of_files_is_found():
    found = file_field(schema({"pages": {"type": "array", "items": {"$ref": "#/$defs/File"}}}))
    assert found == FileField("pages", True)


@pytest.mark.parametrize(
    "properties", [{}, {"text": {"type": "string"}}, {"loop": {"$ref": "#/properties/loop"}}, {"x": {"$ref": "#/no"}}]
)
def test_there_may_be_no_file_field(properties):
    assert file_field(schema(properties)) is None

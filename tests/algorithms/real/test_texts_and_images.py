"""text-embed, text-langid, file-type and image-prepare do what they say, in their own environments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(900)


def test_close_meanings_have_close_vectors(algorithm: Callable[..., Any]) -> None:
    texts = ["The boat sailed at dawn.", "At sunrise the vessel left.", "Tax law is complicated.", "word " * 400]
    out = algorithm("text-embed").run({"texts": texts})["output"]
    assert out["dim"] == 384
    assert out["device"] in ("cpu", "cuda")
    assert out["truncated"] == [False, False, False, True]
    boat, vessel, tax, _ = out["vectors"]
    assert all(abs(sum(value * value for value in vector) - 1) < 1e-3 for vector in out["vectors"])
    assert dot(boat, vessel) > 0.5 > 0.2 > dot(boat, tax)


def test_a_vector_does_not_depend_on_its_neighbours(algorithm: Callable[..., Any]) -> None:
    running = algorithm("text-embed")
    alone = running.run({"texts": ["short"]})["output"]["vectors"][0]
    among = running.run({"texts": ["a much longer text that would need padding", "short"]})["output"]["vectors"][1]
    assert dot(alone, among) > 0.9999


@pytest.mark.parametrize("texts", [[], ["x"] * 65, [""], ["x" * 20_001], "x"])
def test_texts_outside_of_the_limits_are_refused(algorithm: Callable[..., Any], texts: object) -> None:
    assert algorithm("text-embed").run({"texts": texts})["error"]["code"] == "schema"


def dot(left: list[float], right: list[float]) -> float:
    """The dot product."""
    return sum(a * b for a, b in zip(left, right, strict=True))


def test_languages_are_named(algorithm: Callable[..., Any]) -> None:
    texts = [
        "O barco saiu cedo do porto com a maré",
        "The boat left the harbour early",
        "El barco salió temprano del puerto",
        "12345",
    ]
    langs = algorithm("text-langid").run({"texts": texts})["output"]["langs"]
    assert [item["lang"] for item in langs] == ["pt", "en", "es", None]
    assert all(0 <= item["prob"] <= 1 for item in langs)


def test_languages_can_be_restricted_for_one_run_only(algorithm: Callable[..., Any]) -> None:
    running = algorithm("text-langid")
    text = ["El barco salió temprano del puerto"]
    assert running.run({"texts": text, "languages": ["pt", "en"]})["output"]["langs"][0]["lang"] == "pt"
    assert running.run({"texts": text})["output"]["langs"][0]["lang"] == "es"
    assert running.run({"texts": text, "languages": ["pt", "qq"]})["error"]["code"] == "invalid_input"


def test_a_file_is_known_by_its_content(algorithm: Callable[..., Any], documents: Path, tmp_path: Path) -> None:
    running = algorithm("file-type")
    out = running.run({}, file=documents / "02_recibo.jpg")["output"]
    assert (out["label"], out["mime"], out["accepted"]) == ("jpeg", "image/jpeg", True)
    disguised = tmp_path / "page.jpg"
    disguised.write_text("import os\n\n\ndef main() -> None:\n    print(os.getcwd())\n" * 5)
    assert running.run({}, file=disguised)["output"]["label"] == "python"
    empty = tmp_path / "empty"
    empty.touch()
    out = running.run({}, file=empty)["output"]
    assert (out["label"], out["size_bytes"]) == ("empty", 0)


def test_a_page_is_straightened_and_made_black_and_white(algorithm: Callable[..., Any], documents: Path) -> None:
    answer = algorithm("image-prepare").run(
        {"ops": ["orient", "deskew", "flatten", "binarize", "quality"]}, image=documents / "02_recibo.jpg"
    )
    out = answer["output"]
    assert answer["saved"] == ["out-001-page.png"]
    assert abs(out["skew_deg"] + 1.69) < 0.3
    assert out["turned_deg"] == 0
    assert out["dpi"] == 200
    assert not out["quality"]["is_blurred"]
    assert not out["quality"]["blank"]


def test_a_page_lying_on_its_side_is_turned(algorithm: Callable[..., Any], documents: Path, tmp_path: Path) -> None:
    from PIL import Image

    with Image.open(documents / "05_declaracao.jpg") as image:
        image.rotate(90, expand=True).save(tmp_path / "side.png")
    out = algorithm("image-prepare").run({"ops": ["orient"]}, image=tmp_path / "side.png")["output"]
    assert out["turned_deg"] == 90
    assert out["height"] > out["width"]


def test_a_page_without_faces_has_none(algorithm: Callable[..., Any], documents: Path) -> None:
    out = algorithm("image-prepare").run({"ops": ["faces"]}, image=documents / "04_certidao.jpg")["output"]
    assert out["faces"] == []
    assert out["quality"] is None

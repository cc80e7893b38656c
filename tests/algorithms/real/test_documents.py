"""doc-metadata on scanned pages: the shared eight, bad copies, turned pages, layouts its rules never saw."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from score import Score

pytestmark = pytest.mark.timeout(900)
ENGINES = ("tesseract", "rapidocr")
CPU_LIMIT_S = {"tesseract": 1.5 * 0.73, "rapidocr": 1.5 * 1.9}
"""1.5 times what reference/workloads.md measured per page."""


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, algorithm: Callable[..., Any]) -> str:
    """Every engine that can be forced here; tesseract needs Debian's language data."""
    answer = algorithm("doc-metadata").run({"engine": request.param}, page=Path(__file__))
    if "not installed" in answer["error"]["message"]:
        if os.environ.get("CI"):
            pytest.fail(answer["error"]["message"])
        pytest.skip(answer["error"]["message"])
    return str(request.param)


def read(algorithm: Callable[..., Any], folder: Path, engine: str) -> tuple[Score, list[float]]:
    """The score of a folder and the CPU seconds of each page."""
    running = algorithm("doc-metadata")
    score, seconds = Score(), []
    for truth in json.loads((folder / "truth.json").read_text(encoding="utf-8"))["documents"]:
        answer = running.run({"engine": engine, "include_text": True}, page=folder / truth["file"])
        assert "output" in answer, f"{truth['file']}: {answer}"
        assert answer["output"]["metadata"]["hash"]["value"] == {"algorithm": "sha256", "value": truth["sha256"]}
        seconds.append(answer["cpu_s"])
        score.add(truth, answer["output"])
    return score, seconds


def assert_values(score: Score, *, recall: float = 1.0) -> None:
    """Every checked value found (or the given share), and none wrong."""
    for key in Score.VALUES:
        assert score.wrong[key] == 0, score.misses
        assert score.right[key] >= recall * score.due[key], score.misses


def test_every_value_of_the_shared_pages_is_found_and_none_is_wrong(
    algorithm: Callable[..., Any], documents: Path, engine: str
) -> None:
    score, seconds = read(algorithm, documents, engine)
    assert_values(score)
    assert score.right["type"] == score.right["title"] == 8, score.misses
    assert score.right["author"] == 8, score.misses
    assert score.right["produced_on"] == 8, score.misses
    assert sum(score.line_accuracy) / len(score.line_accuracy) >= 0.99
    assert sum(seconds) / len(seconds) <= CPU_LIMIT_S[engine], seconds


def test_bad_copies_are_read_as_well(algorithm: Callable[..., Any], made: Callable[..., Path], engine: str) -> None:
    score, _ = read(algorithm, made("make_documents.py", "--count", "8", "--seed", "5", "--level", "2"), engine)
    assert_values(score, recall=0.95)
    assert score.right["type"] == 8, score.misses
    assert sum(score.line_accuracy) / len(score.line_accuracy) >= 0.98


def test_layouts_that_the_rules_never_saw(
    algorithm: Callable[..., Any], made: Callable[..., Path], engine: str
) -> None:
    score, _ = read(
        algorithm, made("make_blind_documents.py", "--part", "held-out", "--count", "16", "--seed", "11"), engine
    )
    assert_values(score, recall=0.95)
    for key, floor in (("type", 0.9), ("title", 0.85), ("author", 0.75), ("produced_on", 0.8), ("people", 0.75)):
        assert score.right[key] >= floor * score.due[key], (key, score.misses)


def test_layouts_that_the_rules_were_written_against(algorithm: Callable[..., Any], made: Callable[..., Path]) -> None:
    score, _ = read(
        algorithm, made("make_blind_documents.py", "--part", "development", "--count", "9", "--seed", "3"), "auto"
    )
    assert_values(score, recall=0.95)
    assert score.right["type"] == score.due["type"], score.misses


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("name", ["00_oficio.jpg", "06_ficha_cadastral.jpg"])
def test_a_turned_page_is_read(
    algorithm: Callable[..., Any], documents: Path, tmp_path: Path, engine: str, name: str, degrees: int
) -> None:
    prepared = algorithm("image-prepare")
    assert prepared.ready
    turned = tmp_path / "turned.png"
    turn_page(documents / name, degrees, turned)
    answer = algorithm("doc-metadata").run({"engine": engine, "include_text": True}, page=turned)
    truth = next(
        t for t in json.loads((documents / "truth.json").read_text(encoding="utf-8"))["documents"] if t["file"] == name
    )
    score = Score()
    score.add(truth, answer["output"])
    assert answer["output"]["orientation"] == (360 - degrees) % 360
    assert_values(score)
    assert score.right["type"] == score.right["title"] == 1, score.misses


def turn_page(page: Path, degrees: int, target: Path) -> None:
    """Write *page* turned clockwise; Pillow is a development dependency of the project."""
    from PIL import Image

    with Image.open(page) as image:
        image.rotate(-degrees, expand=True).save(target, dpi=image.info["dpi"])


def test_evidence_points_at_the_words_on_the_stored_page(algorithm: Callable[..., Any], documents: Path) -> None:
    out = algorithm("doc-metadata").run({"engine": "rapidocr"}, page=documents / "02_recibo.jpg")["output"]
    evidence = out["metadata"]["titulo"]["evidence"]
    assert evidence["text"] == "RECIBO"
    xs, ys = zip(*evidence["box"], strict=True)
    # Centred at the top of a sheet of 1654 × 1165 pixels.
    assert 700 < sum(xs) / 4 < 950
    assert 50 < sum(ys) / 4 < 250


def test_what_the_sender_knows_becomes_metadata(algorithm: Callable[..., Any], documents: Path) -> None:
    sent = {
        "responsible": "Arquivo Central",
        "place": "Fortaleza - CE",
        "identifier": "A-17",
        "classification": "010.1",
        "destination": "guarda permanente",
        "retention": "5 anos",
        "scanned_at": "2026-03-01T10:00:00-03:00",
        "public_body": True,
    }
    out = algorithm("doc-metadata").run({"engine": "rapidocr", "submission": sent}, page=documents / "00_oficio.jpg")[
        "output"
    ]
    said = out["metadata"]
    assert said["responsavel"] == {
        "source": "submitted",
        "confidence": 1.0,
        "evidence": None,
        "value": "Arquivo Central",
    }
    assert said["data_local_digitalizacao"]["value"] == {"time": "2026-03-01T10:00:00-03:00", "place": "Fortaleza - CE"}
    assert (said["identificador"]["value"], said["classe"]["value"], said["prazo_guarda"]["value"]) == (
        "A-17",
        "010.1",
        "5 anos",
    )
    assert out["compliance"]["missing"] == []
    assert out["compliance"]["format_ok"] is False
    assert out["compliance"]["dpi_ok"] is True


def test_what_nobody_said_is_missing_and_never_guessed(algorithm: Callable[..., Any], documents: Path) -> None:
    out = algorithm("doc-metadata").run({"engine": "rapidocr"}, page=documents / "00_oficio.jpg")["output"]
    assert {"responsavel", "classe", "destinacao", "prazo_guarda", "data_local_digitalizacao"} <= set(
        out["compliance"]["missing"]
    )
    assert out["metadata"]["identificador"]["source"] == "system"
    assert out["metadata"]["classe"]["value"] is None


def test_pages_of_a_pdf_and_of_a_tiff_are_all_read(algorithm: Callable[..., Any], damaged: Path) -> None:
    for name in ("two.pdf", "two.tif"):
        answer = algorithm("doc-metadata").run({"engine": "rapidocr"}, page=damaged / name)
        out = answer["output"]
        assert out["pages_total"] == len(out["pages"]) == 2
        assert len(out["fields"]["cpf"]) == 2, name
        assert {item["evidence"]["page"] for item in out["fields"]["cpf"]} == {1, 2}
        assert out["metadata"]["tipo_documental"]["value"] == "declaracao"
        assert answer["events"] >= 2


def test_a_page_asked_for_by_number_is_read_alone(algorithm: Callable[..., Any], damaged: Path) -> None:
    running = algorithm("doc-metadata")
    out = running.run({"engine": "rapidocr", "pages": [2]}, page=damaged / "two.pdf")["output"]
    assert [page["page"] for page in out["pages"]] == [2]
    assert out["metadata"]["tipo_documental"]["value"] == "certidao"
    error = running.run({"pages": [3]}, page=damaged / "two.pdf")["error"]
    assert error["code"] == "invalid_input"
    assert "2 page" in error["message"]


def test_pages_over_the_limit_are_reported(algorithm: Callable[..., Any], damaged: Path) -> None:
    out = algorithm("doc-metadata").run({"max_pages": 3}, page=damaged / "many.pdf")["output"]
    assert out["pages_total"] == 5000
    assert len(out["pages"]) == 3
    assert "pages_not_read: 4997" in out["review_reasons"]


def test_a_blank_page_succeeds_and_asks_for_review(algorithm: Callable[..., Any], damaged: Path, engine: str) -> None:
    out = algorithm("doc-metadata").run({"engine": engine}, page=damaged / "blank.png")["output"]
    assert out["needs_review"]
    assert "blank_page: 1" in out["review_reasons"]
    assert out["metadata"]["titulo"]["value"] is None
    assert out["metadata"]["tipo_documental"]["value"] is None
    assert not any(out["fields"].values())


def test_unreadable_files_are_refused_with_a_reason(algorithm: Callable[..., Any], damaged: Path) -> None:
    for name, word in json.loads((damaged / "unreadable.json").read_text(encoding="utf-8")).items():
        for algorithm_name, field in (("doc-metadata", "page"), ("image-prepare", "image")):
            answer = algorithm(algorithm_name).run({}, **{field: damaged / name})
            assert answer.get("error", {}).get("code") == "invalid_input", (name, algorithm_name, answer)
            message = answer["error"]["message"]
            assert word in message, (name, message)
            assert "\n" not in message, name
            assert "/" not in message.split("expected")[0], (name, message)
            assert answer["cpu_s"] < 2, name


def test_unusual_pictures_of_a_page_are_read(algorithm: Callable[..., Any], damaged: Path) -> None:
    for name in json.loads((damaged / "readable.json").read_text(encoding="utf-8")):
        answer = algorithm("doc-metadata").run({}, page=damaged / name)
        assert "output" in answer, (name, answer)
        assert [item["value"] for item in answer["output"]["fields"]["cpf"]] == ["860.019.596-92"], name


def test_a_canceled_run_stops_before_the_next_page(algorithm: Callable[..., Any], damaged: Path) -> None:
    answer = algorithm("doc-metadata").run({}, cancel=True, page=damaged / "two.pdf")
    assert answer["error"]["code"] == "canceled"


def test_text_and_places_of_lines(algorithm: Callable[..., Any], documents: Path) -> None:
    out = algorithm("doc-ocr").run({"engine": "rapidocr"}, page=documents / "02_recibo.jpg")["output"]
    assert "548.754.166-36" in out["text"]
    page = out["pages"][0]
    assert page["orientation"] == 0
    assert abs(page["skew_deg"] + 1.69) < 0.3
    assert page["dpi"] == 200
    assert all(len(line["box"]) == 4 and 0 <= line["confidence"] <= 1 for line in page["lines"])


def test_an_engine_can_be_forced_by_the_environment(algorithm: Callable[..., Any], documents: Path) -> None:
    out = algorithm("doc-ocr", JANGADA_OCR_ENGINE="rapidocr").run({}, page=documents / "02_recibo.jpg")["output"]
    assert out["engine"] == "rapidocr"


def test_input_schema_refuses_what_it_does_not_know(algorithm: Callable[..., Any], documents: Path) -> None:
    running = algorithm("doc-metadata")
    assert running.ready["input_schema"]["additionalProperties"] is False
    for wrong in (
        {"colour": True},
        {"dpi": 5},
        {"max_pages": 0},
        {"pages": [0]},
        {"submission": {"who": "x"}},
        {"lang": ["deu"]},
    ):
        assert running.run(wrong, page=documents / "02_recibo.jpg")["error"]["code"] == "schema", wrong

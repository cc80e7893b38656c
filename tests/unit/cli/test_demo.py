"""The demo's story, with the platform behind `requests`' seam and nothing really started."""

import pytest
from click.testing import CliRunner

from jangada.cli import demo as demo_module
from jangada.cli.demo import demo, find_documents
from jangada.client import Client
from tests.unit.client.fake_platform import FILE_ID, Answer, FakePlatform, client_of, job, problem

OUTPUT = {
    "metadata": {
        "titulo": {"value": "RECIBO Nº 7", "source": "inferred", "confidence": 0.93},
        "tipo_documental": {"value": "recibo", "source": "inferred", "confidence": 0.99},
        "assunto": {"value": ["aluguel", "loja"], "source": "inferred", "confidence": 0.7},
        "data_producao": {"value": {"time": "2020-05-01", "place": None}, "source": "inferred", "confidence": 0.5},
        "hash": {"value": {"algorithm": "sha256", "value": "ab" * 32}, "source": "system", "confidence": 1.0},
        "classe": {"value": None, "source": "submitted", "confidence": 0.0},
    },
    "fields": {"cpf": [{"value": "111.444.777-35"}], "amounts": [{"value": "10.00", "currency": "BRL"}], "dates": []},
    "compliance": {"dpi_ok": True, "colour_ok": None, "format_ok": False, "excluded_kind": None, "missing": ["classe"]},
    "needs_review": True,
    "review_reasons": ["assunto_unsure"],
}
SUCCEEDED = job("succeeded", output=OUTPUT, metrics={"queue_s": 0.02, "run_s": 1.5})
FAILED = job("failed", error={"code": "invalid_input", "message": "not an image"})
KNOWN = Answer(200, {"name": "doc-metadata", "version": "1.0.0"})


@pytest.fixture
def story(monkeypatch, tmp_path):
    """``story(answers, *arguments)`` → (result, the jangada commands that were run)."""
    page = tmp_path / "recibo.png"
    page.write_bytes(b"pixels")
    commands = []

    def go(*answers, running=False, code=0, arguments=()):
        platform = FakePlatform(*answers)
        monkeypatch.setattr(Client, "from_env", lambda **_: client_of(platform, retries=0)[0])
        monkeypatch.setattr(demo_module, "_answers", lambda: running)
        monkeypatch.setattr(
            demo_module, "_jangada", lambda *words, environ: (commands.append((words, environ)), code)[1]
        )
        return CliRunner().invoke(demo, [str(page), *arguments]), commands

    return go


def read(final):
    return [KNOWN, Answer(201, {"id": FILE_ID, "size_bytes": 6}), Answer(202, final)]


def test_it_starts_the_platform_shows_the_metadata_and_stops(story):
    result, commands = story(*read(SUCCEEDED))
    assert result.exit_code == 0, result.output
    assert [words[0] for words, _ in commands] == ["up", "down"]
    for text in ("RECIBO Nº 7", "aluguel; loja", "2020-05-01", "sha256:abab", "CPF 111.444.777-35", "BRL 10.00"):
        assert text in result.stdout
    assert "1 of 1 documents succeeded" in result.stdout


def test_a_document_that_failed_is_exit_code_1_and_the_platform_is_stopped(story):
    result, commands = story(*read(FAILED))
    assert result.exit_code == 1
    assert "not an image" in result.stdout
    assert commands[-1][0] == ("down",)


def test_a_platform_that_ran_before_is_used_and_left_running(story):
    result, commands = story(*read(SUCCEEDED), running=True)
    assert result.exit_code == 0
    assert commands == []


def test_keep_leaves_it_running_and_says_how_to_go_on(story):
    result, commands = story(*read(SUCCEEDED), arguments=["--keep"])
    assert [words[0] for words, _ in commands] == ["up"]
    assert "jangada down" in result.stderr


def test_only_a_platform_that_stays_takes_the_usual_port(story, monkeypatch):
    monkeypatch.delenv("JANGADA_PORT", raising=False)
    _, commands = story(*read(SUCCEEDED))
    assert commands[0][1]["JANGADA_PORT"] == "0"


def test_an_error_on_the_way_stops_the_platform_too(story):
    result, commands = story(KNOWN, problem(401, "invalid_token"))
    assert result.exit_code == 1
    assert "invalid_token" in result.stderr
    assert commands[-1][0] == ("down",)


def test_a_platform_that_does_not_start_is_told_in_one_line(story):
    result, _ = story(code=2)
    assert result.exit_code == 1
    assert "did not start" in result.stderr


def test_folders_are_searched_and_other_files_left_out(tmp_path):
    for name in ("b.PDF", "a.jpg", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_documents([tmp_path])] == ["a.jpg", "b.PDF"]


def test_the_pages_of_the_repository_are_the_default():
    assert len(find_documents([])) == 8


def test_an_executor_that_tries_in_vain_is_not_waited_for(story, monkeypatch, tmp_path):
    monkeypatch.setenv("JANGADA_HOME", str(tmp_path))
    log = tmp_path / "logs" / "executor-doc-metadata.log"
    log.parent.mkdir()
    log.write_text('{"level": "error", "reason": "from the time before"}\n' * 9)
    line = '{"level": "error", "event": "child.setup_failed", "reason": "No module named documents"}\n'
    monkeypatch.setattr(
        demo_module, "start_unless_running", lambda **_: log.write_text(log.read_text() + "not JSON\n" + line * 5) < 0
    )
    result, _ = story(problem(404, "unknown_algorithm"))
    assert result.exit_code == 1
    assert "No module named documents" in result.stderr
    assert "time before" not in result.stderr

"""The client commands against a platform behind `requests`' seam: what they print where, and how they end."""

import json

import click
import pytest
import requests
from click.testing import CliRunner

from jangada.cli.jobs import commands
from jangada.client import Client
from tests.unit.client.fake_platform import FILE_ID, JOB_ID, Answer, FakePlatform, client_of, event_stream, job, problem

FILE = {"title": "File", "oneOf": [{"type": "object"}], "x-jangada-file": True}
ALGORITHM = {
    "name": "doc-ocr",
    "version": "1.0.0",
    "description": "Text of a page",
    "input_schema": {"type": "object", "properties": {"page": FILE}, "required": ["page"]},
    "output_schema": {"type": "object"},
}
UPLOADED = {"id": FILE_ID, "size_bytes": 6}
ENDED = job("succeeded", output={"text": "olá"})


@pytest.fixture
def run(monkeypatch):
    """``run(answers, *arguments)`` → (result, platform)."""
    group = click.Group("jangada", commands={command.name: command for command in commands})

    def go(answers, *arguments, stdin=None):
        platform = FakePlatform(*answers)
        monkeypatch.setattr(Client, "from_env", lambda: client_of(platform, retries=0)[0])
        return CliRunner().invoke(group, list(arguments), input=stdin), platform

    return go


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.png"
    path.write_bytes(b"pixels")
    return str(path)


def test_submit_uploads_the_page_waits_and_prints_the_output_alone(run, page):
    answers = [
        Answer(200, ALGORITHM),
        Answer(201, UPLOADED),
        Answer(202, job()),
        event_stream((1, "job.succeeded", {})),
        Answer(200, ENDED),
    ]
    result, platform = run(answers, "submit", "doc-ocr", page)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"text": "olá"}
    assert "succeeded" in result.stderr
    assert platform.json_body(2)["input"] == {"page": {"file": FILE_ID}}


def test_submit_json_prints_one_line_for_each_job_and_nothing_else(run, page):
    submitted = [Answer(201, UPLOADED), Answer(202, ENDED)]
    result, _ = run([Answer(200, ALGORITHM), *submitted, *submitted], "submit", "doc-ocr", page, page, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["output"] for line in lines] == [{"text": "olá"}] * 2
    assert result.stderr == ""


def test_submit_without_waiting_prints_the_id(run):
    result, _ = run([Answer(202, job())], "submit", "doc-ocr", "--input", "{}", "--no-wait")
    assert (result.exit_code, result.stdout) == (0, JOB_ID + "\n")


def test_a_job_that_failed_is_exit_code_1_with_its_reason(run):
    failed = job("failed", error={"code": "invalid_input", "message": "not an image"})
    result, _ = run([Answer(202, failed)], "submit", "doc-ocr", "--input", "{}")
    assert result.exit_code == 1
    assert "not an image [invalid_input]" in result.stderr
    assert result.stdout == ""


def test_a_refusal_is_exit_code_1_and_points_at_the_field(run):
    errors = [{"pointer": "/input/page", "detail": "is required"}]
    result, _ = run([problem(422, "invalid_input", errors=errors)], "submit", "doc-ocr", "--input", "{}")
    assert result.exit_code == 1
    assert "/input/page is required" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_platform_that_does_not_answer_is_one_clear_line(run):
    result, _ = run([requests.exceptions.ConnectionError("refused")], "whoami")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: cannot reach http://platform.test")
    assert len(result.stderr.splitlines()) == 1


def test_waiting_ends_at_its_timeout_and_says_how_to_go_on(run):
    platform_answers = [Answer(202, job()), Answer(200, {}), *[Answer(200, job("running")) for _ in range(9)]]
    result, _ = run(platform_answers, "submit", "doc-ocr", "--input", "{}", "--timeout", "2")
    assert result.exit_code == 1
    assert f"jangada jobs cancel {JOB_ID}" in result.stderr


def test_ctrl_c_leaves_the_job_and_says_how_to_end_it(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("jangada.cli.submit.follow", interrupted)
    result, _ = run([Answer(202, job())], "submit", "doc-ocr", "--input", "{}")
    assert result.exit_code == 130
    assert f"jangada jobs cancel {JOB_ID}" in result.stderr


def test_no_platform_at_all_is_a_matter_of_configuration(run, monkeypatch, tmp_path):
    group = click.Group("jangada", commands={command.name: command for command in commands})
    for name in ("JANGADA_URL", "JANGADA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JANGADA_HOME", str(tmp_path))
    result = CliRunner().invoke(group, ["whoami"])
    assert result.exit_code == 2
    assert "jangada up" in result.stderr


def test_input_comes_from_standard_input_and_params_go_into_it(run):
    result, platform = run(
        [Answer(202, ENDED)],
        "submit",
        "doc-ocr",
        "--input",
        "-",
        "-p",
        "dpi=300",
        "-p",
        "options.lang=por",
        stdin='{"page": 1}',
    )
    assert result.exit_code == 0
    assert platform.json_body()["input"] == {"page": 1, "dpi": 300, "options": {"lang": "por"}}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--input", "{"],
        ["--input", "@/nowhere.json"],
        ["--param", "novalue"],
        ["--input", "[]", "--param", "a.b=1"],
        ["--timeout", "0"],
        ["nowhere.png"],
    ],
)
def test_wrong_usage_is_exit_code_2_before_anything_is_sent(run, arguments):
    result, platform = run([], "submit", "doc-ocr", *arguments)
    assert result.exit_code == 2
    assert platform.requests == []


def test_files_for_an_algorithm_that_takes_none_are_refused(run, page):
    algorithm = ALGORITHM | {"input_schema": {"type": "object", "properties": {"text": {"type": "string"}}}}
    result, _ = run([Answer(200, algorithm)], "submit", "doc-ocr", page)
    assert result.exit_code == 2
    assert "takes no files" in result.stderr


def test_an_algorithm_that_takes_a_list_gets_all_files_in_one_job(run, page):
    algorithm = ALGORITHM | {"input_schema": {"properties": {"pages": {"type": "array", "items": FILE}}}}
    answers = [Answer(200, algorithm), Answer(201, UPLOADED), Answer(201, UPLOADED), Answer(202, ENDED)]
    result, platform = run(answers, "submit", "doc-ocr", page, page)
    assert result.exit_code == 0
    assert platform.json_body()["input"] == {"pages": [{"file": FILE_ID}, {"file": FILE_ID}]}


def test_jobs_list_shows_a_table_or_lines_of_json(run):
    page = {"data": [ENDED, job("failed")], "has_more": False, "next_cursor": None}
    result, _ = run([Answer(200, page)], "jobs", "list")
    assert [word in result.stdout for word in (JOB_ID, "succeeded", "failed")] == [True] * 3
    result, _ = run([Answer(200, page)], "jobs", "list", "--json")
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == ["succeeded", "failed"]


def test_jobs_get_prints_the_output_on_standard_output(run):
    result, _ = run([Answer(200, ENDED)], "jobs", "get", JOB_ID)
    assert json.loads(result.stdout) == {"text": "olá"}


def test_jobs_cancel_tells_what_became_of_it(run):
    result, _ = run([Answer(202, job("running")), Answer(200, ENDED)], "jobs", "cancel", JOB_ID, JOB_ID)
    assert "is being canceled" in result.stderr
    assert "is succeeded" in result.stderr


def test_jobs_logs_prints_the_lines(run):
    lines = {"data": [{"number": 1, "stream": "stdout", "text": "[page] 1"}], "has_more": False}
    result, _ = run([Answer(200, lines)], "jobs", "logs", JOB_ID)
    assert result.stdout == "[page] 1\n"


def test_jobs_watch_json_prints_each_event(run):
    answers = [event_stream((1, "job.running", {}), (2, "job.failed", {})), Answer(200, job("failed"))]
    result, _ = run(answers, "jobs", "watch", JOB_ID, "--json")
    assert result.exit_code == 1
    assert [json.loads(line)["type"] for line in result.stdout.splitlines()] == ["job.running", "job.failed"]


def test_algorithms_lists_and_shows(run):
    page = {"data": [ALGORITHM], "has_more": False}
    result, _ = run([Answer(200, page)], "algorithms")
    assert "Text of a page" in result.stdout
    result, _ = run([Answer(200, ALGORITHM)], "algorithms", "doc-ocr")
    assert json.loads(result.stdout)["input_schema"] == ALGORITHM["input_schema"]


def test_a_download_takes_no_folder_from_the_name_that_somebody_chose(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    known = UPLOADED | {"filename": "../../etc/passwd"}
    result, _ = run([Answer(200, known), Answer(200, known), Answer(200, b"pixels")], "files", "download", FILE_ID)
    assert result.exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["passwd"]


def test_every_command_explains_itself(run):
    for command in commands:
        children = command.commands.values() if isinstance(command, click.Group) else [command]
        for child in children:
            assert child.help, child.name
            assert all(option.help for option in child.params if isinstance(option, click.Option)), (
                f"{child.name}: an option without help"
            )

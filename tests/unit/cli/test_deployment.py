"""`jangada deployment` and `jangada usage` against a platform behind `requests`' seam."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from jangada.cli import deployment, deployment_usage
from jangada.client import Client
from tests.unit.client.fake_platform import Answer, FakePlatform, client_of, problem
from tests.unit.client.test_deployments import BODY

LINE = {
    "day": "2026-01-02",
    "tenant": "acme",
    "deployment": "acme-ocr",
    "gpu_type": None,
    "attempts": 3,
    "run_s": 4.0,
    "cpu_s": 3.0,
    "gpu_s": 0.0,
    "idle_s": 10.0,
    "idle_gpu_s": 0.0,
    "cost": 6.5,
}


@pytest.fixture
def run(monkeypatch):
    """``run(answers, *arguments)`` → (result, platform)."""
    group = click.Group("jangada", commands={"deployment": deployment.deployment, "usage": deployment_usage.usage})

    def go(answers, *arguments, **options):
        platform = FakePlatform(*answers)
        monkeypatch.setattr(Client, "from_env", lambda: client_of(platform, retries=0)[0])
        return CliRunner().invoke(group, list(arguments), **options), platform

    return go


def test_the_list_has_a_line_for_each(run):
    result, _ = run([Answer(200, {"data": [BODY], "has_more": False})], "deployment", "list")
    assert result.exit_code == 0, result.stderr
    _, line = result.stdout.splitlines()
    assert line.split()[:6] == ["acme-ocr", "doc-ocr", "1.0.0", "acme", "waiting", "0/2"]
    assert "12.5 s" in line


def test_show_says_why_it_is_not_there(run):
    result, _ = run([Answer(200, BODY)], "deployment", "show", "acme-ocr")
    assert "0 ready and 1 starting of 2 wanted (backlog); 0 jobs run, 7 wait, 12.5 s of work" in " ".join(
        result.stdout.split()
    )
    assert "no node offers gpu ≥ 24 GiB" in result.stdout
    assert "version 0.9.0 (jangada deployment rollback acme-ocr)" in result.stdout


def test_json_is_what_the_platform_said(run):
    result, _ = run([Answer(200, BODY)], "deployment", "show", "acme-ocr", "--json")
    assert json.loads(result.stdout) == BODY
    assert result.stderr == ""


def test_apply_makes_and_changes_all_that_a_file_describes(run, tmp_path):
    file = tmp_path / "wishes.yml"
    file.write_text("name: acme-ocr\nalgorithm: doc-ocr\n---\nname: acme-ocr\nscaling: {max: 9}\n")
    answers = [problem(404, "not_found"), Answer(201, BODY), Answer(200, BODY), Answer(200, BODY)]
    result, platform = run(answers, "deployment", "apply", str(file))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == ["acme-ocr created", "acme-ocr changed"]
    assert "no node offers gpu ≥ 24 GiB" in result.stderr
    assert platform.json_body() == {"scaling": {"max": 9}}


def test_apply_reads_standard_input(run):
    answers = [problem(404, "not_found"), Answer(201, BODY)]
    result, _ = run(answers, "deployment", "apply", "-", input="{name: acme-ocr, algorithm: doc-ocr}")
    assert result.stdout == "acme-ocr created\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [("[1, 2]", "expected keys and values with a name"), ("", "describes no deployment"), ("{a: [", "not YAML")],
)
def test_a_file_that_cannot_be_used_is_wrong_usage(run, tmp_path, text, said):
    file = tmp_path / "wishes.yml"
    file.write_text(text)
    result, platform = run([], "deployment", "apply", str(file))
    assert result.exit_code == 2
    assert said in result.stderr
    assert platform.requests == []


def test_a_file_that_is_not_there_is_wrong_usage(run):
    result, _ = run([], "deployment", "apply", "nowhere.yml")
    assert result.exit_code == 2
    assert "nowhere.yml" in result.stderr


def test_rollback_and_delete_say_what_became_of_it(run):
    result, _ = run([Answer(200, BODY)], "deployment", "rollback", "acme-ocr")
    assert result.stdout == "acme-ocr runs version 1.0.0\n"
    result, _ = run([Answer(204, b"")], "deployment", "delete", "acme-ocr")
    assert result.stdout == "acme-ocr deleted\n"
    result, _ = run([problem(409, "conflict")], "deployment", "delete", "acme-ocr")
    assert result.exit_code == 1


def test_usage_is_a_table_with_a_total(run):
    result, platform = run(
        [Answer(200, {"data": [LINE, LINE]})], "usage", "--from", "2026-01-01", "--deployment", "acme-ocr"
    )
    assert platform.requests[0].path_url == "/v1/usage?from=2026-01-01&deployment=acme-ocr"
    heading, first, _, total = result.stdout.splitlines()
    assert heading.split()[-1] == "cost"
    assert first.split()[-1] == "6.50"
    assert total.split() == ["6", "6.00", "20.00", "13.00"]
    assert "gpu" not in heading
    result, _ = run([Answer(200, {"data": [LINE, LINE | {"gpu_type": "A100", "gpu_s": 2.5}]})], "usage")
    assert "A100" in result.stdout
    assert result.stdout.splitlines()[-1].split() == ["6", "6.00", "20.00", "2.50", "0.00", "13.00"]


def test_usage_as_csv_and_json(run):
    result, _ = run([Answer(200, {"data": [LINE]})], "usage", "--csv")
    assert result.stdout.splitlines()[0].startswith("day,tenant,deployment")
    result, _ = run([Answer(200, {"data": [LINE]})], "usage", "--json")
    assert json.loads(result.stdout) == LINE
    result, _ = run([], "usage", "--csv", "--json")
    assert result.exit_code == 2
    result, _ = run([], "usage", "--from", "yesterday")
    assert result.exit_code == 2
    assert "expected a day such as 2026-01-31" in result.stderr

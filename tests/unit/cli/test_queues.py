"""`jangada queue` against a platform behind `requests`' seam, and what its pictures say."""

import io
import json

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from jangada.cli import queues
from jangada.cli.queue_view import History, bar, detail, overview, trend_text
from jangada.client import Client, Queue
from tests.unit.client.fake_platform import Answer, FakePlatform, client_of, problem
from tests.unit.client.test_queues import BODY

IDLE = BODY | {"name": "text-embed", "draining": False, "jobs": 0, "dead": 0, "rate_limit": None}
PAGE = {"data": [BODY, IDLE], "has_more": False, "next_cursor": None}


@pytest.fixture
def run(monkeypatch):
    """``run(answers, *arguments)`` → (result, platform)."""
    group = click.Group("jangada", commands={"queue": queues.queue})

    def go(answers, *arguments):
        platform = FakePlatform(*answers)
        monkeypatch.setattr(Client, "from_env", lambda: client_of(platform, retries=0)[0])
        return CliRunner().invoke(group, ["queue", *arguments]), platform

    return go


def printed(renderable, width=140):
    console = Console(width=width, file=io.StringIO())
    console.print(renderable)
    return console.file.getvalue()


def test_stats_shows_each_queue_on_a_line(run):
    result, _ = run([Answer(200, PAGE)], "stats")
    assert result.exit_code == 0, result.stderr
    heading, first, second = result.stdout.splitlines()
    assert "oldest" in heading
    assert first.startswith("doc-ocr draining")
    assert "8.50 s" in first
    assert second.startswith("text-embed")


def test_stats_of_one_queue_shows_all_there_is(run):
    result, platform = run([Answer(200, BODY)], "stats", "doc-ocr")
    assert platform.requests[0].path_url == "/v1/queues/doc-ocr"
    for text in ("high", "delayed", "running", "15 unfinished, 700 B", "at most 5 jobs/s", "acme 15"):
        assert text in result.stdout


def test_stats_json_is_one_line_for_each_queue_and_nothing_else(run):
    result, _ = run([Answer(200, PAGE)], "stats", "--json")
    assert [json.loads(line)["name"] for line in result.stdout.splitlines()] == ["doc-ocr", "text-embed"]
    assert result.stderr == ""


def test_without_queues_it_says_where_they_come_from(run):
    result, _ = run([Answer(200, {"data": [], "has_more": False})], "stats")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no queue yet" in result.stderr


def test_watch_looks_again_and_again_and_outlives_a_platform_that_is_away(run, monkeypatch):
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(queues.time, "sleep", sleep)
    away = problem(503, "store_unavailable", detail="Redis is away")
    result, _ = run([Answer(200, PAGE), away, Answer(200, PAGE)], "stats", "--watch", "--interval", "0.5")
    assert result.exit_code == 0
    assert slept == [0.5] * 3
    first, second, third = result.stdout.split("queue  ")[1:]
    assert ("Redis is away" in first, "Redis is away" in second, "Redis is away" in third) == (False, True, False)


def test_a_queue_that_there_is_not_is_one_line_and_exit_code_1(run):
    result, _ = run([problem(404, "not_found", detail="there is no queue nope")], "stats", "nope")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: there is no queue nope")


@pytest.mark.parametrize(
    "arguments",
    [
        ("stats", "--interval", "0"),
        ("peek",),
        ("pause",),
        ("limit", "q", "fast"),
        ("limit", "q", "0"),
        ("limit", "q", "nan"),
        ("requeue", "q"),
        ("requeue", "q", "--all", "--tenant", "acme"),
        ("requeue", "q", "job_1", "--all"),
        ("requeue", "q", "--older-than", "-1"),
        ("unknown",),
    ],
)
def test_wrong_usage_is_exit_code_2_and_asks_the_platform_nothing(run, arguments):
    result, platform = run([], *arguments)
    assert (result.exit_code, platform.requests) == (2, [])


def test_peek_lists_the_next_jobs(run):
    job = {"id": "job_1", "tenant": "acme", "priority": "high", "age_s": 12.0, "attempts": 1}
    result, _ = run([Answer(200, {"data": [job]})], "peek", "doc-ocr", "--limit", "3")
    assert result.stdout.splitlines()[1].split() == ["job_1", "high", "12.0", "s", "1", "acme"]


def test_peek_dead_lists_dead_letters_with_their_reason(run):
    letter = {"id": "job_1", "tenant": "acme", "attempts": 3, "died_at": "2026-11-21T10:00:00Z"}
    letter["error"] = {"code": "oom", "message": "used [all] of it"}
    result, platform = run([Answer(200, {"data": [letter]})], "peek", "doc-ocr", "--dead")
    assert platform.requests[0].path_url.startswith("/v1/queues/doc-ocr/dead")
    assert "used [all] of it [oom]" in result.stdout


def test_an_empty_peek_says_so(run):
    result, _ = run([Answer(200, {"data": []})], "peek", "doc-ocr")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "nothing waits in doc-ocr\n")


@pytest.mark.parametrize("verb", ["pause", "resume", "drain"])
def test_the_switches_take_several_queues(run, verb):
    result, platform = run([Answer(200, BODY), Answer(200, IDLE)], verb, "doc-ocr", "text-embed")
    assert result.exit_code == 0
    assert [request.path_url for request in platform.requests] == [
        f"/v1/queues/doc-ocr/{verb}",
        f"/v1/queues/text-embed/{verb}",
    ]
    assert "doc-ocr is draining, at most 5 jobs/s: 15 unfinished jobs" in result.stderr


def test_drain_waits_until_nothing_is_left(run, monkeypatch):
    monkeypatch.setattr(queues.time, "sleep", lambda _seconds: None)
    left = [Answer(200, BODY | {"jobs": jobs}) for jobs in (3, 1, 0)]
    result, platform = run([Answer(200, BODY), *left], "drain", "doc-ocr", "--wait")
    assert (result.exit_code, len(platform.requests)) == (0, 4)
    assert result.stderr.splitlines()[-1] == "empty: doc-ocr"


@pytest.mark.parametrize(("said", "body"), [("2.5", {"per_s": 2.5}), ("off", {"per_s": None})])
def test_limit_sets_and_ends_a_rate(run, said, body):
    result, platform = run([Answer(200, BODY)], "limit", "doc-ocr", said)
    assert result.exit_code == 0
    assert platform.json_body() == body


def test_requeue_prints_old_and_new_ids(run):
    answer = {"data": [{"id": "job_1", "new_job": "job_2", "error": None}], "has_more": False}
    result, platform = run([Answer(200, answer)], "requeue", "q", "--error-code", "oom", "--older-than", "60")
    assert (result.exit_code, result.stdout) == (0, "job_1 job_2\n")
    assert platform.json_body() == {"error_code": "oom", "older_than_s": 60.0}
    assert result.stderr.splitlines()[-1] == "1 requeued"


def test_requeue_names_what_was_refused_and_what_was_no_dead_letter(run):
    answer = {"data": [{"id": "job_1", "new_job": None, "error": "the queue is full"}], "has_more": False}
    result, _ = run([Answer(200, answer)], "requeue", "q", "job_1", "job_9")
    assert result.exit_code == 1
    assert "job_1 stays: the queue is full" in result.stderr
    assert "job_9 is no dead letter of q" in result.stderr


def test_a_bar_is_as_long_as_its_share_and_never_nothing():
    assert bar(10, 10, 8) == "█" * 8
    assert bar(5, 10, 8) == "█" * 4
    assert bar(1, 1_000_000, 8) == "▏"
    assert bar(0, 10, 8) == ""


def test_a_history_says_where_the_queue_is_going():
    history = History()
    assert history.trend_per_s is None
    for at, jobs in enumerate([100, 90, 80]):
        history.add(float(at), jobs)
    assert history.trend_per_s == -10.0
    assert trend_text(history.trend_per_s) == "[green]▼ 10/s[/]"
    assert history.line() == "██▇"
    assert "empty in 1.50 s" in printed(detail(Queue.from_json(BODY), history, Console(width=100)))


def test_a_trend_looks_at_the_last_seconds_only():
    history = History()
    for at, jobs in [(0, 1000), (100, 50), (105, 50)]:
        history.add(float(at), jobs)
    assert trend_text(history.trend_per_s) == "[dim]steady[/]"


@pytest.mark.parametrize("width", range(60, 161, 4))
def test_a_narrow_terminal_loses_the_bar_and_no_number(width):
    held = BODY | {"name": "image-prepare", "oldest_s": 93.2, "ready": {"high": 111, "normal": 22222, "low": 333}}
    histories = {"image-prepare": History()}
    for at, jobs in enumerate([500, 480]):
        histories["image-prepare"].add(float(at), jobs)
    text = printed(overview([Queue.from_json(held)], histories, Console(width=width)), width)
    assert ("█" in text) == (width >= 92)
    if width >= 84:
        for word in ("high", "running", "oldest", "111", "22222", "333", "93.2 s", "▼ 20/s", "draining"):
            assert word in text

"""The documents promise nothing that is not there: links, files, commands, targets, settings."""

import re
from pathlib import Path

import click
import pytest

from jangada.cli.main import jangada
from jangada.settings import _VARIABLES

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
OWN_PATH = re.compile(
    r"`((?:jangada|functions|executors|tests|docs|template|scripts|requirements|benchmarks|\.ci)/[^`\s*{}<>$…]*)`"
)
CODE = re.compile(r"```(?:sh)?\n(.*?)```|`([^`\n]+)`", re.DOTALL)
SETTING = re.compile(r"JANGADA_[A-Z_]+[A-Z]")
EXAMPLE_PATHS = {"executors/word-count/"}


def code_of(text):
    return "\n".join(fenced or inline for fenced, inline in CODE.findall(text))


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    local = [target for target in LINK.findall(text) if not target.startswith(("http://", "https://", "#"))]
    missing = [target for target in local if not (document.parent / target.partition("#")[0]).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_files_that_are_named_exist(document):
    named = set(OWN_PATH.findall(document.read_text(encoding="utf-8"))) - EXAMPLE_PATHS
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_make_targets_that_are_named_exist(document):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {name for line in re.findall(r"^([a-z][a-z -]*):(?!=)", makefile, re.MULTILINE) for name in line.split()}
    named = re.findall(r"(?:^|[;&|] )make ([a-z-]+)", code_of(document.read_text(encoding="utf-8")), re.MULTILINE)
    assert [name for name in named if name not in targets] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_commands_that_are_named_exist_with_their_options(document):
    lines = re.findall(r"(?:^|[|&] )jangada ([^|#\n]+)", code_of(document.read_text(encoding="utf-8")), re.MULTILINE)
    assert [line for line in lines if (problem := wrong_with(line.split()))] == [], problem


def wrong_with(words):
    command, context = jangada, click.Context(jangada)
    while isinstance(command, click.Group):
        name = words.pop(0) if words else ""
        found = command.get_command(context, name)
        if found is None:
            return f"no command {name}"
        command = found
    options = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    unknown = [
        word for word in words if word.startswith("-") and word.partition("=")[0] not in options | {"-", "--help"}
    ]
    return f"{command.name} has no {unknown}" if unknown else ""


def test_every_setting_is_described_with_its_default():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = {
        row[0].strip("` "): row
        for row in (line.strip("| ").split(" | ") for line in text.splitlines() if " | " in line)
    }
    for name, variable in _VARIABLES.items():
        assert name in rows, name
        _, expected, default, about = rows[name]
        assert (expected, about.strip()) == (variable.expected, variable.about), name
        assert default.strip("`") == shown(variable.default), name


def shown(default):
    if default in (None, ()):
        return "none"
    return str(default).lower() if isinstance(default, bool) else str(default)


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_settings_that_are_named_exist(document):
    named = set(SETTING.findall(document.read_text(encoding="utf-8")))
    assert named <= set(_VARIABLES)


def test_both_readmes_show_the_same_code():
    readmes = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.pt-BR.md")]
    blocks = [[re.sub(r"\s*#.*", "", block) for block in re.findall(r"```.*?```", text, re.DOTALL)] for text in readmes]
    assert blocks[0] == blocks[1]


def test_every_decision_is_in_the_list():
    folder = ROOT / "docs" / "decisions"
    listed = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert {path.name for path in folder.glob("[0-9]*.md")} <= listed

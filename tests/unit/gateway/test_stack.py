"""`stack.yml`: read as faas-cli reads it, and a mistake is told with its line."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from jangada.errors import ConfigurationError
from jangada.gateway.stack import load_stack

ROOT = Path(__file__).resolve().parents[3]

GOOD = """\
version: 1.0
provider: {name: openfaas, gateway: "${OPENFAAS_URL:-http://127.0.0.1:8080}"}
functions:
  router:
    lang: python3-jangada
    handler: ./functions/router
    image: ${PREFIX:-ghcr.io/jangada}/jangada-router:${TAG:-0.1.0}
    annotations: {jangada.io/routes: "jobs, openapi.json,/problems"}
    environment: {MODE: "fast"}
    secrets: [one, two]
    limits: {memory: 128Mi}
    skip_build: true
"""


def load(folder: Path, text: str, **environ: str):
    path = folder / "stack.yml"
    path.write_text(textwrap.dedent(text))
    return load_stack(path, environ)


def test_a_stack_is_read_with_its_routes_and_defaults(tmp_path):
    function = load(tmp_path, GOOD).functions["router"]
    assert function.image == "ghcr.io/jangada/jangada-router:0.1.0"
    assert function.routes == ("/v1/jobs", "/v1/openapi.json", "/problems")
    assert function.namespace == "openfaas-fn"
    assert (dict(function.environment), function.secrets) == ({"MODE": "fast"}, ("one", "two"))


def test_variables_come_from_the_environment(tmp_path):
    function = load(tmp_path, GOOD, PREFIX="registry.example/x", TAG="2.0.0").functions["router"]
    assert function.image == "registry.example/x/jangada-router:2.0.0"


@pytest.mark.parametrize(
    ("written", "read"),
    [("${V}", ""), ("${V:-d}", "d"), ("${V:=d}", "d"), ("${V=d}", "d"), ("${V:+d}", "d"), ("${V:?d}", "d"),
     ("$${V}", "${V}"), ("$V", "$V"), ("$1", "$1"), ("a$$b", "a$b")],
)  # fmt: skip
def test_substitution_is_that_of_faas_cli(tmp_path, written, read):
    text = GOOD.replace('"fast"', f'"{written}"')
    assert load(tmp_path, text).functions["router"].environment["MODE"] == read


@pytest.mark.parametrize(
    ("good", "bad", "line", "said"),
    [
        ("version: 1.0", "version: 2.0", 1, "version must be 1.0"),
        ("name: openfaas", "name: other", 2, "name must be openfaas"),
        ("    lang: python3-jangada\n", "", 5, "lacks lang"),
        ("skip_build: true", "skip_bild: true", 12, "unknown key skip_bild"),
        ('MODE: "fast"', "MODE: true", 9, "environment.MODE must be a text in quotes"),
        ('MODE: "fast"', "MODE: 1", 9, "environment.MODE must be a text in quotes"),
        ("[one, two]", "one", 10, "secrets must be a list"),
        ("  router:\n", "  Router_1:\n", 5, "'Router_1'"),
        ("jobs, openapi.json", "jobs/x", 8, "jobs/x"),
        ("skip_build: true", "lang: again", 12, "lang appears twice"),
        ("${TAG:-0.1.0}", "${TAG", 7, "substitution"),
        ("functions:", "functions: [", 5, "not YAML"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_what_was_expected(tmp_path, good, bad, line, said):
    assert good in GOOD
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path, GOOD.replace(good, bad))
    assert said in str(error.value)
    assert f"stack.yml:{line}:" in str(error.value)


def test_two_functions_cannot_claim_one_path(tmp_path):
    second = "  other: {lang: a, handler: b, image: c, annotations: {jangada.io/routes: jobs}}\n"
    with pytest.raises(ConfigurationError, match="router and other both claim /v1/jobs"):
        load(tmp_path, GOOD + second)


def test_an_environment_file_lies_under_the_environment(tmp_path):
    (tmp_path / "more.yml").write_text('environment: {MODE: "slow", OTHER: "1"}\n')
    function = load(tmp_path, GOOD + "    environment_file: [more.yml]\n").functions["router"]
    assert dict(function.environment) == {"MODE": "fast", "OTHER": "1"}


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nowhere\.yml"):
        load_stack(tmp_path / "nowhere.yml", {})


def test_our_own_stack_is_good_and_every_folder_and_template_is_there():
    stack = load_stack(ROOT / "stack.yml", {})
    assert {"auth", "router", "deployments", "files"} <= set(stack.functions)
    for function in stack.functions.values():
        assert (ROOT / function.handler / "handler.py").is_file()
        assert (ROOT / "template" / function.lang / "index.py").is_file()
        assert function.routes

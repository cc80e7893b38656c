"""`jangada function login | deploy | list | describe | secret | remove` on a real gateway: one story, in order."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.integration.delivery.site import PASSWORD, Site, made_site

pytestmark = pytest.mark.timeout(900)
HANDLER = """
import os

if os.environ["GREETING"] == "broken":
    raise SystemExit("this one does not start")


def handle(event, context):
    return os.environ["GREETING"]
"""
STACK = """version: 1.0
provider: {{name: openfaas}}
functions:
  hello:
    lang: python3-jangada
    handler: ./hello
    image: docker.io/acme/hello:1.0.0
    environment: {{GREETING: "{greeting}"}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory, redis_url, mongo_url):
    with made_site(tmp_path_factory.mktemp("commands"), "jangada", HANDLER) as made:
        (made.folder / "stack.yaml").write_text(STACK.format(greeting="first"))
        made.start_gateway(
            {"JANGADA_REDIS_URL": redis_url, "JANGADA_MONGO_URL": mongo_url, "JANGADA_MONGO_DATABASE": made.name}
        )
        yield made


def run(site: Site, *arguments: str, text: str = "", expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "jangada.cli.main", "function", *arguments],
        cwd=site.folder,
        env=site.environ,
        input=text,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == expect, f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done


def test_login(site):
    assert "nobody is logged in" in run(site, "list", expect=2).stderr
    assert "does not know these credentials" in run(site, "login", text="wrong", expect=1).stderr
    assert "nobody is logged in" in run(site, "list", expect=2).stderr
    said = run(site, "login", text=f"{PASSWORD}\n")
    assert PASSWORD not in said.stdout + said.stderr
    assert json.loads(run(site, "list", "--json").stdout) == []


def test_deploy_waits_until_it_is_ready(site):
    said = run(site, "deploy", "--stack", "stack.yaml", "--tag", "1.2.0", "--annotation", "com.jangada.version=1.2.0")
    assert "hello: docker.io/acme/hello:1.2.0 deployed" in said.stderr
    assert "hello: ready" in said.stderr
    told = json.loads(run(site, "describe", "hello").stdout)
    assert told["image"] == "docker.io/acme/hello:1.2.0"
    assert told["availableReplicas"] == 1
    assert "1.2.0" in run(site, "list").stdout
    assert "updated" in run(site, "deploy", "--stack", "stack.yaml").stderr


def test_one_that_does_not_start_is_told_of(site):
    (site.folder / "broken.yml").write_text(STACK.format(greeting="broken"))
    said = run(site, "deploy", "--stack", "broken.yml", "--wait", "3", expect=1)
    assert "hello is not ready after 3 s" in said.stderr
    assert "exit code" in said.stderr


def test_secrets(site):
    assert "created" in run(site, "secret", "api-key", text="first").stderr
    assert "replaced" in run(site, "secret", "api-key", text="second").stderr
    assert "is not valid" in run(site, "secret", "API KEY", text="x", expect=1).stderr
    assert "no value" in run(site, "secret", "api-key", expect=2).stderr


def test_remove(site):
    run(site, "remove", "hello")
    assert "no function hello" in run(site, "describe", "hello", expect=1).stderr
    assert "status 404" in run(site, "remove", "hello", expect=1).stderr


def test_a_gateway_that_is_away(site):
    done = run(site, "list", "--gateway", "http://127.0.0.1:1", expect=2)
    assert "nobody is logged in" in done.stderr
    assert "no answer from" in run(site, "login", "--gateway", "http://127.0.0.1:1", text="x", expect=1).stderr

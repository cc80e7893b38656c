"""Deploying to a gateway: addresses, the login file that is faas-cli's, images and their tags, what counts as ready."""

from __future__ import annotations

import base64
import json
import stat

import click
import pytest
import yaml
from click.testing import CliRunner

from jangada.cli import deploying
from jangada.cli.deploying import with_tag
from jangada.cli.gateway_login import gateway_address, may_carry_password, save_credentials, saved_credentials
from jangada.cli.gateway_system import is_ready
from jangada.errors import ConfigurationError

STACK = """version: 1.0
provider: {name: openfaas}
functions:
  hello-world:
    lang: python3-jangada
    handler: ./hello
    image: ${IMAGE_PREFIX:-docker.io/acme}/hello:1.0.0
    annotations: {note: "a"}
    environment: {PRICE: "$$5 $1"}
  other:
    lang: python3-jangada
    handler: ./other
    image: other:1.0.0
"""


@pytest.fixture
def environ(tmp_path):
    return {"OPENFAAS_CONFIG": str(tmp_path / "config")}


@pytest.mark.parametrize(
    ("given", "environ", "found"),
    [
        (None, {}, "http://127.0.0.1:8080"),
        (None, {"OPENFAAS_URL": "https://faas.example.org/"}, "https://faas.example.org"),
        ("FAAS.Example.org:31112", {"OPENFAAS_URL": "https://x"}, "http://faas.example.org:31112"),
    ],
)
def test_the_address_is_that_of_faas_cli(given, environ, found):
    assert gateway_address(given, environ) == found


@pytest.mark.parametrize("given", ["ftp://x", "http://", "https:///path"])
def test_what_is_no_address_is_refused(given):
    with pytest.raises(ConfigurationError, match="expected https://HOST"):
        gateway_address(given, {})


def test_a_password_goes_over_tls_or_stays_here():
    assert may_carry_password("https://faas.example.org")
    assert may_carry_password("http://127.0.0.1:8080")
    assert may_carry_password("http://[::1]:8080")
    assert not may_carry_password("http://faas.example.org")
    assert not may_carry_password("http://127.0.0.1.example.org")


def test_a_login_is_kept_as_faas_cli_keeps_it(environ, tmp_path):
    path = tmp_path / "config" / "config.yml"
    path.parent.mkdir()
    other = {"gateway": "https://b", "auth": "oauth2", "token": "x", "options": [{"name": "a"}]}
    path.write_text(yaml.safe_dump({"auths": [other], "more": 1}))
    for password in ("first", "pass:word/ é"):
        assert save_credentials("https://a", ("admin", password), environ) == path
    assert saved_credentials("https://a", environ) == ("admin", "pass:word/ é")
    kept = yaml.safe_load(path.read_text())
    token = base64.b64encode("admin:pass:word/ é".encode()).decode()
    assert kept == {"auths": [other, {"gateway": "https://a", "auth": "basic", "token": token}], "more": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["config.yml"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nobody is logged in"),
        ("auths: []", "nobody is logged in"),
        ("auths: 1", "must be a list"),
        ("[1]", "expected what faas-cli writes"),
        ("auths: [{gateway: https://a, auth: basic, token: '!'}]", "cannot be read"),
        ("auths: [{gateway: https://a, auth: basic, token: YWRtaW4=}]", "cannot be read"),
        ("a: b: c", "cannot read"),
    ],
)
def test_a_login_file_that_is_of_no_use(environ, tmp_path, text, said):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yml").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        saved_credentials("https://a", environ)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ("hello", "hello:2"),
        ("hello:1", "hello:2"),
        ("127.0.0.1:5000/acme/hello", "127.0.0.1:5000/acme/hello:2"),
        ("127.0.0.1:5000/acme/hello:1@sha256:00", "127.0.0.1:5000/acme/hello:2"),
    ],
)
def test_a_tag_takes_the_place_of_tag_and_digest(image, found):
    assert with_tag(image, "2") == found


def test_ready_is_the_wanted_image_alone_and_answering():
    assert is_ready({"image": "a", "availableReplicas": 1, "annotations": {}}, "a")
    assert is_ready({"image": "a", "availableReplicas": 1, "annotations": None}, "a")
    assert not is_ready(None, "a")
    assert not is_ready({"image": "b", "availableReplicas": 1}, "a")
    assert not is_ready({"image": "a", "availableReplicas": 0}, "a")
    updating = {"status.jangada.io/updating": "1 replicas of an earlier deployment"}
    assert not is_ready({"image": "a", "availableReplicas": 1, "annotations": updating}, "a")


@pytest.fixture
def run(tmp_path, monkeypatch, environ):
    """`deploy` of a folder with STACK."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stack.yml").write_text(STACK)
    for name in ("OPENFAAS_URL", "IMAGE_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENFAAS_CONFIG", environ["OPENFAAS_CONFIG"])
    group = click.Group("function", commands={str(command.name): command for command in deploying.commands})
    return lambda *arguments, text="": CliRunner().invoke(group, list(arguments), input=text)


def test_what_would_be_sent(run):
    done = run("deploy", "--dry-run", "--filter", "hello*", "--tag", "2.0.0", "--annotation", "a=b=c")
    assert done.exit_code == 0, done.output
    [body] = json.loads(done.stdout)
    assert body == {
        "service": "hello-world",
        "image": "docker.io/acme/hello:2.0.0",
        "namespace": "openfaas-fn",
        "envVars": {"PRICE": "$5 $1"},
        "annotations": {"note": "a", "a": "b=c"},
    }
    assert [each["service"] for each in json.loads(run("deploy", "--dry-run").stdout)] == ["hello-world", "other"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--filter", "nobody"), "has no function nobody; there are: hello-world, other"),
        (("--tag", "a b", "--dry-run"), "--tag 'a b'"),
        (("--annotation", "x", "--dry-run"), "expected KEY=VALUE"),
        (("--stack", "nowhere.yml"), "cannot read nowhere.yml"),
        (("--gateway", "ftp://x"), "expected https://HOST"),
        ((), "nobody is logged in to http://127.0.0.1:8080"),
    ],
)
def test_what_is_wrong_is_said(run, arguments, said):
    done = run("deploy", *arguments)
    assert isinstance(done.exception, ConfigurationError)
    assert said in str(done.exception)


def test_a_password_is_not_sent_in_the_clear(run):
    done = run("login", "--gateway", "http://faas.example.org", text="secret")
    assert "unencrypted" in str(done.exception)
    assert "no password" in str(run("login", text="\n").exception)

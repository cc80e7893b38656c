"""The genuine faas-cli from `login` to `remove`, on both providers. The tests of a provider are one story, in order."""

from __future__ import annotations

import json
import subprocess
import time

import pytest
import requests

from tests.e2e.faas_cli import PASSWORD, FaasCli, eventually, project

pytestmark = pytest.mark.timeout(300)
AUTH = ("admin", PASSWORD)


@pytest.fixture(scope="module", params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def cli(request, tmp_path_factory, redis_url, mongo_url):
    with project(request.param, tmp_path_factory.mktemp(f"faas-cli-{request.param}")) as made:
        made.servers = {
            "JANGADA_REDIS_URL": redis_url,
            "JANGADA_MONGO_URL": mongo_url,
            "JANGADA_MONGO_DATABASE": made.name,
        }
        made.start_gateway(made.servers)
        yield made


def invoke(cli: FaasCli, *arguments: str, body: str = "") -> dict:
    return json.loads(cli.run("invoke", "hello", *arguments, text=body))


def listed(cli: FaasCli) -> list[str]:
    return cli.run("list", "--quiet").split()


def test_without_login_nothing_is_told(cli):
    assert "unauthorized" in cli.run("list", expect=1).lower()
    cli.run("login", "-u", "admin", "--password-stdin", "--gateway", cli.url, text="wrong", expect=1)
    assert "credentials saved" in cli.run(
        "login", "-u", "admin", "--password-stdin", "--gateway", cli.url, text=PASSWORD
    )
    assert listed(cli) == []


def test_secrets(cli):
    assert "Created" in cli.run("secret", "create", "api-key", "--from-literal", "first", "--gateway", cli.url)
    assert "api-key" in cli.run("secret", "list", "--gateway", cli.url)
    assert "already exists" in cli.run("secret", "create", "api-key", "--from-literal", "x", "--gateway", cli.url)
    cli.run("secret", "update", "api-key", "--from-literal", "second", "--gateway", cli.url)
    cli.run("secret", "create", "other", "--from-literal", "x", "--gateway", cli.url)
    cli.run("secret", "remove", "other", "--gateway", cli.url)
    assert "other" not in cli.run("secret", "list", "--gateway", cli.url)


def test_up(cli):
    if cli.provider == "docker":
        assert "built" in cli.run("build", within_s=280)
        begun = time.monotonic()
        cli.run("build")
        assert time.monotonic() - begun < 20
        said = cli.run("up", "--skip-push", "--secret", "api-key", "--label", "team=a", "--annotation", "note=b")
    else:
        said = cli.run("deploy", "--secret", "api-key", "--label", "team=a", "--annotation", "note=b")
    assert "Deployed. 202 Accepted." in said
    assert f"{cli.url}/function/hello" in said
    cli.run("ready", "hello", "--attempts", "120", "--interval", "250ms")
    assert listed(cli) == ["hello"]


def test_invoke(cli):
    found = invoke(cli, "--query", "a=1 2", "-H", "X-Test: yes", body="some text")
    assert found["method"] == "POST"
    assert found["body"] == "some text"
    assert found["query"] == {"a": "1 2"}
    assert found["header"] == "yes"
    assert found["greeting"] == "first"
    assert found["secret"] == "second"
    assert found["call_id"]
    assert invoke(cli, "-m", "GET")["method"] == "GET"
    assert "418" in cli.run("invoke", "hello", "--query", "status=418", text="x", expect=1)
    cli.run("invoke", "nobody", text="x", expect=1)


def test_invoke_asynchronously(cli):
    said = cli.run("invoke", "hello", "--async", "--query", "mark=later", text="asynchronous")
    assert "submitted asynchronously" in said
    eventually(lambda: assert_count(cli, "hello", 4))


def assert_count(cli: FaasCli, name: str, least: int) -> None:
    rows = requests.get(f"{cli.url}/system/functions", auth=AUTH, timeout=10).json()
    assert next(row["invocationCount"] for row in rows if row["name"] == name) >= least


def test_list_and_describe(cli):
    rows = json.loads(cli.run("list", "--json"))
    assert [(row["name"], row["replicas"], row["availableReplicas"]) for row in rows] == [("hello", 1, 1)]
    assert "hello" in cli.run("list", "--verbose", "--sort", "invocations")
    said = cli.run("describe", "hello")
    for text in ("Ready", "jangada-test/hello:latest", "team", "note", "api-key", "GREETING"):
        assert text in said, text


def test_logs(cli):
    eventually(lambda: assert_in("called by POST /", cli.run("logs", "hello", "--tail=false")))
    assert len(cli.run("logs", "hello", "--tail=false", "--lines", "1").strip().splitlines()) == 1
    assert "called by" in cli.run("logs", "hello", "--tail=false", "--since", "5m")
    following = subprocess.Popen(
        [cli.program, "logs", "hello", "--lines", "1"],
        cwd=cli.folder,
        env=cli.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        time.sleep(1)
        requests.put(f"{cli.url}/function/hello/followed", timeout=10)
        lines = iter(following.stdout.readline, "")
        assert any("called by PUT /followed" in line for line in lines)
    finally:
        following.kill()
        following.wait()
        following.stdout.close()


def assert_in(text: str, where: str) -> None:
    assert text in where


def test_deploy_update(cli):
    before = invoke(cli)["greeting"]
    said = cli.run("deploy", "--update", "--env", "GREETING=updated", "--secret", "api-key")
    assert "rolling-update" in said or "202" in said or "200" in said
    eventually(lambda: assert_in("updated", invoke(cli)["greeting"]))
    assert before == "first"


def test_deploy_replace(cli):
    cli.run("deploy", "--replace", "--update=false", "--env", "GREETING=replaced")
    eventually(lambda: assert_in("replaced", invoke(cli)["greeting"]))
    assert invoke(cli)["secret"] is None


def test_a_deployment_that_cannot_be_is_refused(cli):
    elsewhere = cli.folder / "elsewhere"
    elsewhere.mkdir()
    said = subprocess.run(
        [cli.program, "deploy", "--image", "localhost:1/no/such:image", "--name", "nobody", "--gateway", cli.url],
        cwd=elsewhere, env=cli.environ, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert "400" in said.stdout + said.stderr
    assert "no/such" in said.stdout + said.stderr
    said = cli.run("deploy", "--secret", "missing", expect=1)
    assert "unable to find secret: missing" in said
    assert listed(cli) == ["hello"]


def test_scale_to_zero_and_back_on_demand(cli):
    done = requests.post(
        f"{cli.url}/system/scale-function/hello",
        json={"serviceName": "hello", "replicas": 0}, auth=AUTH, timeout=10,
    )  # fmt: skip
    assert done.status_code in (200, 202)
    eventually(lambda: assert_replicas(cli, 0))
    begun = time.monotonic()
    assert invoke(cli, body="wake up")["body"] == "wake up"
    print(f"{cli.provider}: from zero to an answer in {time.monotonic() - begun:.2f} s")


def assert_replicas(cli: FaasCli, number: int) -> None:
    rows = json.loads(cli.run("list", "--json"))
    assert [row.get("availableReplicas", 0) for row in rows] == [number]


def test_namespaces(cli):
    assert "openfaas-fn" in cli.run("namespace", "list", "--gateway", cli.url)
    cli.run("namespace", "create", "dev", "--label", "team=a", "--gateway", cli.url)
    assert "dev" in cli.run("namespace", "get", "dev", "--gateway", cli.url)
    cli.run("namespace", "update", "dev", "--label", "team=b", "--gateway", cli.url)
    cli.run("secret", "create", "api-key", "--from-literal", "of dev", "--namespace", "dev", "--gateway", cli.url)
    cli.run("deploy", "--namespace", "dev", "--secret", "api-key")
    cli.run("ready", "hello", "--namespace", "dev", "--attempts", "120", "--interval", "250ms")
    found = json.loads(cli.run("invoke", "hello", "--namespace", "dev", text="x"))
    assert found["secret"] == "of dev"
    assert invoke(cli)["secret"] is None
    cli.run("remove", "hello", "--namespace", "dev")
    eventually(lambda: assert_in("hello", cli.run("list", "--namespace", "openfaas-fn")))
    cli.run("namespace", "remove", "dev", "--gateway", cli.url)
    assert "dev" not in cli.run("namespace", "list", "--gateway", cli.url)


def test_a_gateway_that_is_killed_has_forgotten_nothing(cli):
    if cli.provider == "docker":
        before = invoke_host(cli)
    cli.kill_gateway()
    cli.start_gateway(cli.servers)
    eventually(lambda: assert_in("replaced", invoke(cli)["greeting"]))
    assert "api-key" in cli.run("secret", "list", "--gateway", cli.url)
    if cli.provider == "docker":
        assert invoke_host(cli) == before


def invoke_host(cli: FaasCli) -> str:
    """Which container runs: the instance in its logs."""
    with requests.get(f"{cli.url}/system/logs", params={"name": "hello", "tail": "1"}, auth=AUTH, timeout=10) as answer:
        return json.loads(answer.text.splitlines()[-1])["instance"]


def test_version(cli):
    said = cli.run("version", "--warn-update=false", "--gateway", cli.url)
    assert "jangada" in said.lower()
    assert cli.provider in said


def test_remove(cli):
    cli.run("remove", "hello", "--gateway", cli.url)
    eventually(lambda: assert_gone(cli))
    cli.run("invoke", "hello", text="x", expect=1)


def assert_gone(cli: FaasCli) -> None:
    assert listed(cli) == []

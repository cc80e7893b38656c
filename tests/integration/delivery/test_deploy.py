"""deploy.sh and rollback.sh on our gateway, with the genuine faas-cli and our own command: one story each, in order."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest
import requests

from tests.integration.delivery.site import DEPLOYERS, PASSWORD, Site, made_site
from tests.requires import requires_program

pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).parents[3]
AUTH = ("admin", PASSWORD)
HANDLER = """
import os


def handle(event, context):
    return {"statusCode": int(os.environ["STATUS"]), "body": os.environ["GREETING"]}
"""
STACK = """version: 1.0
provider:
  name: openfaas
functions:
  hello:
    lang: python3-jangada
    handler: ./hello
    image: ${{IMAGE_PREFIX:-docker.io/acme}}/jangada-hello:{version}
    environment:
      GREETING: "{greeting}"
      STATUS: "{status}"
      PRICE: "$${{x}} $5"
    labels:
      com.openfaas.scale.min: "1"
"""
ANOTHER = """  another:
    lang: python3-jangada
    handler: ./hello
    image: docker.io/acme/jangada-another:{version}
    environment: {{GREETING: "x", STATUS: "200"}}
"""


@pytest.fixture(scope="module", params=DEPLOYERS)
def site(request, tmp_path_factory, redis_url, mongo_url):
    """A gateway, a login, and a repository with tags v1.0.0, v1.1.0 (which answers 500) and v1.2.0."""
    for name in ("jq", "skopeo", "curl"):
        requires_program(name)
    with made_site(tmp_path_factory.mktemp("deploy"), request.param, HANDLER) as site:
        (site.folder / "stack.yaml").write_text(stack("0.0.1", another=True))
        site.start_gateway(
            {"JANGADA_REDIS_URL": redis_url, "JANGADA_MONGO_URL": mongo_url, "JANGADA_MONGO_DATABASE": site.name}
        )
        repository = site.folder / "site"
        repository.mkdir()
        git(site, "init", "--quiet", "--initial-branch=main")
        for version, status, another in (("1.0.0", 200, False), ("1.1.0", 500, True), ("1.2.0", 200, False)):
            (repository / "stack.yml").write_text(stack(version, status, another=another))
            git(site, "add", ".")
            git(site, "commit", "--quiet", "-m", version)
            git(site, "tag", f"v{version}")
        yield site


def stack(version: str, status: int = 200, *, another: bool = False) -> str:
    text = STACK + (ANOTHER if another else "")
    return text.format(version=version, status=status, greeting=f"version {version}")


def git(site: Site, *arguments: str) -> None:
    person = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run(["git", *person, *arguments], cwd=site.folder / "site", env=site.environ, check=True, timeout=60)


def run(site: Site, script: str, *arguments: str, expect: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [ROOT / "scripts" / script, *arguments],
        cwd=site.folder / "site",
        env=site.environ | {"FAAS_PASSWORD": PASSWORD, "DEPLOY_TIMEOUT_S": "60", "SMOKE_WITHIN_S": "3"} | environ,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == expect, f"{script} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done


def deploy(site: Site, version: str, expect: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
    git(site, "checkout", "--quiet", f"v{version}")
    defaults = {"DEPLOY_ENVIRONMENT": "staging", "DEPLOY_DIGESTS": "none", "SMOKE_PATHS": "/function/hello"}
    return run(site, "ci/deploy.sh", expect=expect, **(defaults | {"DEPLOY_VERSION": version} | environ))


def functions(site: Site) -> dict[str, dict]:
    rows = requests.get(f"{site.url}/system/functions", auth=AUTH, timeout=10).json()
    return {row["name"]: row for row in rows}


def wished(site: Site) -> dict[str, dict]:
    """What is deployed, without what changes by itself."""
    names = ("image", "annotations", "labels", "envVars", "secrets")
    return {name: {key: row[key] for key in names if key in row} for name, row in functions(site).items()}


def greeting(site: Site) -> str:
    return requests.get(f"{site.url}/function/hello", timeout=30).text


def history(site: Site) -> str:
    return functions(site)["hello"]["annotations"]["com.jangada.history"]


def test_login(site):
    run(site, "ci/faas_login.sh", expect=1, FAAS_PASSWORD="wrong")
    said = run(site, "ci/faas_login.sh")
    assert PASSWORD not in said.stdout + said.stderr
    refused = run(site, "ci/faas_login.sh", expect=2, OPENFAAS_URL="http://faas.example.org")
    assert "https://" in refused.stderr


def test_deploy_says_version_and_digest_on_each_function(site):
    output = site.folder / "output"
    digest = "sha256:" + "0" * 64
    done = deploy(
        site, "1.0.0", GITHUB_OUTPUT=str(output), DEPLOY_DIGESTS=json.dumps({"jangada-hello": digest}), REDIS_URL="redis://x"
    )  # fmt: skip
    result = json.loads(done.stdout)
    image = "docker.io/acme/jangada-hello:1.0.0"
    expected = [{"name": "hello", "image": image, "digest": digest}]
    assert result == {"version": "1.0.0", "environment": "staging", "functions": expected}
    assert output.read_text() == f"result={json.dumps(result, separators=(',', ':'))}\n"
    running = functions(site)["hello"]
    assert running["image"] == image
    assert running["envVars"]["PRICE"] == "${x} $5"
    assert running["annotations"]["com.jangada.version"] == "1.0.0"
    assert running["annotations"]["com.jangada.digest"] == digest
    assert running["annotations"]["com.jangada.environment"] == "staging"
    assert greeting(site) == "version 1.0.0"
    secrets = requests.get(f"{site.url}/system/secrets", auth=AUTH, timeout=10).json()
    assert [secret["name"] for secret in secrets] == ["redis-url"]


def test_a_version_that_fails_the_smoke_test_is_undone(site):
    before = wished(site)
    said = deploy(site, "1.1.0", expect=1, DEPLOY_REASON="try it")
    assert "what ran before runs again" in said.stderr
    assert wished(site) == before
    assert greeting(site) == "version 1.0.0"


def test_a_version_that_is_good_again_comes_without_a_failed_request(site):
    with counted_requests(site) as failures:
        deploy(site, "1.2.0")
    assert failures == []
    assert greeting(site) == "version 1.2.0"
    assert history(site) == "1.0.0,1.2.0"


def test_rollback_goes_to_the_version_before(site):
    summary = site.folder / "summary"
    with counted_requests(site) as failures:
        said = run(
            site, "rollback.sh", "staging", "--reason", "it was\nslow", DEPLOY_DIGESTS="none",
            SMOKE_PATHS="/function/hello", GITHUB_STEP_SUMMARY=str(summary),
        )  # fmt: skip
    assert "staging runs 1.0.0" in said.stderr
    assert failures == []
    assert greeting(site) == "version 1.0.0"
    assert history(site) == "1.0.0"
    assert functions(site)["hello"]["annotations"]["com.jangada.reason"].strip() == "it was slow"
    assert "1.2.0" in summary.read_text()


def test_rollback_to_a_named_version_and_what_is_newer(site):
    deploy(site, "1.1.0", DEPLOY_SMOKE="false")
    assert "another" in functions(site)
    kept = run(site, "rollback.sh", "staging", "1.2.0", "--dry-run", DEPLOY_DIGESTS="none")
    assert "kept (--prune removes them): another" in kept.stderr
    assert "another" in functions(site)
    run(site, "rollback.sh", "staging", "v1.2.0", "--prune", DEPLOY_DIGESTS="none")
    assert "another" not in functions(site)
    assert greeting(site) == "version 1.2.0"


def test_rollback_begins_nothing_that_cannot_be(site):
    before = wished(site)
    again = run(site, "rollback.sh", "staging", "1.2.0", expect=3, DEPLOY_DIGESTS="none")
    assert "runs 1.2.0 already" in again.stderr
    assert "no tag v9.9.9" in run(site, "rollback.sh", "staging", "9.9.9", expect=3, DEPLOY_DIGESTS="none").stderr
    wrong = run(site, "rollback.sh", "production", "1.0.0", expect=3, DEPLOY_DIGESTS="none")
    assert "says that it is staging" in wrong.stderr
    missing = run(site, "rollback.sh", "staging", "1.0.0", expect=3, IMAGE_PREFIX="127.0.0.1:1/acme")
    assert "the registry has no 127.0.0.1:1/acme/jangada-hello:1.0.0" in missing.stderr
    assert wished(site) == before


def test_usage(site):
    for script, arguments, environ in (
        ("ci/deploy.sh", ["x"], {}),
        ("ci/deploy.sh", [], {"DEPLOY_VERSION": "one"}),
        ("ci/deploy.sh", [], {"DEPLOY_VERSION": "1.0.0", "DEPLOY_STACK": "nowhere.yml"}),
        ("ci/deploy.sh", [], {"DEPLOY_VERSION": "1.0.0", "DEPLOY_DIGESTS": "[]"}),
        ("ci/deploy.sh", [], {"DEPLOY_VERSION": "1.0.0", "DEPLOY_DIGESTS": "none", "DEPLOY_FUNCTIONS": "hello,nobody"}),
        ("ci/smoke.sh", ["--nonsense"], {}),
        ("ci/faas_login.sh", ["x"], {}),
        ("rollback.sh", [], {}),
        ("rollback.sh", ["staging", "one"], {}),
        ("rollback.sh", ["staging", "--reason"], {}),
        ("rollback.sh", ["staging", "1.0.0", "1.1.0"], {}),
    ):
        assert run(site, script, *arguments, expect=2, **environ).stderr
    for script in ("ci/deploy.sh", "ci/smoke.sh", "ci/faas_login.sh", "rollback.sh"):
        assert "Exit codes" in run(site, script, "--help").stdout


class counted_requests:  # noqa: N801 - reads as a function
    """Calls the function without a break, and keeps what was no 200."""

    def __init__(self, site: Site) -> None:
        self._url = f"{site.url}/function/hello"
        self._end = threading.Event()
        self._failures: list[str] = []
        self._made = 0
        self._thread = threading.Thread(target=self._call)

    def __enter__(self) -> list[str]:
        self._thread.start()
        return self._failures

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)
        assert self._made > 3

    def _call(self) -> None:
        with requests.Session() as session:
            while not self._end.wait(0.02):
                try:
                    answer = session.get(self._url, timeout=30)
                    if answer.status_code != 200:
                        self._failures.append(f"{answer.status_code}: {answer.text[:200]}")
                except requests.RequestException as error:
                    self._failures.append(str(error))
                self._made += 1


def test_nothing_of_ours_is_left_in_the_temporary_folder(site, tmp_path):
    run(site, "rollback.sh", "staging", "1.0.0", "--dry-run", DEPLOY_DIGESTS="none", TMPDIR=str(tmp_path))
    assert os.listdir(tmp_path) == []

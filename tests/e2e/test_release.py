"""
The delivery line from commits to answers, and back: images in a registry, functions in containers, clients that submit.

Three releases are published once; the second has a bug that only a smoke test can see. Each program that can deploy
(the genuine faas-cli, and our own command) then takes an environment through them and back, and no job that clients
submit meanwhile may notice.

RELEASE_IMAGES=all builds every image there is instead of some (`make release-rehearsal`).
"""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.docker_engine import docker
from tests.e2e.release_line import NAMESPACE, Clients, Line, delivery_line, start_container
from tests.image_registry import registry
from tests.requires import requires_program
from tests.servers import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600 if os.environ.get("RELEASE_IMAGES") == "all" else 1500)]
FUNCTIONS = ("auth", "router", "deployments", "files", "nodes")
ALGORITHM = "text-langid"
IMAGES = () if os.environ.get("RELEASE_IMAGES") == "all" else (*FUNCTIONS, "gateway", ALGORITHM)
SMOKE_JOB = json.dumps({"algorithm": ALGORITHM, "input": {"texts": ["uma jangada no mar"]}})
REGISTERED = "    jobs.register(app, parts)\n"


@dataclass(frozen=True)
class Release:
    version: str
    digests: dict[str, str]
    commit: str


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> Iterator[Line]:
    for program in ("jq", "skopeo", "curl"):
        requires_program(program)
    folder = tmp_path_factory.mktemp("release")
    with registry(folder) as made, delivery_line(folder, made, f"jgr{uuid.uuid4().hex[:8]}") as ready:
        yield ready


@pytest.fixture(scope="module")
def releases(line) -> list[Release]:
    """Good, bad, good: what smoke tests are for is a function that is whole and ready, and lacks one thing."""
    made = [release(line)]
    edit_router(line, REGISTERED, "", "feat: jobs are read elsewhere")
    made.append(release(line))
    kept = "    submit.register(app, parts)\n"
    edit_router(line, kept, kept + REGISTERED, "fix: jobs are read here")
    made.append(release(line))
    return made


def release(line: Line) -> Release:
    version = line.bump()
    begun = time.monotonic()
    digests = line.publish(*IMAGES)
    print(f"{version}: {len(digests)} images published in {time.monotonic() - begun:.1f} s")
    return Release(version, digests, line.git("rev-parse", "HEAD"))


def edit_router(line: Line, old: str, new: str, message: str) -> None:
    path = line.repository / "functions" / "router" / "handler.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    line.commit(message)


def test_versions_follow_from_the_commits(line, releases):
    versions = [made.version for made in releases]
    first = (line.repository / "VERSION").read_text().strip()
    assert versions[-1] == first
    assert line.git("tag", "--list", "--sort=creatordate").split() == [f"v{version}" for version in versions]
    for made in releases:
        assert line.git("rev-parse", f"v{made.version}^{{commit}}") == made.commit
        assert line.git("show", f"v{made.version}:VERSION") == made.version


def test_every_image_says_what_it_is(line, releases):
    for made in releases:
        for name, digest in made.digests.items():
            image = line.registry.image(f"{NAMESPACE}/{name}:{made.version}")
            assert image["Digest"] == digest
            assert image["Labels"]["org.opencontainers.image.version"] == made.version
            assert image["Labels"]["org.opencontainers.image.revision"] == made.commit
    newest = releases[-1]
    for name, digest in newest.digests.items():
        for tag in ("latest", newest.version.rpartition(".")[0], f"sha-{newest.commit[:12]}"):
            assert line.registry.image(f"{NAMESPACE}/{name}:{tag}")["Digest"] == digest


def test_a_release_without_a_change_of_an_image_moves_no_layer(line, releases):
    """Of the second release only the router's own layers are new."""
    first, second, _ = releases
    for name in first.digests:
        before, after = (line.registry.image(f"{NAMESPACE}/{name}:{made.version}") for made in (first, second))
        assert (before["Layers"] == after["Layers"]) == (name != "jangada-router"), name


def test_nothing_changed_pushes_nothing(line, releases):
    before = line.registry.files()
    begun = time.monotonic()
    assert line.publish(*IMAGES) == releases[-1].digests
    print(f"once more with nothing changed: {time.monotonic() - begun:.1f} s")
    assert line.registry.files() == before


@pytest.fixture(params=["faas-cli", "jangada"])
def deployer(request, line) -> str:
    if request.param == "faas-cli":
        requires_program("faas-cli")
    line.deployer = request.param
    line.run("scripts/ci/faas_login.sh")
    return request.param


def test_out_and_back(line, releases, deployer):
    first, bad, third = releases
    deploy(line, first, with_job=bool(line.key))
    if not line.key:
        line.key = first_key(line)
        start_executor(line, first)
        until(lambda: line.submit("Bom dia").status_code < 300, 120, 0.5)
    assert_runs(line, first)

    with Clients(line) as clients:
        said = deploy(line, bad, expect=1)
        assert "smoke.sh: the jobs: found 4" in said, said
        assert "what ran before runs again" in said
        assert_runs(line, first)

        deploy(line, third)
        assert_runs(line, third)

        begun = time.monotonic()
        line.run("env", f"SMOKE_JOB={SMOKE_JOB}", "scripts/rollback.sh", "staging", "--reason", "to see that it works")
        took_s = time.monotonic() - begun
        assert_runs(line, first)
    print(
        f"{deployer}: back from {third.version} to {first.version} in {took_s:.1f} s; {clients.succeeded} jobs answered"
    )
    assert clients.wrong == []
    assert clients.succeeded > 20
    assert took_s < 120


def test_a_job_says_what_ran_it(line, releases):
    if not line.key:
        pytest.skip("nothing was deployed")
    answer = line.outcome(line.submit("Bom dia, como vai a senhora?")).json()
    ran_by = {
        "algorithm_version": answer["algorithm_version"],
        "image_digest": releases[0].digests[f"jangada-{ALGORITHM}"],
        "model": None,
    }
    assert answer["ran_by"] == ran_by
    manifest = (line.repository / "executors" / ALGORITHM / "executor.yml").read_text()
    assert re.search(rf"^version: *\"?{re.escape(ran_by['algorithm_version'])}\"?$", manifest, re.MULTILINE)


def deploy(line: Line, made: Release, expect: int = 0, *, with_job: bool = True) -> str:
    line.git("checkout", "--quiet", f"v{made.version}")
    settings = {
        "DEPLOY_VERSION": made.version,
        "DEPLOY_DIGESTS": json.dumps(made.digests),
        "DEPLOY_ENVIRONMENT": "staging",
    } | ({"SMOKE_JOB": SMOKE_JOB} if with_job else {})
    words = [f"{name}={value}" for name, value in settings.items()]
    try:
        return line.run("env", *words, "scripts/ci/deploy.sh", expect=expect).stderr
    finally:
        line.git("checkout", "--quiet", "main")


def start_executor(line: Line, made: Release) -> None:
    name = f"jangada-{ALGORITHM}"
    settings = {
        "JANGADA_REDIS_URL": "redis://redis:6379/0",
        "JANGADA_MONGO_URL": "mongodb://mongo:27017",
        "JANGADA_IMAGE_DIGEST": made.digests[name],
    }
    words = [word for key, value in settings.items() for word in ("--env", f"{key}={value}")]
    start_container(line, "executor", f"{line.registry.host}/{NAMESPACE}/{name}:{made.version}", *words)


def first_key(line: Line) -> str:
    def found() -> re.Match[str] | None:
        return re.search(r"shown this once: (jgd_[\w-]+)", line.system("GET", "logs?name=auth").text)

    return until(found, 60, 0.3).group(1)


def assert_runs(line: Line, made: Release) -> None:
    """Tag, labels, annotations and digest of all that runs agree with the git tag."""
    rows = line.functions()
    assert set(rows) == set(FUNCTIONS)
    for name, row in rows.items():
        repository = f"{NAMESPACE}/jangada-{name}"
        assert row["image"] == f"{line.registry.host}/{repository}:{made.version}"
        published = line.registry.image(f"{repository}:{made.version}")
        assert row["annotations"]["com.jangada.version"] == made.version
        assert row["annotations"]["com.jangada.digest"] == published["Digest"] == made.digests[f"jangada-{name}"]
        containers = line.containers(name)
        assert containers
        for container in containers:
            image = json.loads(docker("image", "inspect", container["Image"]))[0]
            assert f"{line.registry.host}/{repository}@{published['Digest']}" in image["RepoDigests"]
            assert image["Config"]["Labels"] == published["Labels"]
            assert published["Labels"]["org.opencontainers.image.revision"] == made.commit

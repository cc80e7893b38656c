"""What scripts/ci/images.sh publishes, in a real registry, built by a real Engine."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docker_engine import ROOT, base_image, docker
from tests.image_registry import Registry, registry
from tests.requires import requires_program

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]
DOCKERFILE = """ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY words.txt /words.txt
"""


@dataclass
class Project:
    """A repository with two images of its own, and where they go."""

    folder: Path
    registry: Registry
    base: str
    namespace: str = "acme"

    def git(self, *arguments: str) -> str:
        author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        done = subprocess.run(["git", *author, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def release(self, version: str) -> str:
        """Commit what lies there and tag it; returns the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", f"chore(release): v{version}")
        self.git("tag", f"v{version}")
        return self.git("rev-parse", "HEAD")

    def entry(self, name: str) -> dict:
        return {
            "name": name,
            "kind": "dockerfile",
            "path": name,
            "file": "Dockerfile",
            "base": f"BASE_IMAGE={self.base}",
            "inputs": [name],
            "check": "test -s /words.txt",
        }

    def images(self, *arguments: str, expect: int = 0, names: tuple[str, ...] = ("one", "two")) -> tuple[dict, str]:
        """The digests that images.sh writes, and what it says."""
        output = self.folder.parent / "digests.json"
        output.unlink(missing_ok=True)
        matrix = json.dumps([self.entry(name) for name in names])
        command = [ROOT / "scripts/ci/images.sh", *arguments, "--context", self.folder, "--matrix", matrix]
        command += ["--prefix", f"{self.registry.host}/{self.namespace}", "--output", output]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "IMAGE_"))}
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=clean)
        assert done.returncode == expect, done.stdout + done.stderr
        return json.loads(output.read_text()) if output.exists() else {}, done.stderr

    def publish(self, version: str, **options) -> tuple[dict, str]:
        return self.images("build", "--push", "--version", version, **options)

    def tagged(self, name: str, tag: str) -> dict:
        return self.registry.image(f"{self.namespace}/{name}:{tag}")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    requires_program("jq")
    with registry(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture
def project(tmp_path, server):
    folder = tmp_path / "project"
    folder.mkdir()
    made = Project(folder, server, base_image(), namespace=f"n{uuid.uuid4().hex[:8]}")
    made.git("init", "--quiet", "--initial-branch", "main")
    for name in ("one", "two"):
        made.write(f"{name}/Dockerfile", DOCKERFILE)
        made.write(f"{name}/words.txt", "first\n")
    yield made
    found = docker("images", "--quiet", "--filter", f"reference={server.host}/{made.namespace}/*").split()
    if found:
        # Newest first, as listed: an image goes before the one it was made from.
        docker("rmi", "--force", *dict.fromkeys(found))


def test_an_image_says_what_it_is_and_gets_the_tags_of_its_version(project):
    commit = project.release("1.4.2")
    digests, _ = project.publish("1.4.2")
    assert set(digests) == {"one", "two"}
    tags = {"1.4.2", "1.4", "1", "latest", f"sha-{commit[:12]}"}
    assert project.registry.tags(f"{project.namespace}/one") == tags
    assert {project.tagged("one", tag)["Digest"] for tag in tags} == {digests["one"]}
    labels = project.tagged("one", "1.4.2")["Labels"]
    assert labels["org.opencontainers.image.version"] == "1.4.2"
    assert labels["org.opencontainers.image.revision"] == commit
    assert labels["org.opencontainers.image.created"].endswith("Z")


def test_the_second_time_nothing_is_built_and_nothing_pushed(project):
    project.release("0.3.0")
    first, _ = project.publish("0.3.0")
    assert "0" not in project.registry.tags(f"{project.namespace}/one"), "0.x has no major tag"
    before = project.registry.files()
    begun = time.monotonic()
    again, said = project.publish("0.3.0")
    assert time.monotonic() - begun < 20
    assert again == first
    assert said.count(" reused ") == 2
    assert project.registry.files() == before


def test_a_published_version_never_changes(project):
    project.release("1.0.0")
    project.publish("1.0.0", names=("one",))
    before = project.registry.files()
    project.write("one/words.txt", "second\n")
    project.git("commit", "--quiet", "--all", "--message", "fix: words")
    _, said = project.publish("1.0.0", expect=3)
    assert "tag v1.0.0 is not at this commit" in said
    project.git("tag", "--force", "v1.0.0")
    _, said = project.publish("1.0.0", expect=4)
    assert "publish a new version" in said
    assert project.registry.files() == before


def test_what_did_not_change_is_not_built_again_and_says_its_new_version(project):
    project.release("1.0.0")
    project.publish("1.0.0")
    project.write("two/words.txt", "second\n")
    commit = project.release("1.1.0")
    digests, said = project.publish("1.1.0")
    assert "one " in said
    assert said.split("one")[1].split()[0] == "relabeled"
    assert said.split("two")[1].split()[0] == "built"
    old, new = project.tagged("one", "1.0.0"), project.tagged("one", "1.1.0")
    assert new["Layers"] == old["Layers"]
    assert new["Digest"] == digests["one"] != old["Digest"]
    assert new["Labels"]["org.opencontainers.image.version"] == "1.1.0"
    assert new["Labels"]["org.opencontainers.image.revision"] == commit
    assert project.tagged("two", "1.1.0")["Layers"] != project.tagged("two", "1.0.0")["Layers"]


def test_a_fix_of_an_old_line_and_a_pre_release_move_nothing_newer(project):
    for version in ("1.4.0", "2.0.0"):
        project.release(version)
        project.publish(version, names=("one",))
    project.git("checkout", "--quiet", "v1.4.0")
    project.release("1.4.1")
    digests, _ = project.publish("1.4.1", names=("one",))
    assert project.tagged("one", "1.4")["Digest"] == project.tagged("one", "1")["Digest"] == digests["one"]
    assert project.tagged("one", "latest")["Labels"]["org.opencontainers.image.version"] == "2.0.0"
    project.git("checkout", "--quiet", "main")
    before = project.registry.tags(f"{project.namespace}/one")
    project.release("2.1.0-rc.1")
    project.publish("2.1.0-rc.1", names=("one",))
    assert project.registry.tags(f"{project.namespace}/one") - before == {"2.1.0-rc.1"}
    assert project.tagged("one", "latest")["Labels"]["org.opencontainers.image.version"] == "2.0.0"


def test_uncommitted_work_is_not_published(project):
    project.release("1.0.0")
    project.write("one/words.txt", "not committed\n")
    _, said = project.publish("1.0.0", expect=3)
    assert "commit them first" in said
    assert project.registry.tags(f"{project.namespace}/one") == set()


def test_an_image_that_is_not_whole_is_not_pushed(project):
    project.write("one/words.txt", "")
    project.release("1.0.0")
    _, said = project.publish("1.0.0", expect=5)
    assert "is not whole" in said
    assert project.registry.tags(f"{project.namespace}/one") == set()


def test_a_version_moves_to_another_place_by_its_bytes(project):
    project.release("1.0.0")
    digests, _ = project.publish("1.0.0")
    target = f"{project.registry.host}/{project.namespace}-prod"
    for _ in range(2):
        promoted, _ = project.images("promote", "--version", "1.0.0", "--to", target)
        assert promoted == digests
    assert project.registry.image(f"{project.namespace}-prod/two:latest")["Digest"] == digests["two"]


def test_what_a_registry_has_of_a_version_is_checked_before_it_is_trusted(project):
    project.release("1.0.0")
    digests, _ = project.publish("1.0.0", names=("one",))
    known, _ = project.images("digests", "--version", "1.0.0", names=("one",))
    assert known == digests
    _, said = project.images("digests", "--version", "1.0.0", expect=4)
    assert f"{project.namespace}/two:1.0.0 is not in the registry" in said


def test_a_registry_that_is_away_is_no_empty_registry(project):
    project.release("1.0.0")
    nowhere = Project(project.folder, Registry(1, project.registry.folder), project.base)
    _, said = nowhere.publish("1.0.0", expect=5)
    assert "does not say whether it exists" in said

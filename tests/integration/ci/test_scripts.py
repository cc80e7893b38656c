"""The small scripts of scripts/ci, each in a folder of its own; programs that reach outside are stand-ins."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docker_engine import ROOT
from tests.requires import requires_program

pytestmark = pytest.mark.timeout(600)
CI = ROOT / "scripts" / "ci"
AUTHOR = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
}
SCRIPTS = sorted(path.name for path in CI.glob("*.sh") if path.stat().st_mode & 0o111)


def run(
    *command, cwd: Path = ROOT, expect: int = 0, text: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "IMAGE_", "CI", "GIT_"))
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean | AUTHOR | environ,
        input=text,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def git(folder: Path, *arguments: str) -> str:
    return run("git", *arguments, cwd=folder).stdout.strip()


def commit(folder: Path, message: str, **files: str) -> str:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, "feat: first", VERSION="0.1.0\n")
    return folder


def stand_in(folder: Path, name: str, script: str) -> dict[str, str]:
    """A program *name* that runs *script*, first on PATH."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
    (programs / name).chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_says_what_it_does_and_refuses_what_it_does_not_know(name):
    told = run(CI / name, "--help").stdout
    assert len(told.splitlines()) >= 2
    assert "xit" in told, "the exit codes"
    assert run(CI / name, "--no-such-thing", expect=2).stderr + run(CI / name, "--no-such-thing", expect=2).stdout


# changes.sh


def changed(repository: Path, base: str, **environ: str) -> set[str]:
    lines = run(CI / "changes.sh", base, cwd=repository, **environ).stdout.split()
    assert len(lines) == 6
    return {line.partition("=")[0] for line in lines if line.endswith("=true")}


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("docs__api.md", {"docs"}),
        ("jangada__ids.py", {"code", "images"}),
        ("terraform__main.tf", {"terraform"}),
        (".github__workflows__ci.yml", {"workflows"}),
        ("scripts__install.sh", {"scripts", "workflows", "code"}),
        ("tests__unit__odd name\tç.py", {"code"}),
    ],
)
def test_a_change_concerns_the_parts_it_touches(repository, file, parts):
    base = git(repository, "rev-parse", "HEAD")
    commit(repository, "feat: second", **{file: "x"})
    assert changed(repository, base) == parts


def test_only_this_sides_changes_count(repository):
    git(repository, "checkout", "--quiet", "-b", "side")
    commit(repository, "docs: side", docs__a="x")
    git(repository, "checkout", "--quiet", "main")
    main = commit(repository, "feat: other", jangada__a="x")
    git(repository, "checkout", "--quiet", "side")
    assert changed(repository, main) == {"docs"}


@pytest.mark.parametrize("base", ["", "0" * 40, "f" * 40])
def test_without_a_known_base_everything_counts_as_changed(repository, base):
    assert len(changed(repository, base)) == 6


def test_what_changed_reaches_the_workflow(repository, tmp_path):
    output = tmp_path / "output"
    changed(repository, "HEAD", GITHUB_OUTPUT=str(output))
    assert output.read_text().splitlines()[0] == "code=false"


# version.sh


def test_a_push_that_came_second_starts_over_from_what_is_there(repository, tmp_path):
    """Somebody pushes just before our push; the second attempt releases both commits."""
    scripts = repository / "scripts"
    scripts.mkdir()
    for name in ("bump_version.sh", "ci/version.sh"):
        (scripts / name).parent.mkdir(exist_ok=True)
        (scripts / name).write_text((ROOT / "scripts" / name).read_text())
        (scripts / name).chmod(0o755)
    commit(repository, "feat: scripts")
    git(repository, "tag", "v0.1.0")
    origin, other = tmp_path / "origin.git", tmp_path / "other"
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), str(origin))
    git(tmp_path, "clone", "--quiet", str(origin), str(other))
    git(repository, "remote", "add", "origin", str(origin))
    commit(repository, "fix: ours", ours="x")
    git(repository, "push", "--quiet", "origin", "main")
    git(other, "pull", "--quiet")
    commit(other, "feat: theirs", theirs="x")
    hook = repository / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!/bin/sh\nunset GIT_DIR\nrm -f .git/hooks/pre-push\ncd {other} && git push --quiet origin main\n"
    )
    hook.chmod(0o755)
    output = tmp_path / "output"
    output.touch()
    done = run(scripts / "ci/version.sh", cwd=repository, CI="true", GITHUB_OUTPUT=str(output))
    assert "starting over" in done.stderr
    assert "version=0.2.0" in done.stdout
    assert git(origin, "rev-parse", "v0.2.0^{commit}") == git(origin, "rev-parse", "main")
    assert {"ours", "theirs"} <= set(git(origin, "ls-tree", "--name-only", "main").split())
    assert "released=true" in output.read_text().splitlines()[-5:]


def test_outside_ci_nothing_is_reset(repository):
    assert "only in CI" in run(CI / "version.sh", cwd=repository, expect=2).stderr


def test_another_branch_is_not_released_onto_main(repository):
    commit(repository, "feat: one", one="x")
    git(repository, "checkout", "--quiet", "-b", "side")
    done = run(CI / "version.sh", cwd=repository, expect=3, CI="true")
    assert "releases are made on main, and this is side" in done.stderr
    assert git(repository, "tag") == ""


# github_release.sh

CHANGELOG = """# Changelog

## 1.10.0 (2026-01-02)

- ten

## {heading}

### Fixes

- `x` & "y" $(z)

## 1.0.0

- one
"""


@pytest.mark.parametrize("heading", ["1.1.0", "[1.1.0] - 2026-01-01", "v1.1.0 (2026-01-01)", "[v1.1.0](https://x)"])
def test_a_release_tells_its_own_section_of_the_changelog(repository, heading):
    commit(repository, "chore(release): v1.1.0", **{"CHANGELOG.md": CHANGELOG.format(heading=heading)})
    git(repository, "tag", "v1.1.0")
    told = run(CI / "github_release.sh", "--notes", "v1.1.0", cwd=repository).stdout
    assert told == '### Fixes\n\n- `x` & "y" $(z)\n'


def test_a_tag_that_is_not_here_is_no_release(repository):
    assert "no tag v9.9.9" in run(CI / "github_release.sh", "v9.9.9", cwd=repository, expect=4).stderr
    run(CI / "github_release.sh", "v1.x", cwd=repository, expect=2)


@pytest.mark.parametrize(("there", "verb"), [(False, "create"), (True, "edit")])
def test_a_release_is_made_once_and_edited_after(repository, tmp_path, there, verb):
    git(repository, "tag", "v1.0.0-rc.1")
    log = tmp_path / "log"
    script = f'printf "%s\\n" "$*" >>{log}\n[ "$2" != view ] || exit {0 if there else 1}'
    run(CI / "github_release.sh", "v1.0.0-rc.1", "VERSION", cwd=repository, **stand_in(tmp_path, "gh", script))
    said = log.read_text()
    assert f"release {verb} v1.0.0-rc.1" in said
    assert "--prerelease" in said
    assert "VERSION" in said


# docker_login.sh, notify.sh


def test_a_token_reaches_docker_through_stdin_only(tmp_path):
    log = tmp_path / "log"
    environ = stand_in(tmp_path, "docker", f'echo "$*" >{log}; cat >>{log}')
    run(CI / "docker_login.sh", REGISTRY="ghcr.io", REGISTRY_USERNAME="u", REGISTRY_TOKEN="s3cret", **environ)
    assert log.read_text() == "login ghcr.io --username u --password-stdin\ns3cret"
    assert "s3cret" not in run(CI / "docker_login.sh", REGISTRY_USERNAME="u", expect=2, **environ).stderr
    assert "going on without" in run(CI / "docker_login.sh", **environ).stderr


def test_a_notice_is_one_line_of_the_summary_and_a_dead_webhook_fails_nothing(tmp_path):
    summary = tmp_path / "summary"
    text = 'staging: "1.2.3" $(x)'
    done = run(CI / "notify.sh", NOTIFY_TEXT=text, NOTIFY_URL="http://127.0.0.1:1/", GITHUB_STEP_SUMMARY=str(summary))
    assert summary.read_text() == f"{text}\n"
    assert "did not take it" in done.stderr


# matrix.sh and images.sh, without a registry


def test_the_matrix_holds_every_image_that_the_repository_names():
    requires_program("jq")
    names = {entry["name"] for entry in json.loads(run(CI / "matrix.sh").stdout)}
    functions = yaml.safe_load((ROOT / "stack.yml").read_text())["functions"].values()
    expected = {image_name(each["image"]) for each in functions} | {"jangada-gateway"}
    for path in ROOT.glob("executors/*/executor.yml"):
        about = yaml.safe_load(path.read_text())
        kinds = about.get("device", "cpu").split("+")
        expected |= {image_name(about["image"]) + ("-gpu" if kind == "gpu" else "") for kind in kinds}
    assert names == expected


def image_name(reference: str) -> str:
    return reference.rpartition("/")[2].partition(":")[0]


def test_the_inputs_of_every_image_exist():
    requires_program("jq")
    for entry in json.loads(run(CI / "matrix.sh").stdout):
        assert [path for path in entry["inputs"] if not (ROOT / path).exists()] == []
        assert (ROOT / entry["file"]).is_file()
        assert "VERSION" not in entry["inputs"]


def test_an_image_that_nobody_knows_is_named():
    requires_program("jq")
    assert "unknown image: nope" in run(CI / "images.sh", "build", "--only", "router,nope", expect=2).stderr


@pytest.mark.parametrize(
    ("version", "there", "moves"),
    [
        ("1.4.2", [], ["1.4", "1", "latest"]),
        ("0.4.2", ["0.4.1", "0.3.9"], ["0.4", "latest"]),
        ("1.4.2", ["1.4.10"], []),
        ("1.4.2", ["1.5.0"], ["1.4"]),
        ("1.4.2", ["2.0.0", "1.4.1"], ["1.4", "1"]),
        ("1.10.0", ["1.9.9", "1.10.0-rc.1", "v3.0.0", "latest", "sha-9"], ["1.10", "1", "latest"]),
        ("2.0.0-rc.1", ["1.0.0"], []),
        ("10.0.0", ["1.0.0", "10.0.0"], ["10.0", "10", "latest"]),
    ],
)
def test_which_tags_a_version_may_move(version, there, moves):
    assert run(CI / "images.sh", "tags", version, text="\n".join(there)).stdout.split() == moves


@pytest.mark.parametrize("version", ["1.2", "1.2.3+build", "01.2.3", "latest", "1.2.3-"])
def test_what_cannot_be_a_tag_is_no_version(version):
    requires_program("jq")
    assert "is no version" in run(CI / "images.sh", "build", "--version", version, expect=2).stderr


def test_with_buildx_an_image_says_what_it_is_made_of_and_how(tmp_path):
    """Argument lists only: the Engine of a Debian machine has no buildx."""
    requires_program("jq")
    environ = stand_in(tmp_path, "docker", '[ "$1 $2" = "buildx version" ]')
    words = ["build", "--dry-run", "--version", "1.2.3", "--only", "router", "--prefix", "docker.io/acme"]
    told = run(CI / "images.sh", *words, "--platforms", "linux/amd64,linux/arm64", **environ).stdout
    assert "docker buildx build --load --tag docker.io/acme/jangada-router:1.2.3" in told
    assert "--push" not in told


def test_what_is_published_with_buildx_has_an_sbom_and_its_provenance(repository, tmp_path):
    requires_program("jq")
    commit(repository, "feat: one", one__Dockerfile="FROM scratch\n")
    git(repository, "tag", "v0.1.0")
    environ = stand_in(tmp_path, "docker", '[ "$1 $2" = "buildx version" ]')
    environ |= stand_in(tmp_path, "skopeo", "echo manifest unknown >&2; exit 1")
    matrix = '[{"name": "one", "kind": "dockerfile", "path": "one", "file": "Dockerfile", "inputs": ["one"]}]'
    words = ["build", "--push", "--dry-run", "--context", repository, "--matrix", matrix, "--prefix", "ghcr.io/acme"]
    told = run(CI / "images.sh", *words, "--platforms", "linux/amd64,linux/arm64", **environ).stdout.splitlines()
    assert told[0].startswith("docker buildx build --load --tag ghcr.io/acme/one:0.1.0")
    assert told[1].startswith(
        "docker buildx build --push --provenance mode=max --sbom true --platform linux/amd64\\,linux/arm64"
    )
    assert f"org.opencontainers.image.revision={git(repository, 'rev-parse', 'HEAD')}" in told[1]


# lint_workflows.sh

BROKEN = {
    ".github/workflows/a.yml": (
        "name: a\non: push\npermissions: {}\njobs:\n  a:\n    needs: nowhere\n    runs-on: ubuntu-latest\n"
        "    steps:\n      - foo: bar\n"
    ),
    ".github/workflows/b.yml": (
        "name: b\non: push\npermissions: {}\njobs:\n  b:\n    runs-on: ubuntu-latest\n    steps:\n"
        "      - run: echo ${{ github.event.head_commit.message }}\n"
    ),
    ".github/actions/a/action.yml": "name: a\ndescription: a\nruns:\n  using: composite\n  steps:\n    - run: echo\n",
    ".github/dependabot.yml": "version: 2\nupdates: []\n",
    ".github/zizmor.yml": "rules: {}\n",
    ".github/yamllint.yml": "extends: default\n",
    "stack.yml": "a: 1\na: 2\n",
    "scripts/a.sh": "#!/bin/sh\nrm -r $1/\n",
}


def lint(folder: Path, expect: int, **environ: str) -> str:
    (folder / "scripts" / "ci").mkdir(parents=True, exist_ok=True)
    script = folder / "scripts" / "ci" / "lint_workflows.sh"
    script.write_text((CI / "lint_workflows.sh").read_text())
    script.chmod(0o755)
    return run(script, cwd=folder, expect=expect, **environ).stderr


@pytest.mark.timeout(900)
def test_each_linter_finds_what_it_is_there_for(repository):
    path = f"{Path(sys.prefix) / 'bin'}:{ROOT / 'build' / 'bin'}:{os.environ['PATH']}"
    for name, text in BROKEN.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text)
    said = lint(repository, 1, PATH=path)
    found = {line.removeprefix("-- ") for line in said.splitlines() if line.startswith("-- ")}
    assert found >= {"zizmor", "check-jsonschema", "shellcheck", "yamllint"}
    if "no actionlint" not in said:
        assert "actionlint" in found


def test_a_missing_linter_is_said_on_a_laptop_and_an_error_in_ci(repository, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("bash", "git", "dirname", "sort", "env"):
        (programs / name).symlink_to(str(shutil.which(name)))
    tools = ("actionlint", "zizmor", "check-jsonschema", "shellcheck", "yamllint")
    assert "no actionlint, going on without" in lint(repository, 0, PATH=str(programs))
    assert "CI must have shellcheck" in lint(repository, 1, PATH=str(programs), CI="true", CI_LACKS="actionlint")
    assert "CI must" not in lint(repository, 0, PATH=str(programs), CI="true", CI_LACKS=" ".join(tools))


# terraform.sh

CONFIGURATION = """
variable "ssh_key_file" {
  type = string
}
variable "token" {
  type      = string
  sensitive = true
  ephemeral = true
}
resource "terraform_data" "one" {
  input = "1"
}
"""


def test_terraform_plans_applies_and_sees_what_is_left_to_do(tmp_path):
    requires_program("terraform")
    folder = tmp_path / "terraform" / "environment"
    folder.mkdir(parents=True)
    (folder / "main.tf").write_text(CONFIGURATION.lstrip())
    (tmp_path / "temporary").mkdir()
    (tmp_path / "cli").touch()
    environ = {
        "TERRAFORM_ROOT": str(tmp_path),
        "TERRAFORM_VARIABLES": '{"token": "s3cret"}',
        "SSH_KEY": "a key",
        "TMPDIR": str(tmp_path / "temporary"),
        "TF_CLI_CONFIG_FILE": str(tmp_path / "cli"),
    }
    for command in ("fmt", "validate", "test"):
        run(CI / "terraform.sh", command, **environ)
    (folder / "main.tf").write_text(CONFIGURATION.replace(" = ", "="))
    run(CI / "terraform.sh", "fmt", expect=3, **environ)
    run(CI / "terraform.sh", "drift", "terraform/environment", expect=3, **environ)
    assert "1 to add" in run(CI / "terraform.sh", "plan", "terraform/environment", **environ).stdout
    run(CI / "terraform.sh", "apply", "terraform/environment", **environ)
    run(CI / "terraform.sh", "drift", "terraform/environment", **environ)
    assert list((tmp_path / "temporary").iterdir()) == [], "files with secrets are gone"
    assert "s3cret" not in (folder / "terraform.tfstate").read_text()


def test_drift_asks_the_servers_too(tmp_path):
    requires_program("terraform")
    folder = tmp_path / "terraform" / "environment"
    folder.mkdir(parents=True)
    (tmp_path / "temporary").mkdir()
    environ = {"TERRAFORM_ROOT": str(tmp_path), "TMPDIR": str(tmp_path / "temporary"), "SSH_KEY": "a key"}

    def apply(machines: str) -> None:
        config = "Host n1\n  HostName 127.0.0.1\n  Port 1\n  User root\n  ConnectTimeout 5\n"
        outputs = {"ssh_config": json.dumps(config), "known_hosts": '""', "applied": '{ node = { n1 = "1" } }'}
        (folder / "main.tf").write_text(
            'variable "ssh_key_file" {\n  type = string\n}\n'
            'resource "terraform_data" "key" {\n  input = var.ssh_key_file\n}\n'
            + "".join(f'output "{name}" {{\n  value = {value}\n}}\n' for name, value in outputs.items())
            + f'output "machines" {{\n  value = {machines}\n}}\n'
        )
        run(CI / "terraform.sh", "apply", "terraform/environment", **environ)

    # The key lies where it lay: that alone is no change.
    apply('{ n1 = { address = "127.0.0.1", port = 1, checked = true } }')
    said = run(CI / "terraform.sh", "drift", "terraform/environment", expect=2, **environ)
    assert "n1 (127.0.0.1): it cannot be reached" in said.stderr


def test_without_terraform_files_there_is_nothing_to_check(tmp_path):
    assert "nothing to check" in run(CI / "terraform.sh", "validate", TERRAFORM_ROOT=str(tmp_path)).stdout

"""
Jobs of ci.yml, run by act on this machine, in a scratch clone: the steps, the composite actions, the scripts they call.

act skips what it has no platform for and stays green, so each test says which jobs must have run. Actions of others
would be fetched; a stub stands in for them, and act passes over a checkout of the own repository.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import pytest

from tests.requires import requires
from tests.unit.ci.workflow_files import ROOT, actions, workflows

pytestmark = pytest.mark.timeout(1800)
STUB = "name: stub\nruns:\n  using: composite\n  steps:\n    - shell: bash\n      run: echo stub\n"
SUCCEEDED = re.compile(r"^\[ci/([\w-]+?)(?:-\d+)?\s*\].*Job succeeded", re.MULTILINE)


def act() -> str:
    found = shutil.which("act", path=f"{ROOT / 'build' / 'bin'}:{os.environ['PATH']}")
    requires(found, "no act (scripts/ci/install_tool.sh act builds it)", "act")
    return str(found)


def git(folder: Path, *arguments: str) -> None:
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of what lies here, committed or not, with an environment of its own that borrows our packages."""
    folder = tmp_path_factory.mktemp("act") / "repository"
    folder.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
        elif name and (ROOT / name).is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to((ROOT / name).readlink())
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "feat: all of it")
    git(folder, "remote", "add", "origin", "https://github.com/jangada/jangada.git")
    # act copies what git does not ignore, and this link is no folder `.venv/`.
    environment = tmp_path_factory.mktemp("environment")
    make_environment(environment)
    (folder / ".venv").symlink_to(environment)
    return folder


def make_environment(target: Path) -> None:
    """Like `make install`, without installing: our packages by a path file, our programs by links."""
    venv.create(target, with_pip=False)
    site = target / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    for program in (Path(sys.prefix) / "bin").iterdir():
        if not (target / "bin" / program.name).exists() and not program.name.startswith(("python", "pip", "activate")):
            (target / "bin" / program.name).symlink_to(program)
    later = time.time() + 86400
    for stamp in (".installed-local", ".installed-dev"):
        (target / stamp).touch()
        os.utime(target / stamp, (later, later))


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    """`--local-repository` for every action of others: a stub in its place."""
    folder = tmp_path_factory.mktemp("stub")
    (folder / "action.yml").write_text(STUB)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "stub")
    foreign = {uses for document in [*workflows(), *actions()] for uses in document.uses() if not uses.startswith("./")}
    # A checkout must stay what it is: act knows by its name that it can be passed over.
    names = sorted(uses for uses in foreign if not uses.startswith("actions/checkout@"))
    return [word for uses in names for word in ("--local-repository", f"{uses}={folder}")]


def run_job(clone: Path, stubs: list[str], home: Path, job: str, *arguments: str) -> str:
    """What act says of *job* and those it needs."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "JANGADA_", "CI"))}
    command = [act(), "push", "--no-cache-server", "-P", "ubuntu-latest=-self-hosted"]
    command += ["-W", ".github/workflows/ci.yml", "-j", job, *stubs, *arguments]
    done = subprocess.run(
        command,
        cwd=clone,
        env=clean | {"XDG_CACHE_HOME": str(home), "PATH": f"{ROOT / 'build' / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    ("job", "arguments", "said"),
    [
        ("unit", ("--matrix", "python:3.12", "--env", "ARGS=-k test_settings"), "passed"),
        ("lint", (), " kept, 0 broken."),
        ("workflows-lint", (), ""),
    ],
)
def test_a_job_of_ci_runs(clone, stubs, tmp_path, job, arguments, said):
    told = run_job(clone, stubs, tmp_path, job, *arguments)
    assert set(SUCCEEDED.findall(told)) == {"changes", job}, told[-4000:]
    assert said in told


def test_a_job_that_fails_fails_the_run(clone, stubs, tmp_path):
    broken = clone / "jangada" / "broken.py"
    broken.write_text("import nothing_of_the_kind\n")
    git(clone, "add", "--all")
    try:
        with pytest.raises(AssertionError, match="nothing_of_the_kind"):
            run_job(clone, stubs, tmp_path, "lint")
    finally:
        broken.unlink()

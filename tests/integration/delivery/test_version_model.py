"""Generated histories: bump_version.sh agrees with a model written from the rules, and repeats itself."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.delivery.histories import Generated, Objects, generate
from tests.integration.delivery.version_model import Answer, Wish, answer
from tests.requires import requires_program

BUMP = Path(__file__).parents[3] / "scripts" / "bump_version.sh"
HISTORIES = int(os.environ.get("VERSION_HISTORIES", "200"))
FIRST_SEED = int(os.environ.get("VERSION_SEED", "1"))

pytestmark = pytest.mark.timeout(600 + 6 * HISTORIES)


def environment() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") and name != "GITHUB_OUTPUT"
    }
    person = {f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {**kept, **person, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def write(made: Generated, objects: Objects, folder: Path) -> None:
    """A repository in *folder* with branch main at the last commit, checked out."""
    git_dir = folder / ".git"
    for part in ("objects", "refs"):
        (git_dir / part).mkdir(parents=True)
    commits = made.history.commits
    rows = [f"{commits[-1].sha} refs/heads/main"]
    for name, at in made.history.tags.items():
        sha = commits[at].sha
        if name in made.annotated:
            sha = objects.add("tag", f"object {sha}\ntype commit\ntag {name}\ntagger A <a@b> 1 +0000\n\nx\n".encode())
        rows.append(f"{sha} refs/tags/{name}")
    objects.write(git_dir)
    (git_dir / "packed-refs").write_text("\n".join(sorted(rows, key=lambda row: row.split()[1])) + "\n")
    (git_dir / "HEAD").write_text("ref: refs/heads/main\n")
    (git_dir / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = false\n")
    subprocess.run(["git", "reset", "--quiet", "--hard"], cwd=folder, env=environment(), check=True, timeout=60)


def arguments(wish: Wish) -> list[str]:
    words = ["--pre-major", wish.pre_major, "--unknown", wish.unknown]
    if wish.pre:
        words += ["--pre", wish.pre]
    if wish.release_as:
        words += ["--release-as", wish.release_as]
    if wish.component:
        words += ["--component", wish.component, "--path", wish.folder]
    return words


def bump(folder: Path, *words: str) -> tuple[Answer, str]:
    done = subprocess.run(
        [BUMP, *words], cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, errors="replace",
        check=False,
    )  # fmt: skip
    if done.returncode:
        assert not done.stdout
        return Answer(done.returncode), done.stderr
    said = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert list(said) == ["version", "previous", "level", "released", "tag"]
    found = Answer(0, said["version"], said["previous"], said["level"], said["released"] == "true")
    return found, done.stderr + done.stdout


def try_seed(seed: int, folder: Path) -> str:
    """What the script and the model disagree on, or nothing."""
    made, objects = generate(seed)
    wish = made.wish
    if wish.component and not any(name.startswith(f"{wish.folder}/") for name in made.files[-1]):
        return ""
    write(made, objects, folder)
    expected = answer(made.history, wish)
    for mode in (["--dry-run"], []) if seed % 4 == 0 else ([],):
        found, reasons = bump(folder, *mode, *arguments(wish))
        if found != expected:
            return f"seed {seed}: {wish} {mode}\nexpected {expected}\nfound    {found}\n{reasons}"
    again, reasons = bump(folder, *arguments(wish))
    repeated = Answer(0, expected.version, again.previous, "none", False) if expected.released else expected
    if again != repeated:
        return f"seed {seed}: {wish}\nthe second run: expected {repeated}\nfound {again}\n{reasons}"
    return ""


def test_the_script_agrees_with_the_model_and_repeats_itself(tmp_path):
    requires_program("git")
    seeds = range(FIRST_SEED, FIRST_SEED + HISTORIES)
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        wrong = [text for text in pool.map(lambda seed: try_seed(seed, tmp_path / str(seed)), seeds) if text]
    assert not wrong, f"{len(wrong)} of {HISTORIES}:\n" + "\n".join(wrong[:5])


def test_the_histories_reach_every_outcome():
    """A generator that only makes easy histories would prove little."""
    outcomes = [answer(made.history, made.wish) for made in (generate(seed)[0] for seed in range(1, 201))]
    assert {found.status for found in outcomes} == {0, 4, 6}
    assert {found.level for found in outcomes if found.released} >= {"patch", "minor", "major"}
    assert sum(found.released for found in outcomes) > 60
    assert sum(found.status == 0 and not found.released for found in outcomes) > 5

"""Generated histories: the same seed, the same commits, tags and options; written as a repository without git."""

from __future__ import annotations

import hashlib
import random
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.delivery.version_model import Commit, History, Wish

WHEN = "1767323045 +0000"
FOLDERS = ("one", "two", "three four")
SUBJECTS = (
    "feat: a", "feat(api): a", "FEAT(x y): a", "feat(a/b, (c)): d", "fix: a", "Fix(core): b", "perf: quicker",
    "docs: a", "style: a", "refactor: a", "test: a", "ci: a", "chore: a", "build: a", "build(deps): a", "build(dev): a",
    "deps: a", "security: a", "chore(release): v1.2.3", "revert: something", 'Revert "feat: lost"', "feat:a", "feat :a",
    "feat !: a", " feat: a", "feat:", "wip: a", "words", "Merge branch 'x'", "fixup! feat: a",
    "$(false) `false` \\0 %s",
    "feature: a", "x!", "--help", "\u2728: a", "feat: a\r", "'\"; exit 1", "BREAKING CHANGE: in the subject",
)  # fmt: skip
MARKED = ("feat!: a", "fix(api)!: a", "chore!: a", "Any!: a", "revert!: a")
BODIES = (
    "BREAKING CHANGE: a", "BREAKING-CHANGE: a", "text\r\nBREAKING CHANGE: a\r\n", "BREAKING CHANGE:",
    "BREAKING CHANGE: \r", "breaking change: a", "* feat!: a\n* fix: b", "* feat: a\n\nBREAKING CHANGE: b",
    " BREAKING CHANGE: a", "words\n\nmore", "Signed-off-by: A <a@b>", "* BREAKING CHANGE: a", "\\0\n$(false)",
)  # fmt: skip
ODD_TAGS = (
    "v2", "v1.2", "v01.2.3", "v2.0.0beta", "v9.0.0-rc.1", "latest", "9.9.9", "V9.9.9", "x/v9.9.9", "v9.9.9.9",
    "v9.9.9+1", "v1.0.0-rc.9", "v1.0.0-rc.10", "v0.2.0-rc.03", "v0.1.0-beta.2", "part/v9.9", "apart/v9.9.9",
)  # fmt: skip
FILES = (None, None, "0.1.0\n", "0.0.0", "junk\n", "1.0.0", "2.5.0\r\n", "0.3.0-rc.1\n", "01.0.0", "", "12.0.0\n")


@dataclass
class Generated:
    """A history with the folders of its files, the options to try, and which tags are annotated."""

    history: History
    wish: Wish
    annotated: frozenset[str]
    files: list[frozenset[str]] = field(default_factory=list)


class Objects:
    """Git's objects as loose files, by their hash."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def add(self, kind: str, content: bytes) -> str:
        whole = b"%s %d\0" % (kind.encode(), len(content)) + content
        sha = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        self.stored[sha] = whole
        return sha

    def tree(self, files: frozenset[str], version_file: str | None) -> str:
        rows = []
        for folder in sorted({name.split("/")[0] for name in files}):
            inside = sorted(name.split("/")[1] for name in files if name.startswith(f"{folder}/"))
            blob = bytes.fromhex(self.add("blob", b"x\n"))
            sub = self.add("tree", b"".join(b"100644 %s\0%s" % (name.encode(), blob) for name in inside))
            rows.append((f"{folder}/", b"40000 %s\0%s" % (folder.encode(), bytes.fromhex(sub))))
        if version_file is not None:
            blob = bytes.fromhex(self.add("blob", version_file.encode()))
            rows.append(("VERSION", b"100644 VERSION\0" + blob))
        return self.add("tree", b"".join(row for _, row in sorted(rows)))

    def write(self, git_dir: Path) -> None:
        for sha, whole in self.stored.items():
            folder = git_dir / "objects" / sha[:2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / sha[2:]).write_bytes(zlib.compress(whole, 1))


def generate(seed: int) -> tuple[Generated, Objects]:
    """The history of *seed*: 1 to 40 commits with branches and merges, 0 to 8 tags, and a set of options."""
    draw = random.Random(seed)
    objects = Objects()
    made = Generated(History(version_file=draw.choice(FILES)), _wish(draw), frozenset())
    tips = [_commit(made, objects, draw.choice(SUBJECTS), (), frozenset())]
    for number in range(draw.randrange(40)):
        kind = draw.random()
        if kind < 0.12 and len(tips) > 1:
            joined = draw.sample(tips, min(len(tips), draw.choice((2, 2, 2, 3))))
            files = frozenset().union(*(made.files[at] for at in joined))
            tips = [tip for tip in tips if tip not in joined]
            tips.append(_commit(made, objects, _message(draw, made), tuple(joined), files))
        else:
            parent = draw.choice(tips if kind > 0.25 else range(len(made.history.commits)))
            folder = draw.choice(FOLDERS)
            files = made.files[parent] | {f"{folder}/{number}"}
            if kind < 0.3:
                files = made.files[parent]
            if parent in tips:
                tips.remove(parent)
            tips.append(_commit(made, objects, _message(draw, made), (parent,), files))
    # HEAD is the last commit: everything else is another branch, or merged at the end.
    if len(tips) > 1 and draw.random() < 0.5:
        files = frozenset().union(*(made.files[at] for at in tips))
        _commit(made, objects, "Merge everything", tuple(tips), files)
    _tag(made, draw)
    return made, objects


def _wish(draw: random.Random) -> Wish:
    component = draw.random() < 0.2
    return Wish(
        pre=draw.choice(("", "", "", "rc", "beta")),
        release_as=draw.choice(("",) * 8 + ("1.0.0", "0.1.0", "3.0.0")),
        component="part" if component else "",
        folder=draw.choice(FOLDERS) if component else "",
        pre_major=draw.choice(("minor", "minor", "major")),
        unknown=draw.choice(("patch", "patch", "patch", "none", "fail")),
    )


def _message(draw: random.Random, made: Generated) -> str:
    if draw.random() < 0.2:
        return _revert(draw, made)
    subject = draw.choice(MARKED if draw.random() < 0.06 else SUBJECTS)
    body = draw.choice(BODIES) if draw.random() < 0.15 else ""
    return subject + (draw.choice(("\n\n", "\n\n", "\n")) + body if body else "") + draw.choice(("\n", ""))


def _revert(draw: random.Random, made: Generated) -> str:
    commits = made.history.commits
    chosen = [draw.choice(commits[-6:]) for _ in range(draw.choice((1, 1, 1, 2)))]
    names = [draw.choice((commit.sha, commit.sha, commit.sha[:12], commit.sha.upper())) for commit in chosen]
    if draw.random() < 0.1:
        names = ["0123456789" * 4]
    subject = draw.choice(
        ('Revert "x"', 'Reapply "x"', "revert: x", "revert(api): x", "REVERT: x", "fix: x", "revert!: x")
    )
    joined = draw.choice(("\nThis reverts commit ", "\n\nThis reverts commit "))
    if len(names) > 1 and draw.random() < 0.5:
        return f"{subject}\n\nThis reverts commits {names[0]}, {names[1]}.\n"
    return subject + "\n" + "".join(f"{joined}{name}." for name in names) + "\n"


def _commit(made: Generated, objects: Objects, message: str, parents: tuple[int, ...], files: frozenset[str]) -> int:
    commits = made.history.commits
    head = [f"tree {objects.tree(files, made.history.version_file)}"]
    head += [f"parent {commits[at].sha}" for at in parents]
    head += [f"author A <a@example.org> {WHEN}", f"committer A <a@example.org> {WHEN}", "", message]
    sha = objects.add("commit", "\n".join(head).encode())
    # A merge touches a folder when that differs from what every parent has there.
    touched = (
        folder
        for folder in FOLDERS
        if all(_in(files, folder) != _in(made.files[at], folder) for at in parents) and (parents or _in(files, folder))
    )
    commits.append(Commit(sha, message, parents, frozenset(touched)))
    made.files.append(files)
    return len(commits) - 1


def _in(files: frozenset[str], folder: str) -> frozenset[str]:
    return frozenset(name for name in files if name.startswith(f"{folder}/"))


def _tag(made: Generated, draw: random.Random) -> None:
    tags = made.history.tags
    for _ in range(draw.randrange(9)):
        if draw.random() < 0.4:
            name = draw.choice(ODD_TAGS)
        else:
            prefix = draw.choice(("v", "v", "part/v")) if made.wish.component else "v"
            name = f"{prefix}{draw.choice((0, 0, 1, 2))}.{draw.choice((0, 1, 2, 9, 10))}.{draw.choice((0, 1, 9))}"
        tags[name] = draw.randrange(len(made.history.commits))
    made.annotated = frozenset(name for name in tags if draw.random() < 0.5)

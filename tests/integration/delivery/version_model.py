"""
What the next version must be, written from the rules and not from the script: a second opinion for the tests.

It sees a history as data (commits, tags, the VERSION file), never a repository.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

PATCH = {"fix", "perf", "revert", "security", "deps"}
NONE = {"docs", "style", "refactor", "test", "ci", "chore", "build"}
LEVELS = ("none", "patch", "minor", "major")

_HEADER = re.compile(r"(?P<type>[^\s():!]+)(?:\((?P<scope>(?:[^()]|\([^()]*\))*)\))?(?P<mark>!)?:[ \t]+\S")
_STRICT = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
_BREAKING = re.compile(r"BREAKING[ -]CHANGE:[ \t]+\S")
_GIT_REVERT = re.compile(r'(?:Revert|Reapply) ".+"')
_NAMED = re.compile(r"^This reverts commits? (.*)$", re.MULTILINE)
_HASH = re.compile(r"[0-9a-fA-F]{4,64}")

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Commit:
    """One commit: parents and hash by position in `History.commits`, touched folders by name."""

    sha: str
    message: str
    parents: tuple[int, ...]
    folders: frozenset[str] = frozenset()


@dataclass
class History:
    """Commits in the order they were made; the last one is HEAD."""

    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, int] = field(default_factory=dict)
    version_file: str | None = None


@dataclass(frozen=True)
class Wish:
    """The options of a run."""

    pre: str = ""
    release_as: str = ""
    component: str = ""
    folder: str = ""
    pre_major: str = "minor"
    unknown: str = "patch"


@dataclass(frozen=True)
class Answer:
    """What a run must say; of a refused one only `status` counts."""

    status: int
    version: str = ""
    previous: str = ""
    level: str = "none"
    released: bool = False


def answer(history: History, wish: Wish) -> Answer:
    """The next version of *history* under *wish*."""
    prefix = f"{wish.component}/v" if wish.component else "v"
    head = len(history.commits) - 1
    reached = _ancestors(history, head)
    tagged = {version: at for name, at in history.tags.items() if (version := _strict(name, prefix))}
    base = max((version for version, at in tagged.items() if at in reached), default=None)
    standing = None if wish.component else _file_version(history.version_file)
    if _ahead(history, wish, standing, base, prefix, reached):
        return Answer(4)
    previous = _text(base) if base else ""

    if done := _done_already(history, wish, tagged, prefix):
        return Answer(0, done, previous)

    behind = _ancestors(history, tagged[base]) if base else set()
    level, unknown = _level(history, sorted(reached - behind), wish)
    if unknown and wish.unknown == "fail":
        return Answer(6)

    if wish.release_as:
        target = _strict(f"v{wish.release_as}", "v")
        floor = base or standing
        if floor and (target < floor or (base and target == base)):
            return Answer(4)
        if base:
            level = next(name for name, a, b in zip(("major", "minor", "patch"), base, target, strict=True) if a != b)
    elif base is None:
        target = standing if standing and standing > (0, 0, 0) else (0, 1, 0)
    elif level == "none":
        return Answer(0, previous, previous)
    else:
        if base[0] == 0 and level == "major":
            level = wish.pre_major
        target = _raised(base, level)

    version = _text(target) + (f"-{wish.pre}.{_next_number(history, prefix, target, wish.pre)}" if wish.pre else "")
    if prefix + version in history.tags:
        return Answer(4)
    return Answer(0, version, previous, level, released=True)


def _done_already(history: History, wish: Wish, tagged: dict[Version, int], prefix: str) -> str:
    """The version that HEAD has, when that is what is wished for."""
    head = len(history.commits) - 1
    here = [version for version, at in tagged.items() if at == head]
    if here and wish.release_as in ("", _text(max(here))):
        return _text(max(here))
    same = [name for name, at in history.tags.items() if at == head and _candidate(name, prefix, wish.pre)]
    if wish.pre and same and (not wish.release_as or same[-1].startswith(f"{prefix}{wish.release_as}-")):
        return same[-1].removeprefix(prefix)
    return ""


def _next_number(history: History, prefix: str, target: Version, pre: str) -> int:
    start = f"{prefix}{_text(target)}-{pre}."
    taken = [name.removeprefix(start) for name in history.tags if name.startswith(start)]
    return 1 + max([int(number) for number in taken if re.fullmatch("0|[1-9][0-9]*", number)], default=0)


def _ancestors(history: History, start: int) -> set[int]:
    seen, waiting = {start}, [start]
    while waiting:
        for parent in history.commits[waiting.pop()].parents:
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return seen


def _strict(name: str, prefix: str) -> Version | None:
    found = _STRICT.fullmatch(name.removeprefix(prefix)) if name.startswith(prefix) else None
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _candidate(name: str, prefix: str, pre: str) -> bool:
    number = r"(0|[1-9][0-9]*)"
    return bool(re.fullmatch(rf"{re.escape(prefix)}{number}\.{number}\.{number}-{re.escape(pre)}\.{number}", name))


def _text(version: Version) -> str:
    return ".".join(map(str, version))


def _file_version(text: str | None) -> Version | None:
    line = (text or "").split("\n")[0].strip()
    found = re.match(_STRICT.pattern + r"(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?\Z", line)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _ahead(
    history: History, wish: Wish, standing: Version | None, base: Version | None, prefix: str, reached: set[int]
) -> bool:
    if not standing or not base or standing <= base:
        return False
    words = (history.version_file or "").split("\n")[0].strip()
    if "-" in words and history.tags.get(prefix + words) in reached:
        return False
    return not wish.release_as or _strict(f"v{wish.release_as}", "v") < standing


def _raised(version: Version, level: str) -> Version:
    major, minor, patch = version
    return {"major": (major + 1, 0, 0), "minor": (major, minor + 1, 0), "patch": (major, minor, patch + 1)}[level]


def _level(history: History, span: list[int], wish: Wish) -> tuple[str, bool]:
    """The highest level of the commits in *span*, and whether one of them was of no known type."""
    if wish.folder:
        span = [at for at in span if wish.folder in history.commits[at].folders]
    shas = {history.commits[at].sha: at for at in span}
    undone: set[int] = set()
    quiet: set[int] = set()
    # From the newest to the oldest: a commit can only be undone by a newer one, whose own fate is known by then.
    for at in reversed(span):
        names = _targets(history.commits[at])
        inside = [found for name in names if (found := _find(name, shas)) is not None]
        if names and len(inside) == len(names):
            quiet.add(at)
        if at not in undone:
            undone.update(inside)
    highest, unknown = 0, False
    for at in span:
        if at in undone or at in quiet:
            continue
        level = _own_level(history.commits[at])
        if level == "unknown":
            unknown = True
            level = "patch" if wish.unknown == "patch" else "none"
        highest = max(highest, LEVELS.index(level))
    return LEVELS[highest], unknown


def _lines(message: str) -> list[str]:
    lines = [line.rstrip() for line in message.split("\n")]
    while lines and not lines[0]:
        lines.pop(0)
    return lines or [""]


def _own_level(commit: Commit) -> str:
    subject, *body = _lines(commit.message)
    if any(_BREAKING.match(line) for line in body):
        return "major"
    if len(commit.parents) > 1:
        return "none"
    found = _HEADER.match(subject)
    if not found:
        return "patch" if _GIT_REVERT.match(subject) else "unknown"
    kind, scope = found["type"].lower(), (found["scope"] or "").lower()
    if found["mark"]:
        return "major"
    if kind == "feat":
        return "minor"
    if kind in PATCH or (kind == "build" and scope == "deps"):
        return "patch"
    return "none" if kind in NONE else "unknown"


def _targets(commit: Commit) -> list[str]:
    """The hashes that a revert names; nothing for anything else."""
    subject, *_ = _lines(commit.message)
    found = _HEADER.match(subject)
    says_so = found["type"].lower() == "revert" if found else _GIT_REVERT.match(subject)
    if not says_so or len(commit.parents) > 1:
        return []
    text = commit.message.replace("\r", "")
    return [sha.lower() for words in _NAMED.findall(text) for sha in _HASH.findall(words)]


def _find(name: str, shas: dict[str, int]) -> int | None:
    return next((at for sha, at in shas.items() if sha.startswith(name)), None)

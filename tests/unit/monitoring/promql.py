"""What a PromQL expression asks for. No parser: enough to compare names and labels with what our code shows."""

from __future__ import annotations

import re

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^}]*\})?(?!\s*\(|[a-zA-Z0-9_:])")
_WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring"}


def selectors(expression: str) -> dict[str, set[str]]:
    """Metric name → the labels by which it is selected."""
    text = _STRING.sub('""', expression)
    text = _GROUPING.sub(" ", text)
    text = re.sub(r"\[[^\]]*\]", "", text)
    found: dict[str, set[str]] = {}
    for name, matchers in _SELECTOR.findall(text):
        if name not in _WORDS:
            found.setdefault(name, set()).update(re.findall(r"([a-zA-Z_]\w*)\s*[=!]", matchers))
    return found


def groupings(expression: str) -> set[str]:
    """The labels that anything is grouped or matched by."""
    words = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression)
    return {label.strip() for group in words for label in group.split(",") if label.strip()}

"""A value found on a page, with the words that show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """*value* as normalised, and where it stands: line index and characters `start` to `end` of the reading's text."""

    value: str
    confidence: float
    line: int
    start: int
    end: int
    text: str
    """As it was read."""

"""Labels and their values: beside, below or after a colon, as forms and tables print them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from documents.facts.folding import fold
from documents.lines import Line, Reading, same_row


@dataclass(frozen=True)
class Labelled:
    """The text that stands for a label, and the index of its line."""

    value: str
    line: int
    label: str
    label_line: int


_AFTER = re.compile(r"^\s*(?:[:\-–—.=]|\s)\s*")
_LOOKS_LIKE_LABEL = re.compile(r":\s*$")


def labelled_values(reading: Reading, label: str, accept: Callable[[str], str | None]) -> Iterator[Labelled]:
    """
    Yield what stands for each occurrence of *label* (a pattern on folded text, at the start of a line or cell).

    *accept* returns the usable part of a candidate, or nothing. Tried in this order: the rest of the
    line, the cell to the right, the line below, the one under that.
    """
    pattern = re.compile(rf"(?:^|(?<=[\s(•*-]))(?:{label})(?!\w)")
    for index, line in enumerate(reading.lines):
        folded = fold(line.text)
        match = pattern.match(folded) or pattern.search(folded[:60])
        if match is None:
            continue
        rest = line.text[match.end() :]
        # A word in the middle of a sentence is no label unless a colon makes it one.
        if match.start() > 3 and not re.match(r"\s*(?:\([^)]*\))?\s*:", rest):
            continue
        for place, candidate in _candidates(reading, index, line, rest):
            value = accept(candidate)
            if value:
                yield Labelled(value, place, match.group(0), index)
                break


def _candidates(reading: Reading, index: int, line: Line, rest: str) -> Iterator[tuple[int, str]]:  # noqa: ARG001
    tail = re.sub(r"^\s*\([^)]*\)", "", rest)
    tail = _AFTER.sub("", tail, count=1).strip()
    if tail:
        yield index, tail
        # A whole phrase after the word: it was part of a sentence, and what is below is not its value.
        if len(tail) > 25:
            return
    right = cell_to_the_right(reading, index)
    under = cells_below(reading, index)
    # In a row of labels the values are below; else the neighbour comes first.
    if right is not None and not _LOOKS_LIKE_LABEL.search(reading.lines[right].text):
        yield right, reading.lines[right].text
    for below in under[:2]:
        yield below, reading.lines[below].text


def cell_to_the_right(reading: Reading, index: int) -> int | None:
    """The next cell of the same row, if there is one."""
    here = reading.lines[index]
    best: int | None = None
    for other, line in enumerate(reading.lines):
        follows = other != index and line.left >= here.right - 0.3 * here.height and same_row(here, line)
        if follows and (best is None or line.left < reading.lines[best].left):
            best = other
    return best


def cells_below(reading: Reading, index: int) -> list[int]:
    """Lines under this one within about three line heights, that start near it or overlap it, nearest first."""
    here = reading.lines[index]
    reach = 3.2 * max(here.height, reading.median_height)
    under = []
    for other, line in enumerate(reading.lines):
        gap = line.top - here.bottom
        if other == index or not -0.4 * here.height < gap < reach or line.middle <= here.bottom:
            continue
        overlap = min(line.right, here.right) - max(line.left, here.left)
        aligned = abs(line.left - here.left) < 1.5 * here.height
        if aligned or overlap > 0.4 * min(line.right - line.left, here.right - here.left):
            under.append((gap, abs(line.left - here.left), other))
    return [other for _, _, other in sorted(under)]


def header_above(reading: Reading, index: int) -> str:
    """Folded text of the nearest line above that overlaps this one and is not a number; empty when there is none."""
    here = reading.lines[index]
    best: tuple[float, str] | None = None
    for line in reading.lines:
        gap = here.top - line.bottom
        if gap < -0.4 * here.height or line.middle >= here.top or gap > 0.6 * reading.height:
            continue
        if min(line.right, here.right) - max(line.left, here.left) <= 0:
            continue
        letters = sum(character.isalpha() for character in line.text)
        digits = sum(character.isdigit() for character in line.text)
        if letters > digits and (best is None or gap < best[0]):
            best = (gap, fold(line.text))
    return best[1] if best else ""


def row_before(reading: Reading, index: int) -> str:
    """Folded text of the cells to the left in the same row."""
    here = reading.lines[index]
    return " ".join(
        fold(line.text)
        for line in reading.lines
        if line is not here and line.right <= here.left + 0.3 * here.height and same_row(line, here)
    )

"""What was read from one page: segments of text with their place, and the order in which they are read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Line:
    """A run of text without a wide gap: a printed line, or one cell of a table row."""

    text: str
    confidence: float
    """0 to 1."""
    left: float
    top: float
    right: float
    bottom: float
    """Place on the prepared page, in its pixels."""

    @property
    def height(self) -> float:
        """Pixels from top to bottom."""
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        """The vertical centre."""
        return (self.top + self.bottom) / 2

    @property
    def centre(self) -> float:
        """The horizontal centre."""
        return (self.left + self.right) / 2

    def corners(self, to_source: np.ndarray) -> list[list[int]]:
        """The four corners, clockwise from the top left, in the pixels of the page as it was stored."""
        points = np.array(
            [
                [self.left, self.top, 1],
                [self.right, self.top, 1],
                [self.right, self.bottom, 1],
                [self.left, self.bottom, 1],
            ],
            dtype=np.float64,
        )
        mapped = points @ to_source.T
        return [[round(x / w), round(y / w)] for x, y, w in mapped]


@dataclass(frozen=True)
class Reading:
    """The lines of one page, in reading order; `breaks[i]` is what stands before line *i* in the text."""

    lines: list[Line]
    width: int
    height: int
    text: str = field(init=False)
    offsets: list[int] = field(init=False)
    """Where each line begins in `text`."""

    def __post_init__(self) -> None:
        parts: list[str] = []
        offsets: list[int] = []
        length = 0
        for index, line in enumerate(self.lines):
            if index:
                gap = "  " if same_row(self.lines[index - 1], line) else "\n"
                parts.append(gap)
                length += len(gap)
            offsets.append(length)
            parts.append(line.text)
            length += len(line.text)
        object.__setattr__(self, "text", "".join(parts))
        object.__setattr__(self, "offsets", offsets)

    def line_at(self, offset: int) -> int:
        """The index of the line that holds the character *offset* of `text`."""
        return max(0, int(np.searchsorted(self.offsets, offset, side="right")) - 1)

    @property
    def confidence(self) -> float:
        """Mean confidence, weighted by length; 0 for an empty page. High values do not prove that nothing is missing."""  # noqa: E501
        letters = sum(len(line.text) for line in self.lines)
        return sum(line.confidence * len(line.text) for line in self.lines) / letters if letters else 0.0

    @property
    def median_height(self) -> float:
        """Height of a usual line in pixels; 1 on an empty page."""
        return float(np.median([line.height for line in self.lines])) if self.lines else 1.0


def same_row(left: Line, right: Line) -> bool:
    """True when *right* continues the row of *left*, to its right."""
    overlap = min(left.bottom, right.bottom) - max(left.top, right.top)
    return overlap > 0.5 * min(left.height, right.height) and right.left >= left.left


def in_reading_order(lines: list[Line], width: int) -> list[Line]:
    """Sort *lines* into rows from top to bottom; running text in two columns is read column by column."""
    split = _column_split(lines, width)
    if split is not None:
        above, left, right, below = split
        return _by_rows(above) + _by_rows(left) + _by_rows(right) + _by_rows(below)
    return _by_rows(lines)


def _by_rows(lines: list[Line]) -> list[Line]:
    ordered: list[Line] = []
    row: list[Line] = []
    for line in sorted(lines, key=lambda item: item.middle):
        # Compared with the row's first line, not its last: a slanted row must not swallow the next one.
        if row and line.middle - row[0].middle > 0.5 * min(line.height, row[0].height):
            ordered += sorted(row, key=lambda item: item.left)
            row = []
        row.append(line)
    return ordered + sorted(row, key=lambda item: item.left)


def _column_split(lines: list[Line], width: int) -> tuple[list[Line], list[Line], list[Line], list[Line]] | None:
    """Cut at a gutter near the page's middle when both sides hold running text, else nothing."""
    best: tuple[list[Line], list[Line]] | None = None
    for cut in np.linspace(0.4, 0.6, 9) * width:
        left = [line for line in lines if line.right <= cut]
        right = [line for line in lines if line.left >= cut]
        # A table has short cells; a column of prose has long lines. Only prose is read downwards.
        prose = all(len(side) >= 4 and np.median([len(line.text) for line in side]) >= 25 for side in (left, right))
        if prose and (best is None or len(left) + len(right) > len(best[0]) + len(best[1])):
            best = (left, right)
    if best is None:
        return None
    left, right = best
    top = max(min(line.top for line in left), min(line.top for line in right))
    bottom = min(max(line.bottom for line in left), max(line.bottom for line in right))
    chosen = {id(line) for line in left + right}
    rest = [line for line in lines if id(line) not in chosen]
    if any(top < line.middle < bottom for line in rest):
        return None
    above = [line for line in lines if line.bottom <= top or (id(line) not in chosen and line.middle <= top)]
    lifted = {id(line) for line in above}
    below = [line for line in rest if id(line) not in lifted]
    return (
        above,
        [item for item in left if id(item) not in lifted],
        [item for item in right if id(item) not in lifted],
        below,
    )

"""
Reads again, with the other engine, the few lines of which tesseract made nothing sensible.

A line of which it is not half sure is mostly garbage: in a crooked column two printed lines run into
one, a number in a typewriter's font becomes punctuation. The neural engine reads such strips as a rule.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from documents.engines.engine import Engine
from documents.lines import Line, Reading, in_reading_order
from documents.prepare import Prepared
from documents.spelling import mended

UNSURE = 0.5
MAX_LINES = 8
"""More unsure lines than this are a bad page, which is read as a whole by the other engine instead."""
_SURE = 0.95
_SEVERAL_LINES = 1.8
"""A line so many times as high as usual holds more than one."""
_LONG = 3.0


def reread(reading: Reading, page: Prepared, other: Engine, lang: list[str]) -> Reading:
    """*reading* with its unsure lines as *other* reads them, where it is sure; the same object when nothing changed."""
    unsure = [line for line in reading.lines if line.confidence < UNSURE]
    if not unsure or len(unsure) > MAX_LINES:
        return reading
    usual = reading.median_height
    lines: list[Line] = []
    changed = False
    for line in reading.lines:
        again = _lines_at(line, page, other, lang, usual) if line.confidence < UNSURE else []
        changed |= bool(again)
        lines += again or [line]
    if not changed:
        return reading
    return Reading(
        in_reading_order(_without_scraps(lines, reading.lines), reading.width), reading.width, reading.height
    )


def _lines_at(line: Line, page: Prepared, other: Engine, lang: list[str], usual: float) -> list[Line]:
    """What *other* is sure to see where *line* is; nothing when it is not sure of every part."""
    holds_several = line.height > _SEVERAL_LINES * usual and line.right - line.left > _LONG * line.height
    pad = 0.35 * usual
    height, width = page.image.shape[:2]
    left, top = max(0, int(line.left - pad)), max(0, int(line.top - pad))
    right, bottom = min(width, int(line.right + pad)), min(height, int(line.bottom + pad))
    crop = page.image[top:bottom, left:right]
    if min(crop.shape[:2]) < 4:
        return []
    if not holds_several:
        text, confidence = other.read_strip(crop)
        return [replace(line, text=mended(text), confidence=confidence)] if confidence >= _SURE and text else []
    place = np.array([[1, 0, left], [0, 1, top], [0, 0, 1]], dtype=np.float64)
    found = other.read(replace(page, image=crop, to_source=page.to_source @ place), lang)
    if len(found) < 2 or min(part.confidence for part in found) < _SURE:
        return []
    return [
        Line(mended(part.text), part.confidence, part.left + left, part.top + top, part.right + left, part.bottom + top)
        for part in found
    ]


def _without_scraps(lines: list[Line], before: list[Line]) -> list[Line]:
    """Without the scraps (single letters) that tesseract left inside an area that is read well now."""
    fresh = [line for line in lines if line not in before]

    def is_scrap(line: Line) -> bool:
        return len(line.text) <= 2 and any(
            area.left <= line.centre <= area.right and area.top <= line.middle <= area.bottom for area in fresh
        )

    return [line for line in lines if line in fresh or not is_scrap(line)]

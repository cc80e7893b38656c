"""Reads one page: prepares it, turns it upright, recognises it, and looks again where something is amiss."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from documents.engines.engine import Engine, EngineName
from documents.garbled import reread
from documents.lines import Line, Reading
from documents.pages import SourcePage
from documents.prepare import Prepared, as_is, grey, ink_outside, prepare
from documents.spelling import mended

UNCOVERED_LIMIT = 0.12
"""Share of text-like ink outside of all words above which paragraphs were probably skipped."""
_POOR_CONFIDENCE = 0.62


@dataclass(frozen=True)
class PageReading:
    """What one page says, and how it was found out."""

    number: int
    source: np.ndarray
    """The stored page's pixels."""
    page: Prepared
    reading: Reading
    engine: EngineName
    uncovered: float
    """Share of the text-like ink that no line covers."""
    timings_ms: dict[str, float] = field(default_factory=dict)

    @property
    def is_blank(self) -> bool:
        """True when no text was found."""
        return not self.reading.lines

    def box(self, line: Line) -> list[list[int]]:
        """Corners of *line* in the stored page's pixels."""
        return line.corners(self.page.to_source)


def read_page(
    source: SourcePage,
    engine: Engine,
    *,
    lang: list[str],
    dpi: int | None = None,
    clean: bool = False,
    other: Engine | None = None,
) -> PageReading:
    """
    Read *source* with *engine*; with *other* at hand, read again with it when text seems to be missing.

    *dpi* overrides what the file declares. *clean* skips the preparation.
    """
    started = time.perf_counter()
    page = (as_is if clean else prepare)(source.image, dpi or source.dpi)
    prepared = time.perf_counter()
    best = _read_upright(source, page, engine, lang)
    read = time.perf_counter()
    if other is not None and (best.uncovered > UNCOVERED_LIMIT or _reads_poorly(best.reading)):
        second = _read_upright(source, page, other, lang)
        if _worth(second.reading) > 1.02 * _worth(best.reading):
            best = second
    if other is not None and best.engine == "tesseract":
        best = replace(best, reading=reread(best.reading, best.page, other, lang))
    best.timings_ms.update(
        prepare=round(1000 * (prepared - started), 1),
        recognise=round(1000 * (read - prepared), 1),
        second_engine=round(1000 * (time.perf_counter() - read), 1),
    )
    return best


def _read_upright(source: SourcePage, page: Prepared, engine: Engine, lang: list[str]) -> PageReading:
    upright = engine.upright(page)
    best = _read(upright, engine, lang)
    if _stands(best):
        # Tesseract reads lines that run up the page, but their boxes and their order are then of no use.
        sides = [(_read(turned, engine, lang), turned) for turned in (upright.turned(90), upright.turned(270))]
        best, upright = max(sides, key=lambda side: _worth(side[0]))
    elif best.lines and _reads_poorly(best):
        # The engine was wrong or unsure about what is up: let the readings themselves decide.
        for degrees in (180, 90, 270):
            turned = upright.turned(degrees)
            reading = _read(turned, engine, lang)
            if _worth(reading) > 1.3 * _worth(best):
                best, upright = reading, turned
            if not _reads_poorly(best):
                break
    boxes = [(line.left, line.top, line.right, line.bottom) for line in best.lines]
    return PageReading(source.number, source.image, upright, best, engine.name, ink_outside(upright.image, boxes))


def _read(page: Prepared, engine: Engine, lang: list[str]) -> Reading:
    height, width = page.image.shape[:2]
    lines = [replace(line, text=mended(line.text)) for line in engine.read(page, lang)]
    return Reading(lines, width, height)


def _reads_poorly(reading: Reading) -> bool:
    return bool(reading.lines) and reading.confidence < _POOR_CONFIDENCE


def _stands(reading: Reading) -> bool:
    """True when most of the text runs up or down the page."""
    long = [line for line in reading.lines if len(line.text) >= 4]
    return sum(len(line.text) for line in long if line.height > 1.5 * (line.right - line.left)) > 0.5 * sum(
        len(line.text) for line in long
    )


def _worth(reading: Reading) -> float:
    """How much was read with how much certainty; noise in the wrong orientation is unsure and short."""
    return sum(line.confidence**2 * len(line.text.replace(" ", "")) for line in reading.lines)


def strip_of(result: PageReading, line: Line, *, scale: float = 1.5) -> np.ndarray:
    """
    The picture of one line, *scale* times as large as on the prepared page, with a little paper around it.

    Taken from the stored page, which usually has more pixels than the prepared one.
    """
    pad = 0.3 * line.height
    left, top = line.left - pad, line.top - pad
    width, height = round((line.right - left + pad) * scale), round((line.bottom - top + pad) * scale)
    place = np.array([[1 / scale, 0, left], [0, 1 / scale, top], [0, 0, 1]], dtype=np.float64)
    strip = cv2.warpPerspective(
        grey(result.source),
        result.page.to_source @ place,
        (max(8, width), max(8, height)),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    low, high = np.percentile(strip, (2, 90))
    stretched = (strip.astype(np.float32) - low) * (255.0 / max(1.0, float(high - low)))
    return stretched.clip(0, 255).astype(np.uint8)

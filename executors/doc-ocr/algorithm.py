"""Reads scanned documents: text, lines with their place, orientation and skew, page by page."""

from __future__ import annotations

import time

from documents.engines.engine import Engines
from documents.request import PageRequest, read_document
from pydantic import BaseModel, Field

from jangada.algorithms.authoring import Context


class In(PageRequest):
    """A scanned document to read."""


class TextLine(BaseModel):
    """One printed line, or one cell of a table row."""

    text: str
    box: list[list[int]] = Field(
        description="Four corners [x, y], clockwise from the top left of the text, in pixels of the page."
    )
    confidence: float = Field(description="0 to 1.")


class PageText(BaseModel):
    """What one page says."""

    page: int = Field(description="Number of the page, from 1.")
    text: str
    lines: list[TextLine]
    orientation: int = Field(
        description="Degrees clockwise by which the stored page had to be turned: 0, 90, 180 or 270."
    )
    skew_deg: float = Field(description="Angle of the text lines after that turn, counter-clockwise positive.")
    dpi: int | None = Field(description="Resolution the file declares; null when unknown.")
    confidence: float = Field(description="Mean confidence. It does not show skipped text: see `uncovered`.")
    uncovered: float = Field(description="Share of the ink that looks like text and was not read, 0 to 1.")
    engine: str


class Out(BaseModel):
    """The text of a document."""

    text: str = Field(description="Text of all pages read, separated by form feeds.")
    pages: list[PageText]
    pages_total: int = Field(description="Pages the file has; more than in `pages` when `max_pages` cut it short.")
    engine: str = Field(description="Engine asked first; a page tells when another one read it.")
    timings_ms: dict[str, float]


class DocOcr:
    """See the module."""

    def setup(self) -> None:
        """Load the engine that `auto` means, so that no job pays for it."""
        self._engines = Engines()
        self._engines.choose()

    def run(self, input: In, context: Context) -> Out:
        """Read the wanted pages. Raises `InvalidInput` for a file that holds no readable page."""
        started = time.perf_counter()
        pages: list[PageText] = []
        total = 0
        for document, source, result in read_document(input, self._engines, context):
            total = document.page_count
            lines = [
                TextLine(text=line.text, box=result.box(line), confidence=round(line.confidence, 3))
                for line in result.reading.lines
            ]
            pages.append(
                PageText(
                    page=source.number,
                    text=result.reading.text,
                    lines=lines,
                    orientation=result.page.orientation,
                    skew_deg=round(result.page.skew_deg, 2),
                    dpi=input.dpi or source.master.dpi,
                    confidence=round(result.reading.confidence, 3),
                    uncovered=round(result.uncovered, 3),
                    engine=result.engine,
                )
            )
        return Out(
            text="\f".join(page.text for page in pages),
            pages=pages,
            pages_total=total,
            engine=self._engines.choose(input.engine).name,
            timings_ms={"total": round(1000 * (time.perf_counter() - started), 1)},
        )

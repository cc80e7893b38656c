"""What every document algorithm is asked: a file, which pages, which engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from documents.engines.engine import Engine, Engines
from documents.pages import Document, SourcePage, open_document
from documents.reading import PageReading, read_page
from jangada.algorithms.authoring import Context, File


class PageRequest(BaseModel):
    """A scanned document and how to read it."""

    model_config = ConfigDict(extra="forbid")

    page: File = Field(description="The scan: PDF, TIFF (all of its pages are read), JPEG, PNG, BMP, GIF or WebP.")
    lang: list[Literal["por", "eng"]] = Field(
        default=["por", "eng"],
        min_length=1,
        max_length=2,
        description="Languages expected on the page. Portuguese models read English as well.",
    )
    dpi: int | None = Field(
        default=None,
        ge=50,
        le=2400,
        description="Resolution of the scan when the file does not say it or says it wrong.",
    )
    pages: list[Annotated[int, Field(ge=1, le=100_000)]] | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Numbers of the pages to read, from 1, in this order. All pages when left out.",
    )
    max_pages: int = Field(
        default=20, ge=1, le=200, description="At most so many pages are read; `pages_total` tells of more."
    )
    engine: Literal["auto", "tesseract", "rapidocr"] = Field(
        default="auto", description="Recognition engine; `auto` takes the best one installed."
    )
    prepare: bool = Field(
        default=True,
        description="Even out the light, straighten and cut out the sheet before reading. Off only for clean pages.",
    )


def wanted_pages(request: PageRequest, document: Document) -> list[int]:
    """The page numbers to read, at most `max_pages`."""
    numbers = request.pages or list(range(1, document.page_count + 1))
    return numbers[: request.max_pages]


def read_document(
    request: PageRequest, engines: Engines, context: Context
) -> Iterator[tuple[Document, SourcePage, PageReading]]:
    """
    Read the wanted pages one by one; yields the document, the page and its reading.

    Reports progress and notices a cancel between pages. Raises `InvalidInput`.
    """
    engine = engines.choose(request.engine)
    document = open_document(request.page.path)
    numbers = wanted_pages(request, document)
    other: Engine | None = engines.other(engine) if request.engine == "auto" else None
    for done, source in enumerate(document.pages(numbers)):
        context.progress(done / len(numbers), f"page {source.number} ({done + 1} of {len(numbers)})")
        reading = read_page(
            source, engine, lang=list(request.lang), dpi=request.dpi, clean=not request.prepare, other=other
        )
        yield document, source, reading
    context.progress(1.0)

"""Opens an uploaded file and hands out its pages as pixels, or says in one line why it cannot."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pypdfium2 as pdfium
from PIL import Image, ImageOps, UnidentifiedImageError

from jangada.algorithms.authoring import InvalidInput

Colour = Literal["bilevel", "grey", "colour"]

EXPECTED = "expected a PDF, TIFF, JPEG, PNG, BMP, GIF or WebP of a page"
MAX_PIXELS = 100_000_000
"""Pages with more pixels are refused before a single one is decoded: an A4 page at 600 dpi has 35 million."""
COMFORTABLE_PIXELS = 40_000_000
"""Larger pages are halved while loading: recognition works at 200 dpi, and memory is finite."""
PDF_DPI = 200
PDF_PIXELS = 25_000_000
# Phones' MPO files come in through JPEG.
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")
_LOSSY = {"JPEG", "MPO", "JPEG2000", "WEBP", "GIF"}
_LOSSY_TIFF = {"jpeg", "tiff_jpeg", "webp"}
# A resolution outside of this range says nothing about the sheet: 72 and 96 are what software writes when it
# does not know.
_PLAUSIBLE_DPI = range(100, 2401)


@dataclass(frozen=True)
class Master:
    """What the stored file says of itself: the facts that Annex I of Decreto 10.278/2020 asks about."""

    format: str
    lossless: bool
    pdf_a: bool
    born_digital: bool
    dpi: int | None
    colour: Colour


@dataclass(frozen=True)
class SourcePage:
    """One page as pixels, upright as far as its EXIF tag tells."""

    number: int
    image: np.ndarray
    """Height × width × 3, blue-green-red, 8 bits; or height × width for pages without colour."""
    dpi: int | None
    """Resolution of `image`, if known; `master.dpi` is that of the stored file."""
    master: Master


@dataclass(frozen=True)
class Document:
    """An opened file: `page_count` pages, of which `pages` reads those asked for, one at a time."""

    path: Path
    page_count: int
    is_pdf: bool

    def pages(self, numbers: list[int]) -> Iterator[SourcePage]:
        """
        Yield the pages *numbers* (from 1) in that order, each decoded when it is asked for.

        Raises `InvalidInput` for a number the file does not have and for content that cannot be decoded.
        """
        for number in numbers:
            if not 1 <= number <= self.page_count:
                raise InvalidInput(f"page {number} was asked for, but the file has {self.page_count} page(s)")
        if self.is_pdf:
            yield from _pdf_pages(self.path, numbers)
        else:
            yield from _image_pages(self.path, numbers)


def open_document(path: Path) -> Document:
    """Look at the file's first bytes and structure, decoding no pixels. Raises `InvalidInput`."""
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise InvalidInput(f"the file is empty (0 bytes); {EXPECTED}")
    with path.open("rb") as stream:
        head = stream.read(1024)
    if b"%PDF-" in head:
        pdf = _open_pdf(path)
        try:
            page_count = len(pdf)
        finally:
            pdf.close()
        if page_count == 0:
            raise InvalidInput("the PDF has no page that can be read; it may be damaged")
        return Document(path, page_count, is_pdf=True)
    with _open_image(path, head) as image:
        return Document(path, _frame_count(image), is_pdf=False)


def _open_image(path: Path, head: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Our own limit decides, in `_refuse_bomb`; Pillow's warning would only repeat it.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise InvalidInput(f"the image is larger than {MAX_PIXELS // 10**6} million pixels") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise InvalidInput(f"the file is not an image: found {_describe(head)}; {EXPECTED}") from error
    _refuse_bomb(image)
    return image


def _describe(head: bytes) -> str:
    sample = head[:256]
    if sample.startswith((b"\xff\xd8", b"\x89PNG", b"II*\x00", b"MM\x00*", b"GIF8", b"BM", b"RIFF")):
        return "the beginning of an image with a damaged header"
    try:
        text = sample.decode("utf-8")
    except UnicodeDecodeError:
        return "binary data that begins with " + sample[:4].hex(" ")
    return "plain text" if text.isprintable() or not re.search(r"[\x00-\x08]", text) else "binary data"


def _refuse_bomb(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InvalidInput(f"the page has {width} x {height} pixels; at most {MAX_PIXELS // 10**6} million are read")
    if min(width, height) < 16:
        raise InvalidInput(f"the image has {width} x {height} pixels, too few to hold text")


def _frame_count(image: Image.Image) -> int:
    # A phone's MPO carries the same picture again as its second frame, and a GIF or WebP is an animation:
    # only TIFF means "pages".
    if image.format != "TIFF":
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except (OSError, SyntaxError, ValueError, EOFError, TypeError) as error:
        raise InvalidInput("the TIFF's list of pages is damaged") from error


def _image_pages(path: Path, numbers: list[int]) -> Iterator[SourcePage]:
    with path.open("rb") as stream:
        head = stream.read(1024)
    with _open_image(path, head) as image:
        for number in numbers:
            try:
                image.seek(number - 1)
                _refuse_bomb(image)
                yield _image_page(image, number)
            except InvalidInput:
                raise
            except (OSError, SyntaxError, ValueError, EOFError, TypeError, MemoryError) as error:
                kind = image.format or "image"
                raise InvalidInput(f"page {number} of the {kind} cannot be decoded: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def _image_page(image: Image.Image, number: int) -> SourcePage:
    declared = _declared_dpi(image)
    compression = str(image.info.get("compression", ""))
    lossless = image.format not in _LOSSY and compression not in _LOSSY_TIFF
    format_name = "JPEG" if image.format == "MPO" else str(image.format)
    bilevel = image.mode == "1"
    pixels, dpi = _shrink_if_huge(image, declared)
    frame = _to_eight_bits(pixels)
    frame = ImageOps.exif_transpose(frame) if frame is pixels else _transpose_like(image, frame)
    array = np.asarray(frame)
    if array.ndim == 3:
        array = np.ascontiguousarray(array[:, :, ::-1])
    colour: Colour = "bilevel" if bilevel else "colour" if array.ndim == 3 else "grey"
    master = Master(format_name, lossless, pdf_a=False, born_digital=False, dpi=declared, colour=colour)
    return SourcePage(number, array, dpi, master)


def _declared_dpi(image: Image.Image) -> int | None:
    found = image.info.get("dpi")
    try:
        value = round(float(min(found))) if found else 0
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return value if value in _PLAUSIBLE_DPI else None


def _shrink_if_huge(image: Image.Image, dpi: int | None) -> tuple[Image.Image, int | None]:
    if image.width * image.height <= COMFORTABLE_PIXELS:
        return image, dpi
    pixels = image.convert("L") if image.mode == "1" else image
    # reduce() averages whole pixels, so it needs no second full-size copy; palettes cannot be averaged.
    pixels = pixels.convert("RGB") if pixels.mode in ("P", "PA") else pixels
    return (
        (pixels.reduce(2), dpi // 2 if dpi else None) if pixels.mode in ("L", "RGB", "RGBA", "CMYK") else (image, dpi)
    )


def _transpose_like(original: Image.Image, frame: Image.Image) -> Image.Image:
    turned = frame.copy()
    orientation = original.getexif().get(0x0112)
    if orientation:
        turned.getexif()[0x0112] = orientation
    return ImageOps.exif_transpose(turned)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """*image* as mode L or RGB; what is transparent becomes paper white."""
    if image.mode in ("L", "RGB"):
        image.load()
        return image
    if image.mode in ("1", "CMYK", "YCbCr", "LAB", "HSV"):
        return image.convert("L" if image.mode == "1" else "RGB")
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        top = float(values.max(initial=0.0))
        # 16 bits per sample unless the values say that only 8 are used.
        scale = 255.0 / 65535.0 if top > 255.0 else 1.0 if top > 1.0 else 255.0
        return Image.fromarray((values * scale).clip(0, 255).astype(np.uint8))
    rgba = image.convert("RGBA")
    paper = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    flat = Image.alpha_composite(paper, rgba).convert("RGB")
    return flat.convert("L") if image.mode in ("LA", "La") else flat


def _open_pdf(path: Path) -> Any:
    try:
        return pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        text = str(error).lower()
        if "password" in text:
            raise InvalidInput("the PDF asks for a password; expected one that opens without") from error
        if "security" in text:
            raise InvalidInput("the PDF uses a protection that is not supported") from error
        raise InvalidInput("the PDF is damaged: its structure cannot be read") from error


def _pdf_pages(path: Path, numbers: list[int]) -> Iterator[SourcePage]:
    pdf_a = _claims_pdf_a(path)
    pdf = _open_pdf(path)
    try:
        for number in numbers:
            try:
                yield _pdf_page(pdf, number, pdf_a=pdf_a)
            except (pdfium.PdfiumError, ValueError, MemoryError, OverflowError) as error:
                raise InvalidInput(f"page {number} of the PDF cannot be drawn: {_one_line(error)}") from error
    finally:
        pdf.close()


def _claims_pdf_a(path: Path) -> bool:
    """True when the file's XMP metadata declares a PDF/A part (it is stored uncompressed there, by that norm)."""
    with path.open("rb") as stream:
        return b"pdfaid:part" in stream.read(64 * 1024 * 1024)


def _pdf_page(pdf: Any, number: int, *, pdf_a: bool) -> SourcePage:
    page = pdf[number - 1]
    try:
        width_pt, height_pt = page.get_size()
        if width_pt <= 0 or height_pt <= 0:
            raise InvalidInput(f"page {number} of the PDF has no size")
        scale = min(PDF_DPI / 72, (PDF_PIXELS / (width_pt * height_pt)) ** 0.5)
        if max(width_pt, height_pt) * scale > 20_000:
            raise InvalidInput(f"page {number} of the PDF measures {width_pt:.0f} x {height_pt:.0f} points")
        if min(width_pt, height_pt) * scale < 16:
            raise InvalidInput(
                f"page {number} of the PDF measures {width_pt:.3g} x {height_pt:.3g} points, too few to hold text"
            )
        scan_dpi, scan_colour = _scan_facts(page, width_pt, height_pt)
        drawn = page.render(scale=scale).to_numpy()
    finally:
        page.close()
    image = np.ascontiguousarray(drawn[:, :, :3]) if drawn.ndim == 3 else drawn
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    colour: Colour = scan_colour or ("colour" if _has_colour(image) else "grey")
    master = Master("PDF", lossless=pdf_a, pdf_a=pdf_a, born_digital=scan_dpi is None, dpi=scan_dpi, colour=colour)
    return SourcePage(number, image, round(scale * 72), master)


def _scan_facts(page: Any, width_pt: float, height_pt: float) -> tuple[int | None, Colour | None]:
    """Resolution and colours of the picture that fills the page; nothing for a page that was never paper."""
    for item in page.get_objects(filter=[pdfium.raw.FPDF_PAGEOBJ_IMAGE], max_depth=3):
        left, bottom, right, top = item.get_bounds()
        if (right - left) * (top - bottom) < 0.5 * width_pt * height_pt:
            continue
        meta = item.get_metadata()
        dpi = round(min(meta.horizontal_dpi, meta.vertical_dpi))
        bits = int(meta.bits_per_pixel)
        return max(1, dpi), "bilevel" if bits == 1 else "grey" if bits == 8 else "colour"
    return None, None


def _has_colour(image: np.ndarray) -> bool:
    if image.ndim == 2:
        return False
    small = image[::8, ::8].astype(np.int16)
    return bool(((small.max(axis=2) - small.min(axis=2)) > 40).mean() > 0.002)
